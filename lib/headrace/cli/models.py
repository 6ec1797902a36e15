"""`headrace models`: the versions of a pipeline's model, how they tested, and which became champion. No Spark session."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from headrace.cli.promote import Env, File, Sets, told
from headrace.cli.running import hush
from headrace.config.reading import read_pipeline
from headrace.config.types import Pipeline
from headrace.runtime.home import has_models, places

Format = Literal["text", "markdown", "json"]
SHOWN = 10
"""Changes that are shown; JSON and the table `model_changes` have all."""


def models(
    file: File,
    env: Env = None,
    sets: Sets = None,
    format_: Annotated[Format, typer.Option("--format", help="markdown: for a review; json: everything")] = "text",
) -> None:
    """Show the versions of the model: aliases, age, test metrics with intervals, gates; and what became champion.

    Examples: headrace models conf/flights.yaml

      headrace models conf/flights.yaml --format json
    """
    pipeline, environment = read_pipeline(file, env=env, sets=sets or [])
    where = places(pipeline, environment)
    hush()
    facts = facts_of(where.schema, where.tracking_uri, datetime.now(UTC))
    if format_ == "json":
        del facts["told"]  # the changes are there as data
        sys.stdout.write(json.dumps(facts, indent=2, default=datetime.isoformat, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write((_markdown if format_ == "markdown" else _text)(facts, _metrics(facts, pipeline)))


def facts_of(name: str, tracking_uri: str, now: datetime) -> dict[str, Any]:
    """All that there is to show: `model, champion, notes, versions, changes, told`.

    Args:
        name: Of the registered model.
        tracking_uri: Of the model store; one that is not there is not made.
        now: In UTC, for the ages.
    """
    if not has_models(tracking_uri):
        return {"model": name, "champion": None, "notes": [], "versions": [], "changes": [], "told": []}
    from headrace.models import audit, changes
    from headrace.models.promotion import failed, gates
    from headrace.models.store import INTERVALS, TESTED, ModelStore

    store = ModelStore(tracking_uri)
    aliases, _ = store.model(name) or ({}, {})
    journal = changes.read(store, name)
    versions = []
    for one in store.versions(name):
        tested, limits = (json.loads(one.tags.get(tag, "{}")) for tag in (TESTED, INTERVALS))
        refused = failed(one)
        versions.append(
            {
                "version": one.number,
                "aliases": sorted(alias for alias, number in aliases.items() if number == one.number),
                "created_at": one.created and one.created.isoformat(timespec="seconds"),
                "age_seconds": one.created and int((now - one.created).total_seconds()),
                "estimator": one.tags.get("estimator"),
                "outcome": "not judged" if refused is None else "refused" if refused else "passed",
                "gates": gates(one),
                "metrics": {
                    metric: dict(
                        zip(("value", "lower", "upper"), (value, *limits.get(metric, (None, None))), strict=True)
                    )
                    for metric, value in tested.items()
                },
                "task": one.tags.get("task"),
                "tables": json.loads(one.tags.get("tables", "{}")),
                "run_id": one.tags.get("run_id"),
                "mlflow_run_id": one.run_id,
            }
        )
    return {
        "model": name,
        "champion": journal.champion,
        "notes": _notes(journal),
        "versions": versions,
        "changes": audit.rows(name, journal),
        "told": [told(change) for change in journal.changes],
    }


def _notes(journal: Any) -> list[str]:
    """What is amiss with the champion."""
    if journal.unfinished:
        again = "the next promote, demote, rollback or run of `register` finishes it"
        return [f"a change was interrupted: {told(journal.unfinished)}; {again}"]
    if journal.moved_outside:
        return ["the alias was moved with MLflow, not with Headrace; the next change or run puts that on record"]
    return []


def _metrics(facts: dict[str, Any], pipeline: Pipeline) -> list[str]:
    """The metrics that decide: of the search and the gates, as far as there are any."""
    from headrace.config.metrics import DEFAULT_METRIC

    task = next((v["task"] for v in facts["versions"] if v["task"]), None)
    way = pipeline.training_set.way(task) if pipeline.training_set else task
    wanted = [pipeline.search.metric or DEFAULT_METRIC.get(way or ""), *(gate.metric for gate in pipeline.gates)]
    there = {metric for version in facts["versions"] for metric in version["metrics"]}
    return [metric for metric in dict.fromkeys(wanted) if metric and metric in there]


def _rows(facts: dict[str, Any], metrics: list[str]) -> tuple[list[str], list[list[str]]]:
    """Headings, and a line of words per version."""
    head = ["version", "alias", "registered (UTC)", "age", "estimator", *metrics, "gates"]
    rows = []
    for one in facts["versions"]:
        refused = [gate["text"] for gate in one["gates"] if not gate["passed"]]
        words = ": ".join([one["outcome"], *(["; ".join(refused)] if refused else [])])
        rows.append(
            [
                str(one["version"]),
                ", ".join(one["aliases"]),
                (one["created_at"] or "")[:19].replace("T", " "),
                _age(one["age_seconds"]),
                one["estimator"] or "",
                *(_measured(one["metrics"].get(metric)) for metric in metrics),
                words,
            ]
        )
    return head, rows


def _age(seconds: int | None) -> str:
    if seconds is None:
        return ""
    minutes = max(seconds, 0) // 60
    for unit, size in (("day", 24 * 60), ("hour", 60)):
        if minutes >= size:
            return f"{minutes // size} {unit}{'s' if minutes >= 2 * size else ''}"
    return f"{minutes} min"


def _measured(metric: dict[str, float | None] | None) -> str:
    if metric is None or metric["value"] is None:
        return ""
    text = f"{metric['value']:.4f}"
    known = metric["lower"] is not None and metric["upper"] is not None
    return f"{text} [{metric['lower']:.4f}, {metric['upper']:.4f}]" if known else text


def _heading(facts: dict[str, Any]) -> str:
    if not facts["versions"]:
        return f"{facts['model']} has no version yet; train one with jobs/train.py"
    return f"{facts['model']}: " + (f"version {n} is champion" if (n := facts["champion"]) else "there is no champion")


def _text(facts: dict[str, Any], metrics: list[str]) -> str:
    lines = [_heading(facts), *facts["notes"]]
    if facts["versions"]:
        head, rows = _rows(facts, metrics)
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        lines += ["", *("  ".join(f"{c:<{w}}" for c, w in zip(r, widths, strict=True)).rstrip() for r in (head, *rows))]
    changes = facts["told"]
    if changes:
        lines += ["", f"changes (the last {SHOWN} of {len(changes)})" if len(changes) > SHOWN else "changes"]
        lines += changes[-SHOWN:]
    return "\n".join(lines) + "\n"


def _markdown(facts: dict[str, Any], metrics: list[str]) -> str:
    parts = [f"# {_cell(_heading(facts))}", *map(_cell, facts["notes"])]
    if facts["versions"]:
        head, rows = _rows(facts, metrics)
        parts.append("\n".join(_line(row) for row in (head, ["---"] * len(head), *rows)))
    if facts["changes"]:
        head = ["change", "changed_at", "action", "from_version", "to_version", "who", "why", "forced"]
        rows = [["" if row[c] is None else str(row[c])[:1000] for c in head] for row in facts["changes"][-SHOWN:]]
        parts.append("\n".join(_line(row) for row in (head, ["---"] * len(head), *rows)))
    return "\n\n".join(parts) + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
