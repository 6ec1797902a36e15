"""`headrace status`: the tables of a pipeline, their newest commits, and whether the rows add up. Needs no Spark."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime.commits import Commit, CommitLog, LocalFiles, is_local
from headrace.runtime.home import home, places


def status(
    file: Annotated[
        str | None, typer.Argument(help="the pipeline's YAML; default: all pipelines in HEADRACE_HOME")
    ] = None,
    env: Annotated[str | None, typer.Option("--env", help="overlay conf/env/NAME.yaml")] = None,
) -> None:
    """Show the tables, when they were written, and whether the rows add up.

    Example: headrace status conf/flights.yaml
    """
    try:
        for root in _roots(file, env):
            _console().print(table_of(CommitLog(str(root), LocalFiles()), root.name))
    except HeadraceError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(error.exit_code) from error


def _console() -> Console:
    """As wide as the terminal; in a file or a pipe nothing is cut."""
    return Console(emoji=False) if sys.stdout.isatty() else Console(width=240, emoji=False)


def _roots(file: str | None, env: str | None) -> list[Path]:
    if file is None:
        found = sorted(p for p in (home() / "warehouse").glob("*") if p.is_dir())
        if not found:
            raise ConfigError(
                f"there is no table in {home() / 'warehouse'} yet; run jobs/pipeline.py, or set HEADRACE_HOME"
            )
        return found
    where = places(*read_pipeline(file, env=env))
    if not is_local(where.warehouse):
        raise ConfigError(
            f"the warehouse {where.warehouse} is not on this machine; ask it with `headrace sql` on {where.schema}.runs"
        )
    return [Path(where.root.removeprefix("file://"))]


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
    for name in log.tables():
        commit = log.last(name)
        if commit is not None:
            when = datetime.fromtimestamp(commit.timestamp / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
            rows = "" if commit.rows is None else f"{commit.rows:,}"
            shown.add_row(
                name, str(commit.version), when, str(commit.note.get("stage", commit.operation)), rows, balance(commit)
            )
    return shown


def balance(commit: Commit) -> str:
    """Of a cleaned table: in = kept + quarantined + merged, in words."""
    counts = commit.note.get("counts", {})
    if not {"rows_in", "kept", "quarantined", "merged"} <= set(counts):
        return ""
    total = counts["kept"] + counts["quarantined"] + counts["merged"]
    sign = "=" if total == counts["rows_in"] else "IS NOT"
    return f"{counts['rows_in']:,} in {sign} {counts['kept']:,} kept + {counts['quarantined']:,} quarantined + {counts['merged']:,} merged"
