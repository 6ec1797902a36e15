"""`headrace status`: what ran last and how it ended, the tables, whether the rows add up, the champion. No Spark."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headrace.cli.running import hush, impatient
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime.commits import Commit, CommitLog, LocalFiles, is_local
from headrace.runtime.home import has_models, home, places
from headrace.runtime.step import STAGES

RECORDS = 200
"""Commits of `runs` that are looked at."""


def status(
    file: Annotated[
        str | None, typer.Argument(help="the pipeline's YAML; default: all pipelines in HEADRACE_HOME")
    ] = None,
    env: Annotated[
        str | None, typer.Option("--env", help="overlay: env/NAME.yaml beside the file, or in conf/")
    ] = None,
) -> None:
    """Show each stage's last run, the tables, whether the rows add up, and the champion.

    Example: headrace status conf/flights.yaml
    """
    try:
        for root, tracking_uri in _roots(file, env):
            log = CommitLog(str(root), LocalFiles())
            _console().print(table_of(log, root.name))
            stages, errors = stages_of(log)
            if stages.row_count:
                _console().print(stages, *errors, sep="\n")
            if champion := _champion(root.name, tracking_uri):
                _console().print(escape(champion))
    except HeadraceError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(error.exit_code) from error


def _console() -> Console:
    """As wide as the terminal; in a file or a pipe nothing is cut."""
    return Console(emoji=False) if sys.stdout.isatty() else Console(width=240, emoji=False)


def _roots(file: str | None, env: str | None) -> list[tuple[Path, str]]:
    """Folders of schemas, each with the model store that belongs to it."""
    if file is None:
        store = f"sqlite:///{home() / 'mlflow' / 'mlflow.db'}"
        found = sorted(p for p in (home() / "warehouse").glob("*") if p.is_dir())
        if not found:
            raise ConfigError(
                f"there is no table in {home() / 'warehouse'} yet; run jobs/pipeline.py, or set HEADRACE_HOME"
            )
        return [(path, store) for path in found]
    where = places(*read_pipeline(file, env=env))
    if not is_local(where.warehouse):
        raise ConfigError(
            f"the warehouse {where.warehouse} is not on this machine; ask it with `headrace sql` on {where.schema}.runs"
        )
    return [(Path(where.root.removeprefix("file://")), where.tracking_uri)]


def _champion(model: str, tracking_uri: str) -> str | None:
    """The version that scores, in words; None where there is no model yet."""
    if not has_models(tracking_uri):
        return None
    hush()
    impatient()
    from headrace.models.store import ModelStore

    store = ModelStore(tracking_uri)
    found, newest = store.alias(model), next(iter(store.versions(model)), None)
    if newest is None:
        return None
    later = f"; the newest is version {newest.number} ({newest.tags.get('outcome', 'not judged')})"
    now = f"champion: {model} version {found.number}" if found else f"{model} has no champion"
    return now + ("" if found and found.number == newest.number else later)


def table_of(log: CommitLog, schema: str) -> Table:
    """One line a table: version, when, by which run and stage, counts carried by the commit."""
    shown = Table(title=schema, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column, right in (
        ("table", False),
        ("version", True),
        ("written (UTC)", False),
        ("stage", False),
        ("rows", True),
        ("adds up", False),
    ):
        shown.add_column(column, justify="right" if right else "left", no_wrap=True)
    commits = {name: commit for name in log.tables() if (commit := log.last(name)) is not None}
    if any(commit.note.get("overrides") for commit in commits.values()):
        shown.add_column("changed by --set", overflow="fold")
    for name, commit in commits.items():
        when = datetime.fromtimestamp(commit.timestamp / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        counted = log.rows(name)
        rows = "?" if counted is None else f"{counted:,}"
        sets = escape("\n".join(commit.note.get("overrides", ())))
        stage = str(commit.note.get("stage", commit.operation))
        shown.add_row(
            name, str(commit.version), when, stage, rows, adds_up(log, name, commit), *([sets] if sets else [])
        )
    return shown


def stages_of(log: CommitLog) -> tuple[Table, list[str]]:
    """One line a stage: its last run, and how it ended; and the errors of the steps that failed in it."""
    shown = Table(title="last runs", title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in ("stage", "status", "began (UTC)", "seconds", "steps", "run"):
        shown.add_column(column, justify="right" if column == "seconds" else "left", no_wrap=True)
    last: dict[str, tuple[str, list[dict[str, Any]]]] = {}
    for _, commit in zip(range(RECORDS), log.newest_first("runs"), strict=False):
        run = str(commit.note.get("run_id", ""))
        for step in commit.note.get("steps", []):
            if last.setdefault(step["stage"], (run, []))[0] == run:
                last[step["stage"]][1].append(step)
    errors = []
    for stage in (s for s in STAGES if s in last):
        run, steps = last[stage]
        counts = {status: sum(s["status"] == status for s in steps) for status in ("failed", "done", "unchanged")}
        told = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
        status = next(status for status, n in counts.items() if n)
        began = datetime.fromisoformat(min(s["started_at"] for s in steps)).strftime("%Y-%m-%d %H:%M:%S")
        shown.add_row(stage, status, began, f"{sum(s['seconds'] for s in steps):.1f}", told, run)
        errors += [escape(f"{s['step']} failed: {s['error']}") for s in steps if s["status"] == "failed"]
    return shown, errors


def adds_up(log: CommitLog, name: str, commit: Commit) -> str:
    """Of a cleaned table: the balance that its commit carries, and whether the tables still hold these rows."""
    told, counts = balance(commit), commit.note.get("counts", {})
    if not told:
        return ""
    made_of, aside = commit.note.get("inputs", {}).get(f"{name}_quarantine"), log.last(f"{name}_quarantine")
    if aside is not None and made_of is not None and made_of != aside.version:
        return f"{told}; the quarantine is newer: run again, or headrace replay"
    expected = {name: counts["kept"], f"{name}_quarantine": counts["quarantined"]}
    held = {table: log.rows(table) for table in expected if log.last(table) is not None}
    wrong = [f"{table} holds {rows:,}" for table, rows in held.items() if rows not in (None, expected[table])]
    return "; ".join([told, *wrong])


def balance(commit: Commit) -> str:
    """Of a cleaned table: in = kept + quarantined + merged, in words."""
    counts = commit.note.get("counts", {})
    if not {"rows_in", "kept", "quarantined", "merged"} <= set(counts):
        return ""
    total = counts["kept"] + counts["quarantined"] + counts["merged"]
    sign = "=" if total == counts["rows_in"] else "IS NOT"
    return f"{counts['rows_in']:,} in {sign} {counts['kept']:,} kept + {counts['quarantined']:,} quarantined + {counts['merged']:,} merged"
