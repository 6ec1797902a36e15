"""Window aggregates as a table that people query: one row whenever something new is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from headrace.engine import buckets
from headrace.engine.aggregates import Aggregate, windows_of
from headrace.engine.asked import parse
from headrace.engine.buckets import BUCKET
from headrace.engine.exact import Bools, Ints
from headrace.engine.kernels import LONGEST, Rows, Span, spans
from headrace.engine.ranks import Wavelet
from headrace.engine.windows import EventColumns, events_of, feature_schema, features, narrowed

VALID_FROM, VALID_UNTIL = "valid_from", "valid_until"


def published_windows(
    events: DataFrame,
    *,
    entity: list[str],
    event_time: str,
    available_at: str | None = None,
    aggregates: Mapping[str, tuple[str, str, str]],
    num_buckets: int | None = None,
) -> DataFrame:
    """The features just after each moment at which an event of the entity became known.

    For `valid_from <= t < valid_until` the features are those of `window_features` at t. Events without a key, an
    event time or a time of knowledge are left out; so are `since_last` features, which no stretch of time has.

    Args:
        events: What happened.
        entity: Key columns.
        event_time: When it happened.
        available_at: When it was known; without this, when it happened.
        aggregates: As for `window_features`.
        num_buckets: Default: four per shuffle partition.

    Returns:
        `entity` columns; `valid_from` (timestamp, the later of event time and `available_at`); `valid_until`
        (timestamp: the next `valid_from` of the entity or the moment when an event leaves a window, whichever comes
        first); the features.

    Raises:
        ConfigError: For a column, type, function or window that cannot be used, or a name that would stand twice.
    """
    asked = [aggregate for aggregate in parse(events, aggregates) if aggregate.function != "since_last"]
    kinds = buckets.key_types(events, events, entity)
    keys = [buckets.field_of(events, name, "entity") for name in entity]
    validity = [T.StructField(VALID_FROM, T.TimestampType()), T.StructField(VALID_UNTIL, T.TimestampType())]
    buckets.check_new_names(events.select(*entity), [VALID_FROM, VALID_UNTIL], "the column")
    buckets.check_new_names(
        events.select(*entity, F.lit(0).alias(VALID_FROM), F.lit(0).alias(VALID_UNTIL)),
        [a.name for a in asked],
        "the feature",
    )
    frame, columns = narrowed(events, entity, kinds, event_time, available_at, asked)
    count = buckets.bucket_count(events, num_buckets)
    frame = frame.withColumn(BUCKET, buckets.bucket([F.col(key) for key in columns.keys], count))
    schema = T.StructType([*keys, *validity, *feature_schema(events, asked).fields])
    compute = _bucket_function([field.name for field in keys], columns, asked)
    return frame.groupBy(BUCKET).applyInArrow(compute, schema).select(*schema.names)  # type: ignore[arg-type]


def _bucket_function(
    names: Sequence[str], columns: EventColumns, asked: Sequence[Aggregate]
) -> Callable[[pa.Table], pa.Table]:
    def compute(table: pa.Table) -> pa.Table:
        table = buckets.in_utc(table)
        casts = [(key, key, kind) for key, kind in zip(columns.keys, columns.kinds, strict=True)]
        _, of = buckets.entity_codes(table.slice(0, 0), table, casts)
        events = events_of(table, of, columns)
        order = events.by_known
        entity, known = of[order], events.known[order]
        fresh = np.ones(len(order), bool)
        fresh[1:] = (np.diff(entity) != 0) | (np.diff(known) != 0)
        rows = Rows(entity[fresh], known[fresh], np.ones(int(fresh.sum()), bool))
        until, ends = valid_until(rows, spans(events, rows.entity, rows.cutoff, windows_of(asked)))
        picked = table.select(list(columns.keys)).take(pa.array(order[fresh])).rename_columns(list(names))
        utc = pa.timestamp("us", tz="UTC")
        picked = picked.append_column(VALID_FROM, pa.array(rows.cutoff).cast(utc))
        picked = picked.append_column(VALID_UNTIL, pa.array(until, mask=~ends).cast(utc))
        for aggregate, column in zip(asked, features(rows, table, of, columns, asked), strict=True):
            picked = picked.append_column(aggregate.name, column)
        return picked

    return compute


def valid_until(rows: Rows, windows: Mapping[int, Span]) -> tuple[Ints, Bools]:
    """When the features of rows in ascending order of (entity, time) change next, and whether they ever do."""
    until, ends = np.zeros(len(rows.cutoff), np.int64), np.zeros(len(rows.cutoff), bool)
    ends[:-1] = np.diff(rows.entity) == 0
    until[:-1] = rows.cutoff[1:]
    for window, span in windows.items():
        filled = np.flatnonzero(span.upto > span.without)
        leaves = span.events.happened[_oldest(span, filled)] + min(window, LONGEST)
        until[filled] = np.where(ends[filled], np.minimum(until[filled], leaves), leaves)
        ends[filled] = True
    return until, ends


def _oldest(span: Span, some: Ints) -> Ints:
    """The event of each window that leaves it first."""
    events = span.events
    if events.in_order:
        return events.by_time[span.without[some]]
    wavelet = Wavelet(events.place[events.by_known], events.place[events.by_time])
    return events.by_time[wavelet.kth(span.upto[some], span.without[some], np.zeros(len(some), np.int64))]
