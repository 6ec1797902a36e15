"""What a version is registered with: its inputs, configuration, definitions, code and environment, from what made it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from headrace.config import hooks
from headrace.models.card import ModelCard
from headrace.models.definitions import whole
from headrace.models.made import Made, made
from headrace.models.record import environment
from headrace.runtime.carried import unpacked, without_secrets
from headrace.runtime.step import Run

EXAMPLES = 3
"""Rows of an input example."""


def rows_of(run: Run) -> Made | None:
    """How the rows that the model learned from were made; None where their commit does not tell."""
    told = run.facts("training_set", trained_on(run))
    config = unpacked(told.get("config"))
    code = (told.get("facts") or {}).get("code") or {}
    return made(config, told.get("inputs") or {}, run.facts, code) if config else None


def trained_on(run: Run) -> int:
    """The version of the training set that the search read."""
    return int((run.facts("trials").get("inputs") or {}).get("training_set", run.version("training_set")))


def example(run: Run, card: ModelCard) -> dict[str, Any]:
    """Some rows as the model takes them, without key and label, in the form of MLflow's input examples (`split`)."""
    rows = run.read_version("training_set", trained_on(run)).where("split = 'train'")
    chosen = rows.select(*[f"`{name}`" for name in card.features]).limit(EXAMPLES)
    return {"columns": list(card.features), "data": [list(row) for row in chosen.collect()]}  # bounded


def record(run: Run, card: ModelCard, rows: Made | None, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """All that a version carries, but for its number and what its gates say.

    Args:
        run: Of the stage `register`.
        card: Of the model.
        rows: How its rows were made.
        metrics: On the test part: name -> `value, lower, upper`.
    """
    trained = run.facts("trials")
    return {
        "model": run.model_name,
        "description": run.pipeline.description or "",
        "owner": run.pipeline.owner or "",
        "tags": list(run.pipeline.tags),
        "registered_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "run_id": trained.get("run_id"),
        "metrics": dict(metrics),
        "inputs": _inputs(run, {"training_set": trained_on(run)}),
        "definitions": whole(rows, card.features) if rows else {},
        "leaks": _leaks(run),
        "configuration": without_secrets(run.pipeline.model_dump(mode="json", by_alias=True, exclude_defaults=True)),
        "overrides": list(run.pipeline.overrides),
        "code": {
            "stages": (trained.get("hashes") or {}).get("code"),
            "modules": hooks.meanings(run.pipeline, "search", "training_set", "metrics"),
        },
        "environment": environment(run.spark.version),
    }


def stays(earlier: Mapping[str, Any] | None, now: Mapping[str, Any]) -> dict[str, Any]:
    """What of a version's record is of the run that trained it, however often it is judged anew.

    Args:
        earlier: The version's record; None: it has none.
        now: The record of the run that judges it.
    """
    if earlier is None or earlier.get("run_id") != now.get("run_id"):
        return {}
    parts = ("registered_at", "leaks", "configuration", "overrides", "code", "environment")
    return {part: earlier[part] for part in parts if part in earlier}


def _leaks(run: Run) -> dict[str, Any] | None:
    """What was found in the training set: `levels` (kinds and features by level), `features`; None: nobody looked."""
    told = run.facts("leakage_findings") if run.exists("leakage_findings") else {}
    looked_at = (told.get("inputs") or {}).get("training_set")
    return told.get("facts") if looked_at == trained_on(run) else None


def _inputs(run: Run, tables: Mapping[str, int]) -> dict[str, int]:
    """These tables with all that they were made of, and the versions."""
    seen: set[tuple[str, int]] = set()
    waiting = list(tables.items())
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting += (run.facts(*one).get("inputs") or {}).items()
    return dict(sorted(seen))  # of a table read at two versions the newer
