"""The spine: one row per row to predict, its label, and nothing that was not known in time."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, FloatType

from headrace.config.checks.leaks import derived_from
from headrace.config.durations import microseconds
from headrace.config.learning import TrainingSet
from headrace.config.sql.expressions import columns
from headrace.config.types import Pipeline, Table
from headrace.engine.time import moment
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ROW_ID = "row_id"
MADE = ("predict_at", "label", "label_known_at", "split")


def spine_table(pipeline: Pipeline) -> tuple[TrainingSet, Table]:
    """The training set's section and its spine's table."""
    training = pipeline.training_set
    assert training is not None, "the flow makes no such step without a training_set"
    return training, pipeline.tables[training.from_]


def spine_key(table: Table) -> tuple[str, ...]:
    """Columns that tell rows of the spine apart."""
    return table.key or (ROW_ID,)


def usable_columns(cleaned: list[str], training: TrainingSet, table: Table) -> tuple[str, ...]:
    """The row's own columns that were known when the prediction was made.

    With `available_at`: key, event time, and what is listed in `known_early`. Without: all but what the label uses,
    and what derives from that.
    """
    hidden = derived_from(columns(training.expression or "") or set(), table)
    if table.available_at is None:
        return tuple(c for c in cleaned if c not in hidden)
    early = [*table.key, table.event_time, *table.known_early]
    return tuple(c for c in cleaned if c in early and c not in hidden)


def spine(cleaned: DataFrame, pipeline: Pipeline, as_of: datetime) -> DataFrame:
    """The spine's rows.

    Args:
        cleaned: The cleaned table of `training_set.from`.
        pipeline: The configuration.
        as_of: The logical now: a label not known by then is null.

    Returns:
        The usable columns (and `row_id` where there is no key), `predict_at` (timestamp), `label` (NaN is null),
        `label_known_at` (timestamp, null when it will never be known). Of a task without a label it is null (double),
        and nothing has to be waited for: it is known at `predict_at`.
    """
    training, table = spine_table(pipeline)
    usable = usable_columns(cleaned.columns, training, table)
    usable = tuple(c for c in usable if c not in MADE or c not in training.exclude)
    taken = [c for c in usable if c in MADE]
    if taken:
        raise ConfigError(
            f"tables.{training.from_} has columns named {', '.join(taken)}, which the training set makes; rename them under `columns`"
        )
    if not table.key:
        cleaned = with_row_id(cleaned, usable)
        usable = (ROW_ID, *usable)
    known = _known_at(training, table)
    predict = f"cast({training.predict_at or table.event_time or 'null'} as timestamp)"
    unknown = F.expr(known) > moment(as_of)
    if table.available_at and training.labelled:
        unknown = unknown | F.expr(known).isNull()  # null: never known
    label = F.when(unknown, F.lit(None)).otherwise(F.expr(training.expression or "cast(null as double)"))
    kept = [F.col(f"`{c}`") for c in usable]
    with_times = cleaned.withColumn("predict_at", F.expr(predict))
    rows = with_times.select(*kept, "predict_at", label.alias("label"), F.expr(known).alias("label_known_at"))
    fraction = isinstance(rows.schema["label"].dataType, DoubleType | FloatType)
    return rows.withColumn("label", F.nanvl("label", F.lit(None))) if fraction else rows  # NaN says nothing


def _known_at(training: TrainingSet, table: Table) -> str:
    if not training.labelled:
        return "predict_at"
    if table.available_at:
        return f"cast(`{table.available_at}` as timestamp)"
    if training.label_delay:
        return f"predict_at + make_dt_interval(0, 0, 0, {microseconds(training.label_delay) / 1e6:.6f})"
    return "predict_at"


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
