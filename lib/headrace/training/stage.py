"""Training set: exactly one row per spine row, with label, split, and features as known at `predict_at`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config.types import FeatureTable, Pipeline
from headrace.engine.assemble import Read, Span, add_features, within_reach
from headrace.engine.time import known_by, moment
from headrace.errors import ConfigError, DataError
from headrace.runtime.step import Done, Output, Run, Step
from headrace.training.rows import add_row_features, feature_names
from headrace.training.spine import MADE, spine, spine_key, spine_table
from headrace.training.split import split_column
from headrace.training.task import label_counts, task_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

    Pick = Callable[[DataFrame], DataFrame]


TAKEN = frozenset({"features", "prediction", "probability", "rawprediction", "revision"})
"""What Spark ML and the predictions call their own columns."""


def steps(pipeline: Pipeline) -> tuple[Step, ...]:
    """One step, where the pipeline has a training set."""
    if pipeline.training_set is None:
        return ()
    return (
        Step(
            stage="training_set",
            name="training_set",
            inputs=inputs(pipeline),
            outputs=("training_set",),
            config=config_of(pipeline),
            run=_training_set,
        ),
    )


def inputs(pipeline: Pipeline) -> tuple[str, ...]:
    """The spine's table, the events of window features, the tables of looked-up features."""
    training, _ = spine_table(pipeline)
    named = [(name, pipeline.feature_tables[name]) for name in training.features]
    read = [table.from_ if table.kind == "aggregates" else name for name, table in named]
    return tuple(dict.fromkeys([training.from_, *read]))


def config_of(pipeline: Pipeline) -> dict[str, Any]:
    """What of the configuration decides the training set."""
    training, table = spine_table(pipeline)
    times = {"key", "event_time", "available_at", "known_early", "columns"}
    tables = {t.from_: pipeline.tables[t.from_] for t in (pipeline.feature_tables[n] for n in training.features)}
    clocks = {n: t.model_dump(mode="json", include={"event_time", "available_at"}) for n, t in tables.items()}
    features = {
        n: pipeline.feature_tables[n].model_dump(mode="json", exclude={"description"}) for n in training.features
    }
    spine_config = table.model_dump(mode="json", include=times)
    return {
        "training_set": training.model_dump(mode="json"),
        "spine": spine_config,
        "features": features,
        "clocks": clocks,
    }


def training_rows(run: Run, pick: Pick | None = None, span: Span | None = None) -> DataFrame:
    """The spine with its split, joined features and row features.

    Args:
        run: The run.
        pick: Chooses rows of the spine, before any feature is computed; default: all.
        span: First and last `predict_at` of these rows: only events that can count for them are read.
    """
    pipeline = run.pipeline
    training, table = spine_table(pipeline)
    cleaned = run.read(training.from_)
    rows = split_spine(run)
    joined = add_features(pick(rows) if pick else rows, pipeline, training.features, _reader(run, span))
    return add_row_features(joined, training, table, cleaned.columns)


def split_spine(run: Run) -> DataFrame:
    """The spine's rows with their split, without features."""
    training, table = spine_table(run.pipeline)
    rows = spine(run.read(training.from_), run.pipeline, run.as_of)
    return rows.withColumn("split", split_column(training.split, spine_key(table)))


def _reader(run: Run, span: Span | None) -> Read:
    tables = run.pipeline.tables

    def read(name: str, feature_table: FeatureTable) -> DataFrame:
        frame = known_by(run.read(name), tables[name], run.as_of) if name in tables else run.read(name)
        return frame if span is None else within_reach(frame, feature_table, tables[feature_table.from_], span)

    return read


def _training_set(run: Run) -> Done:
    training, table = spine_table(run.pipeline)
    bare = split_spine(run).select("label", "split")
    task, labels = task_of(bare, training.task)
    parts = {r["split"]: r for r in label_counts(bare).collect()}
    later = next_label(run)
    _refuse_empty(parts)
    frame = training_rows(run)
    key = spine_key(table)
    features, left = feature_names(frame, training, table, (*MADE, *key))
    refused = sorted({f for f in features if f in TAKEN})
    if refused:
        raise ConfigError(
            f"{', '.join(refused)}: a feature cannot be called so, for models name their results so; list it in "
            "training_set.exclude, or give it another name under `columns`"
        )
    if not features:
        raise DataError(
            "no feature is left: list columns in known_early, add row_features or feature tables, or shorten `exclude`"
        )
    rows_in = sum(int(r["rows"]) for r in parts.values())
    output = Output(
        "training_set",
        frame.select(*key, "predict_at", "split", "label", "label_known_at", *[f for f in features if f not in key]),
        expect_rows=rows_in,
        counts={"rows_in": rows_in, **{f"{s}": int(r["rows"]) for s, r in parts.items()}},
        facts={"features": features, "key": list(key), "task": task, "labels": labels},
        description="One row per spine row: features as known at predict_at, label and split",
    )
    sizes = ", ".join(
        f"{s} {int(parts[s]['rows']):,}" for s in ("train", "validation", "test", "score", "purged") if s in parts
    )
    notes = [f"task: {task}; {len(features)} features; rows: {sizes}"]
    if left:
        notes.append(f"no features, by their type: {', '.join(left)}; use row_features to make some of them")
    return Done((output,), rows_in=rows_in, notes=tuple(notes), expires=later)


def next_label(run: Run) -> datetime | None:
    """When the next label becomes known that is hidden now."""
    waiting = split_spine(run).where(F.col("label_known_at") > moment(run.as_of))
    found: Any = waiting.agg(F.unix_micros(F.min("label_known_at")).alias("next")).first()
    return None if found["next"] is None else datetime.fromtimestamp(found["next"] / 1_000_000, UTC)


def _refuse_empty(parts: dict[str, Any]) -> None:
    empty = [s for s in ("train", "validation", "test") if s not in parts or not parts[s]["labelled"]]
    if empty:
        raise DataError(
            f"no labelled row in {', '.join(empty)}; rows per part: "
            f"{ {s: int(r['rows']) for s, r in parts.items()} }. Mend training_set.split, or bring more data"
        )
