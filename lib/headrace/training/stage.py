"""Training set: exactly one row per spine row, with label, split, and features as known at `predict_at`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config import hooks
from headrace.config.checks.privacy import guarded
from headrace.config.folds import FOLD
from headrace.config.types import FeatureTable, Pipeline
from headrace.engine.assemble import Read, Span, add_features, within_reach
from headrace.engine.time import known_by, moment, utc
from headrace.errors import ConfigError, DataError
from headrace.runtime.step import Done, Output, Run, Step
from headrace.runtime.transforms import TRANSFORM, prove_alone, proven, transformed
from headrace.training.definition import config_of, inputs
from headrace.training.folds import folded, told
from headrace.training.rows import add_row_features, drawn, feature_names
from headrace.training.spine import made_columns, spine, spine_key, spine_table, with_times
from headrace.training.split import only_scored, split_column, taught
from headrace.training.task import label_counts, refuse_empty, refuse_no_events, refuse_no_times, task_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import Column, DataFrame

    Pick = Callable[[DataFrame], DataFrame]


HIDDEN = ("split", "label", "label_known_at")
"""What a transform does not see: a feature made of it would know the future."""

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


def training_rows(
    run: Run,
    pick: Pick | None = None,
    span: Span | None = None,
    among: Pick | None = None,
    fold: Column | None = None,
) -> DataFrame:
    """The spine with its split, joined features, row features, and what a transform makes of them.

    Args:
        run: The run.
        pick: Chooses rows of the spine, before any feature is computed; default: all.
        span: First and last `predict_at` of these rows: only events that can count for them are read.
        among: Chooses rows by key and times, before labels are made; default: all.
        fold: The column `fold`, where there shall be one.
    """
    pipeline = run.pipeline
    training, table = spine_table(pipeline)
    cleaned = run.spine_rows(training.spine)
    rows = split_spine(run, among)
    rows = rows if fold is None else rows.withColumn(FOLD, fold)
    joined = add_features(
        pick(rows) if pick else rows, pipeline, training.features, reader(pipeline, run.read, run.as_of, span)
    )
    made = add_row_features(joined, training, table, cleaned.columns)
    if not training.transform:
        return made
    hidden = tuple(dict.fromkeys((*HIDDEN, *training.made_of_label, *([] if fold is None else [FOLD]))))
    own = (*spine_key(table), "predict_at", *hidden)
    return transformed(pipeline, TRANSFORM, made, kept=tuple(dict.fromkeys(own)), hidden=hidden)


def split_spine(run: Run, among: Pick | None = None) -> DataFrame:
    """The spine's rows with their split, without features.

    Args:
        run: The run.
        among: Chooses rows by key and times, before labels are made; default: all.
    """
    training, table = spine_table(run.pipeline)
    rows = spine(run.spine_rows(training.spine), run.pipeline, run.as_of, run.read, among)
    return rows.withColumn("split", split_column(training.split, spine_key(table), run.as_of, training.labelled))


def labelled_spine(run: Run, among: Pick) -> DataFrame:
    """The spine's rows with their label and split, at least those asked for: counting others over later events is work.

    Args:
        run: The run.
        among: Chooses rows by key and times.
    """
    training, _ = spine_table(run.pipeline)
    return split_spine(run, among if training.future else None)


def reader(pipeline: Pipeline, table: Callable[[str], DataFrame], as_of: datetime, span: Span | None = None) -> Read:
    """Gives the tables that features are made of, as `add_features` asks for them.

    Args:
        pipeline: The configuration.
        table: Gives a table by its name.
        as_of: The logical now: of cleaned tables only rows known by then exist.
        span: First and last cut-off: only rows that can count for them are read.
    """
    tables = pipeline.tables

    def read(name: str, feature_table: FeatureTable) -> DataFrame:
        frame = known_by(table(name), tables[name], as_of) if name in tables else table(name)
        return frame if span is None else within_reach(frame, feature_table, tables[feature_table.from_], span)

    return read


def _training_set(run: Run) -> Done:
    training, table = spine_table(run.pipeline)
    bare = split_spine(run).select(*training.made_of_label, "split", only_scored(training.split).alias("only_scored"))
    task, labels = task_of(bare, training.kind)
    parts = {r["split"]: r for r in label_counts(bare, training.labelled).collect()}
    later = next_change(run)
    refuse_empty(parts)
    if training.censored:
        refuse_no_times(bare)
        refuse_no_events(parts, training.split.folds is not None)
    key, rows_in = spine_key(table), sum(int(r["rows"]) for r in parts.values())
    cut, fold = folded(split_spine(run), training, key, task) or (None, None)
    frame, release = training_rows(run, fold=fold), None
    if training.transform:
        frame, release = proven(run.pipeline, TRANSFORM, split_spine(run), frame, (*key, "predict_at"))
    try:
        features, left = _features(run, frame, rows_in)
    except BaseException:
        if release:
            release()
        raise
    # sensitive columns teach nothing, and slices may ask them
    asked = [
        c
        for c in frame.columns
        if c in guarded(run.pipeline, training.spine) and c not in (*made_columns(training), *training.exclude)
    ]
    output = Output(
        "training_set",
        frame.select(
            *key,
            "predict_at",
            "split",
            *([FOLD] if cut else []),
            *training.made_of_label,
            "label_known_at",
            *[f for f in dict.fromkeys((*features, *asked)) if f not in key],
        ),
        expect_rows=rows_in,
        counts={"rows_in": rows_in, **{f"{s}": int(r["rows"]) for s, r in parts.items()}},
        facts={
            "features": features,
            "key": list(key),
            "task": task,
            "labels": labels,
            **_code(run.pipeline),
            **({"folds": cut.as_dict()} if cut else {}),
        },
    )
    notes = (*_notes(task, features, left, parts), *([told(cut)] if cut else []))
    return Done((output,), rows_in=rows_in, notes=notes, expires=later, cleanup=release)


def _code(pipeline: Pipeline) -> dict[str, Any]:
    """What the transform's modules do, for the commit: it is part of what features mean."""
    code = hooks.meanings(pipeline, "training_set")
    return {"code": code} if code else {}


