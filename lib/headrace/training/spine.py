"""The spine: one row per row to predict, its label, and nothing that was not known in time."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, FloatType

from headrace.config.checks.leaks import hidden_columns
from headrace.config.durations import microseconds
from headrace.config.folds import FOLD
from headrace.config.learning import CENSORED, TrainingSet
from headrace.config.sql.expressions import columns
from headrace.config.types import Pipeline, Table
from headrace.engine.time import moment
from headrace.errors import ConfigError
from headrace.training.future import entity_of, named, with_label
from headrace.training.grid import on_grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import Column, DataFrame

    Pick = Callable[[DataFrame], DataFrame]
    Read = Callable[[str], DataFrame]

ROW_ID = "row_id"
MADE = ("predict_at", "label", "label_known_at", "split")


def made_columns(training: TrainingSet) -> tuple[str, ...]:
    """Columns that a training set has by itself."""
    folds = (FOLD,) if training.split.folds else ()
    return tuple(dict.fromkeys((*MADE, *training.made_of_label, *folds)))


def spine_table(pipeline: Pipeline) -> tuple[TrainingSet, Table]:
    """The training set's section and its spine's table."""
    training = pipeline.training_set
    assert training is not None, "the flow makes no such step without a training_set"
    return training, pipeline.tables[training.spine]


def spine_key(table: Table) -> tuple[str, ...]:
    """Columns that tell rows of the spine apart."""
    return table.key or (ROW_ID,)


def usable_columns(cleaned: list[str], pipeline: Pipeline) -> tuple[str, ...]:
    """The row's own columns that were known when the prediction was made.

    With `available_at`: key, event time, and what is listed in `known_early`. Without, and of entities, which are there
    only when they are known: all but what the label uses, and what derives from that.
    """
    training, table = spine_table(pipeline)
    hidden = hidden_columns(pipeline)
    if table.available_at is None or training.grid:
        return tuple(c for c in cleaned if c not in hidden)
    early = [*table.key, table.event_time, *table.known_early]
    return tuple(c for c in cleaned if c in early and c not in hidden)


def needed_columns(cleaned: list[str], pipeline: Pipeline) -> set[str]:
    """Columns of the cleaned table without which a row cannot be scored: what names it, times it, and predicts it."""
    training, table = spine_table(pipeline)
    asked = {*table.key, *pipeline.scoring.strategy.entity}
    asked |= {c for name in training.features for c in pipeline.feature_tables[name].entity}
    texts = [training.predict_at or table.event_time, *training.row_features.values()]
    asked |= {c.lower() for text in texts if text for c in columns(text)}
    usable = [c for c in usable_columns(cleaned, pipeline) if c not in training.exclude]
    return {*usable, *(c for c in cleaned if c in asked)}


def _own_columns(cleaned: list[str], pipeline: Pipeline) -> tuple[str, ...]:
    """The usable columns, without excluded ones that have a name which the training set gives.

    Raises:
        ConfigError: If one that is not excluded has such a name.
    """
    training, _ = spine_table(pipeline)
    made = made_columns(training)
    usable = tuple(c for c in usable_columns(cleaned, pipeline) if c not in made or c not in training.exclude)
    taken = [c for c in usable if c in made]
    if taken:
        raise ConfigError(
            f"tables.{training.spine} has columns named {', '.join(taken)}, which the training set makes; rename them under `columns`"
        )
    return usable


def with_times(cleaned: DataFrame, pipeline: Pipeline, as_of: datetime) -> DataFrame:
    """The rows to predict: the cleaned columns, `predict_at` and `label_known_at` (timestamps; null: never).

    Args:
        cleaned: The cleaned table of `training_set.from`.
        pipeline: The configuration.
        as_of: The logical now, where a grid of times ends.
    """
    training, table = spine_table(pipeline)
    if training.grid:
        rows = on_grid(cleaned, training.grid, table, as_of)
    else:
        predict = f"cast({training.predict_at or table.event_time or 'null'} as timestamp)"
        rows = cleaned.withColumn("predict_at", F.expr(predict))
    return rows.withColumn("label_known_at", _known_at(training, table))


def spine(cleaned: DataFrame, pipeline: Pipeline, as_of: datetime, read: Read, among: Pick | None = None) -> DataFrame:
    """The spine's rows.

    Args:
        cleaned: The cleaned table of `training_set.from`.
        pipeline: The configuration.
        as_of: The logical now: a label not known by then is null.
        read: Gives the cleaned table of the events that a label may be counted over, by its name.
        among: Chooses rows by key and times, before labels are made; default: all.

    Returns:
        The usable columns (and `row_id` where there is no key), `predict_at` (timestamp), `label` (NaN is null),
        `censored` (boolean, where labels may be so), `label_known_at` (timestamp, null when it will never be known). Of a
        task without a label it is null (double), and nothing has to be waited for: it is known at `predict_at`.
    """
    training, table = spine_table(pipeline)
    usable = _own_columns(cleaned.columns, pipeline)
    if not table.key:
        cleaned = with_row_id(cleaned, usable)
        usable = (ROW_ID, *usable)
    timed = with_times(cleaned, pipeline, as_of)
    chosen = among(timed) if among else timed
    kept = [F.col(f"`{c}`") for c in (*usable, "predict_at", "label_known_at")]
    if training.future:
        rows = _counted(chosen, cleaned.columns, kept, pipeline, as_of, read(training.future.from_))
    else:
        told = {"label": training.expression or "cast(null as double)"}
        told |= {CENSORED: f"cast({training.censored} as boolean)"} if training.censored else {}
        labels = [_as_known(sql, training, table, as_of).alias(name) for name, sql in told.items()]
        rows = chosen.select(*kept, *labels)
    rows = rows.select(*[F.col(f"`{c}`") for c in usable], "predict_at", *training.made_of_label, "label_known_at")
    fraction = isinstance(rows.schema["label"].dataType, DoubleType | FloatType)
    return rows.withColumn("label", F.nanvl("label", F.lit(None))) if fraction else rows  # NaN says nothing


def _as_known(sql: str, training: TrainingSet, table: Table, as_of: datetime) -> Column:
    """SQL over the row, as far as it is known."""
    known = F.col("label_known_at")
    unknown = known > moment(as_of)
    if table.available_at and not training.grid:
        unknown = unknown | known.isNull()  # null: never known
    return F.when(unknown, F.lit(None)).otherwise(F.expr(sql))


def _counted(
    rows: DataFrame, there: list[str], kept: list[Column], pipeline: Pipeline, as_of: datetime, events: DataFrame
) -> DataFrame:
    """The rows with a label over later events."""
    training, _ = spine_table(pipeline)
    label = training.future
    assert label is not None
    entity = entity_of(pipeline, there, events.columns)
    delay = microseconds(training.label_delay) if training.label_delay else 0
    mine = rows.select(*kept, *named(list(entity)))
    theirs = events.select("*", *named(list(entity.values())))
    return with_label(mine, theirs, label, pipeline.tables[label.from_], delay, as_of)


def _known_at(training: TrainingSet, table: Table) -> Column:
    """When a label is known: with the row, or so long after the prediction as it waits and counts; at once without."""
    if not training.labelled:
        return F.col("predict_at")
    available = F.col(f"`{table.available_at}`").cast("timestamp") if table.available_at and not training.grid else None
    if available is not None and not training.future:
        return available
    waits = [training.label_delay, training.future.within if training.future else None]
    micros = sum(microseconds(wait) for wait in waits if wait)
    known = F.timestamp_micros(F.unix_micros("predict_at") + micros) if micros else F.col("predict_at")
    if available is None:
        return known
    return F.when(available.isNotNull() & known.isNotNull(), F.greatest(available, known))


def with_row_id(frame: DataFrame, columns: tuple[str, ...]) -> DataFrame:
    """A name for each row of a table without a key: a hash of some columns, and a number among equal rows.

    Of columns known early, so that a row keeps its name when the rest of it becomes known.

    Raises:
        ConfigError: If there is a column of that name.
    """
    if ROW_ID in frame.columns:
        raise ConfigError(f"the table has a column {ROW_ID} and no key; declare it: `key: {ROW_ID}`")
    content = F.sha2(F.to_json(F.struct(*[F.col(f"`{c}`") for c in columns])), 256).substr(1, 16)
    numbered = frame.withColumn(ROW_ID, content)
    same = Window.partitionBy(ROW_ID).orderBy(F.lit(1))
    return numbered.withColumn(ROW_ID, F.concat_ws("-", F.col(ROW_ID), F.row_number().over(same)))
