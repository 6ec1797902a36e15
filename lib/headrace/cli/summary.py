"""What a run came to: as JSON for schedules, as a few lines for people."""

from __future__ import annotations

from typing import Any

from headrace.runtime.home import Places
from headrace.runtime.progress import Progress
from headrace.runtime.runner import Outcome
from headrace.runtime.step import STAGES


def summary(outcome: Outcome) -> dict[str, Any]:
    """The JSON of `--summary`: one entry per stage, its steps added up."""
    return {
        "run_id": outcome.run_id,
        "pipeline": outcome.pipeline,
        "stages": [entry for stage in STAGES if (entry := _stage(outcome, stage))],
        "tables": balances(outcome),
        "model": next((dict(d.model) for d in outcome.done if d.model), None),
        "metrics": {part: found for d in outcome.done for part, found in d.metrics.items()},
        "corrupt_files": _corrupt(outcome),
    }


def _corrupt(outcome: Outcome) -> list[str]:
    """Files that ingest has left out because they cannot be read."""
    outputs = [output for done in outcome.done for output in done.outputs]
    return sorted({file for output in outputs for file in output.facts.get("corrupt", ())})


COUNTS = ("rows_in", "kept", "quarantined", "merged")


def balances(outcome: Outcome) -> list[dict[str, Any]]:
    """Of each table that was cleaned: how many rows came in, and what became of them. They add up, or it had failed."""
    found = [(output.table, output.counts) for done in outcome.done for output in done.outputs]
    return [
        {"name": table, **{key: counts[key] for key in COUNTS}}
        for table, counts in found
        if not callable(counts) and set(COUNTS) <= set(counts)
    ]


def _stage(outcome: Outcome, stage: str) -> dict[str, Any] | None:
    records = [r for r in outcome.records if r.stage == stage]
    if not records:
        return None
    found = {r.status for r in records}
    return {
        "name": stage,
        "status": next(s for s in ("failed", "done", "unchanged") if s in found),
        "seconds": round(sum(r.seconds for r in records), 3),
        "rows_in": _total([r.rows_in for r in records]),
        "rows_out": _total([r.rows_out for r in records]),
    }


def _total(counts: list[int | None]) -> int | None:
    known = [c for c in counts if c is not None]
    return sum(known) if known else None


def closing(progress: Progress, outcome: Outcome, places: Places, seconds: float) -> None:
    """The lines at the end: what came out, and what to look at next."""
    content = summary(outcome)
    progress.heading(f"done in {seconds:.0f} s (run {outcome.run_id})")
    for one in content["tables"]:
        told = "{name}: {rows_in:,} rows in = {kept:,} kept + {quarantined:,} quarantined + {merged:,} merged"
        progress.say(told.format(**one))
    for metric, value in content["metrics"].get("test", {}).items():
        progress.say(f"test {metric}: {value['value']:.4f} [{value['lower']:.4f}, {value['upper']:.4f}]")
    if content["model"]:
        model = content["model"]
        progress.say(
            f"model: {model['name']} version {model['version']}{', ' + model['alias'] if model.get('alias') else ''}"
        )
    looked_at(progress, _example(outcome, places))
    if any(r.stage in ("search", "register") for r in outcome.records):
        progress.say(f"mlflow ui --backend-store-uri {places.tracking_uri}")


def looked_at(progress: Progress, query: str) -> None:
    """What to look at next."""
    progress.heading("look at")
    progress.say(f'headrace sql "{query}"')


def _example(outcome: Outcome, places: Places) -> str:
    tables = {t for r in outcome.records for t in r.output_versions}
    stages = {r.stage for r in outcome.records}
    if "score" in stages:
        return f"select * from {places.schema}.predictions limit 10"
    table = sorted(tables)[-1] if tables else "runs"
    return f"select * from {places.schema}.{table} limit 10"