def _features(run: Run, frame: DataFrame, rows: int) -> tuple[list[str], list[str]]:
    """The features, in order, and the columns that are none by their type; a transform's are proven row by row.

    Raises:
        ConfigError: If a feature is called as models name their results.
        DataError: If none is left, or a value depends on other rows than its own.
    """
    training, table = spine_table(run.pipeline)
    key = spine_key(table)
    if training.user and training.item:
        return [training.user, training.item], []
    features, left = feature_names(
        frame, training, table, (*made_columns(training), *key), guarded(run.pipeline, training.spine)
    )
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
    if training.transform:
        known = (*key, "predict_at")
        some = training_rows(run, lambda spine_rows: spine_rows.where(drawn(known, rows)))
        prove_alone(run.pipeline, TRANSFORM, frame, some, known, features)
    return features, left


def _notes(task: str, features: list[str], left: list[str], parts: dict[str, Any]) -> tuple[str, ...]:
    ordered = [s for s in ("train", "validation", "test", "score", "purged") if s in parts]
    sizes = ", ".join(f"{s} {int(parts[s]['rows']):,}" for s in ordered)
    notes = [f"task: {task}; {len(features)} features; rows: {sizes}"]
    unlabelled = sum(int(r["only_scored"]) for r in parts.values())
    if unlabelled:
        notes.append(f"{unlabelled:,} rows have no label: they teach and test nothing, and are only scored")
    if left:
        notes.append(f"no features, by their type: {', '.join(left)}; use row_features to make some of them")
    return tuple(notes)


def next_change(run: Run) -> datetime | None:
    """When the training set will have become another though nothing was added to its inputs.

    That is when the next label becomes known that is hidden now, of rows that it can move to another part, or when a
    grid of times has its next point.
    """
    training, _ = spine_table(run.pipeline)
    rows = with_times(run.read(training.spine), run.pipeline, run.as_of)
    hidden = (F.col("label_known_at") > moment(run.as_of)) & taught(training.split)
    waiting = rows.where(hidden if training.labelled else "false")
    found: Any = waiting.agg(F.unix_micros(F.min("label_known_at")).alias("next")).first()
    label = None if found["next"] is None else utc(found["next"])
    point = training.grid.next_after(run.as_of) if training.grid else None
    return min((at for at in (label, point) if at is not None), default=None)
