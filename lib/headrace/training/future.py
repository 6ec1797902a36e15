"""Labels that are counted over what happens to an entity after the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.config.checks.spines import default_entity
from headrace.config.durations import DAY, microseconds
from headrace.config.spines import FutureLabel
from headrace.config.sql.aggregates import PLACE, Call, aggregation
from headrace.config.types import Pipeline, Table
from headrace.engine.time import moment
from headrace.engine.windows import window_features
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

ENDS, HAPPENED, KNOWN = "__headrace_ends", "__headrace_happened", "__headrace_known"
SLICES = 4
"""An entity's time is cut into slices of so many windows, so that a hot one is shared among tasks."""
LONG = 36_500 * DAY
"""Windows from here on are not sliced: there is nothing to share."""
VALUE, ENTITY = "__headrace_value_{}", "__headrace_entity_{}"


def entity_of(pipeline: Pipeline, spine: Sequence[str], events: Sequence[str]) -> dict[str, str]:
    """By which columns events belong to a row: {column of the spine: column of the events}.

    Args:
        pipeline: With a label over later events.
        spine: Columns of the spine's cleaned table.
        events: Columns of the events' cleaned table.

    Raises:
        ConfigError: If there are none, or they are not there.
    """
    training = pipeline.training_set
    assert training is not None
    assert training.future is not None
    label = training.future
    entity = label.entity or default_entity(pipeline, events)
    if not entity:
        key = ", ".join(pipeline.tables[training.spine].key) or "none"
        raise ConfigError(
            f"training_set.label: the table {label.from_} has none of the key columns of {training.spine} ({key}); say "
            "which of its columns they are, as `entity: {customer_id: buyer}`"
        )
    for table, there, names in ((training.spine, spine, entity), (label.from_, events, entity.values())):
        lost = [name for name in names if name not in there]
        if lost:
            raise ConfigError(
                f"training_set.label.entity: the table {table} has no column {', '.join(lost)}; it has {', '.join(there)}"
            )
    return dict(entity)


def with_label(
    rows: DataFrame, events: DataFrame, label: FutureLabel, table: Table, delay: int, as_of: datetime
) -> DataFrame:
    """Add the label, as it is known at the logical now.

    An event counts exactly when `t < event_time <= t + within` and it was known by `t + within + delay`; without
    `available_at` it is known when it happens. So a label stays what it was when it became known, whatever is reported
    later. Aggregates are as in `window_features`, of which each row is one cut-off, at `t + within`: without events,
    counts are 0 and all else is null.

    Args:
        rows: With `predict_at` (t), `label_known_at`, and the entity's columns as `ENTITY`, by their number.
        events: With the same entity's columns, and those of the cleaned table.
        label: The configuration.
        table: The events' table.
        delay: Microseconds: how long after its window a label waits for events that are reported late.
        as_of: The logical now.

    Returns:
        The columns of `rows`, and `label`: null where it is not known yet, or entity or time is null. Rows in = rows
        out.
    """
    asked, length = aggregation(label.aggregate), microseconds(label.within)
    keys = [name for name in rows.columns if name.startswith(ENTITY.format(""))]
    ended = rows.withColumn(ENDS, F.timestamp_micros(F.unix_micros("predict_at") + length))
    wanted = {
        PLACE.format(i): ("*" if _rows(call) else VALUE.format(i), call.function, label.within)
        for i, call in enumerate(asked.calls)
    }
    counted = window_features(
        ended,
        _prepared(events, keys, label, table, asked.calls, delay),
        entity=keys,
        spine_time=ENDS,
        event_time=HAPPENED,
        available_at=KNOWN if table.available_at else None,
        aggregates=wanted,
        slice_by=f"{SLICES * length} microseconds" if length < LONG else None,
    )
    known = reduce(and_, (F.col(key).isNotNull() for key in keys), F.col("label_known_at") <= moment(as_of))
    return counted.withColumn("label", F.when(known, F.expr(asked.around))).drop(ENDS, *wanted)


def named(columns: Sequence[str]) -> list[Column]:
    """The entity's columns of one side, as `ENTITY`."""
    return [F.col(f"`{column}`").alias(ENTITY.format(i)) for i, column in enumerate(columns)]


def _rows(call: Call) -> bool:
    return call.value == "*" and call.condition is None


def _prepared(
    events: DataFrame, keys: list[str], label: FutureLabel, table: Table, calls: Sequence[Call], delay: int
) -> DataFrame:
    """Entity, times, and a column per aggregated value, conditions applied."""
    times = [F.col(f"`{table.event_time}`").cast("timestamp").alias(HAPPENED)]
    if table.available_at:  # waiting is the same as knowing earlier
        known = F.unix_micros(F.col(f"`{table.available_at}`").cast("timestamp"))
        times.append(F.timestamp_micros(known - delay).alias(KNOWN))
    values = [_value(call).alias(VALUE.format(i)) for i, call in enumerate(calls) if not _rows(call)]
    kept = events if label.where is None else events.where(F.expr(label.where))
    return kept.select(*keys, *times, *values)


def _value(call: Call) -> Column:
    value = F.lit(1) if call.value == "*" else F.expr(call.value)
    return value if call.condition is None else F.when(F.expr(call.condition), value)
