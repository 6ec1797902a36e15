"""What the training set is made of: the tables it reads, and what of the configuration decides it."""

from __future__ import annotations

from typing import Any

from headrace.config.describing import DESCRIPTIVE
from headrace.config.types import Pipeline
from headrace.training.spine import spine_table

PUBLISHED = frozenset({"publish", "every"})
"""What of a feature table says only at which times people find it published."""


def inputs(pipeline: Pipeline) -> tuple[str, ...]:
    """The spine's table, the events of its label and of window features, the tables of looked-up features."""
    training, _ = spine_table(pipeline)
    named = [(name, pipeline.feature_tables[name]) for name in training.features]
    read = [table.from_ if table.kind == "aggregates" else name for name, table in named]
    return tuple(dict.fromkeys([*label_inputs(pipeline), *read]))


def label_inputs(pipeline: Pipeline) -> tuple[str, ...]:
    """The tables that the spine's labels are made of."""
    training, _ = spine_table(pipeline)
    return (training.spine, training.future.from_) if training.future else (training.spine,)


def config_of(pipeline: Pipeline) -> dict[str, Any]:
    """What of the configuration decides the training set."""
    training, table = spine_table(pipeline)
    times = {"key", "event_time", "available_at", "known_early", "columns", "sensitive"}
    clocks = _clocks(pipeline, *(pipeline.feature_tables[n].from_ for n in training.features), *label_inputs(pipeline))
    features = {
        n: pipeline.feature_tables[n].model_dump(mode="json", by_alias=True, exclude={*DESCRIPTIVE, *PUBLISHED})
        for n in training.features
    }
    return {
        "training_set": training.model_dump(mode="json", by_alias=True, exclude={"leakage"}),  # it changes no row
        "tables": clocks | {training.spine: table.model_dump(mode="json", include=times)},
        "feature_tables": features,
    }


def _clocks(pipeline: Pipeline, *names: str) -> dict[str, Any]:
    times = {"event_time", "available_at"}
    return {n: pipeline.tables[n].model_dump(mode="json", include=times) for n in dict.fromkeys(names)}
