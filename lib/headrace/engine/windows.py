"""Sliding-window aggregates at each row's own cut-off."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_type

from headrace.engine import buckets
from headrace.engine.aggregates import Aggregate, evaluate, windows_of
from headrace.engine.asked import parse
from headrace.engine.buckets import BUCKET
from headrace.engine.exact import Ints
from headrace.engine.kernels import Events, Rows, spans
from headrace.engine.slices import SLICE, slice_length, sliced_events, sliced_rows

_EVENT_TIME, _AVAILABLE_AT = "__headrace_event_time", "__headrace_available_at"


@dataclass(frozen=True)
class EventColumns:
    """Where a bucket's events keep what, once `narrowed`."""

    keys: tuple[str, ...]
    kinds: tuple[pa.DataType, ...]
    available: bool
    values: Mapping[tuple[str, bool], str]
    "By the events' column, and whether these are its hashes."


def window_features(
    spine: DataFrame,
    events: DataFrame,
    *,
    entity: list[str],
    spine_time: str,
    event_time: str,
    available_at: str | None = None,
    aggregates: Mapping[str, tuple[str, str, str]],
    num_buckets: int | None = None,
    slice_by: str | None = None,
) -> DataFrame:
    """Aggregate, for each row of the spine, the events known at its time.

    An event counts for cut-off t and window w exactly when `available_at <= t` and `t - w < event_time <= t`.
    Nulls are ignored; no events: counts (also of distinct values) are 0, all else null. A row whose key or time has a
    null gets nulls. Rows in are rows out, duplicates too. Sums are exact until they are rounded once, so a result
    depends neither on partitions nor on the order of rows. `first` and `last` go by event time, then by the time of
    knowledge, then by value. A task holds one bucket of both sides in memory (not the pairs); with
    `slice_by` an entity that has a large part of all events is shared among tasks.

    Args:
        spine: Rows to compute features for; all columns are passed through.
        events: What happened; of the same key types.
        entity: Key columns, on both sides.
        spine_time: The spine's cut-off: timestamp, timestamp_ntz (read as UTC) or date (00:00 UTC).
        event_time: When an event happened; events without it never count.
        available_at: When it was known (null: never); without this, when it happened.
        aggregates: Per feature (column, function, window), as `{"delay_mean_3h": ("arr_delay", "mean", "3 hours")}`.
            Functions: count, sum, mean, stddev, min, max, first, last, distinct, p01 ... p99 (exact `percentile`),
            mode (the most frequent value, of several the smallest), trend (least-squares slope over event time, per
            day; null below two distinct times), since_last (seconds from the last event that counts to the cut-off),
            approx_distinct (HyperLogLog, standard error 1.6 %: eight bytes go to Python, however long a value is).
            The column `*` goes with count and since_last. A window `3 hours / 7 days` divides the value over the one
            by that over the other; null where either is, and where it would be by zero. For some of the events only,
            aggregate a column that is null for the others, as `F.when(F.col("amount") > 100, F.col("amount"))`.
        num_buckets: Default: four per shuffle partition.
        slice_by: Cut time into slices of this length, at least the longest window, as `90 days`: the slices of an
            entity are then computed apart, with the same results. An event is shuffled once per slice it reaches.

    Returns:
        The spine's columns, then the features: `count`, `distinct`, `approx_distinct` and the `sum` of integers are
        bigint; `min`, `max`, `first`, `last`, `mode` have the column's type; all else is double (also for decimals and
        booleans, as 0 and 1, and over two windows).
        Timestamps are points in time: the session's time zone changes how they are shown, and nothing else.

    Raises:
        ConfigError: For a column, type, function or window that cannot be used, or a name that would stand twice.

    Example:
        >>> from headrace import window_features
        >>> arrivals = spark.sql(
        ...     "select 'UA' carrier, timestamp'2013-07-01 10:00:00Z' + make_dt_interval(0, h) arrived_at, delay "
        ...     "from values (0, 5), (1, 25), (3, 90) as t(h, delay)"
        ... )
        >>> spine = spark.sql("select 'UA' carrier, timestamp'2013-07-01 12:00:00Z' predict_at")
        >>> rows = window_features(
        ...     spine,
        ...     arrivals,
        ...     entity=["carrier"],
        ...     spine_time="predict_at",
        ...     event_time="arrived_at",
        ...     aggregates={"delay_mean_3h": ("delay", "mean", "3 hours"), "n_1h": ("*", "count", "1 hour")},
        ... )
        >>> rows.select("delay_mean_3h", "n_1h").collect()  # at 13:00 one more arrives: not known yet
        [Row(delay_mean_3h=15.0, n_1h=0)]
    """
    buckets.check_frame(spine, "spine")
    buckets.check_frame(events, "events")
    asked = parse(events, aggregates)
    buckets.check_new_names(spine, [a.name for a in asked], "the feature")
    buckets.check_time(spine, spine_time, "spine_time")
    kinds = buckets.key_types(spine, events, entity)
    right, columns = narrowed(events, entity, kinds, event_time, available_at, asked)
    count = buckets.bucket_count(spine, num_buckets)
    plain = buckets.plain_names(spine)
    names = [plain[buckets.field_of(spine, e, "entity").name] for e in entity]
    casts = list(zip(names, columns.keys, columns.kinds, strict=True))
    keys = [buckets.comparable(buckets.column_of(spine, e), kind) for e, kind in zip(entity, kinds, strict=True)]
    left = spine
    if slice_by is not None:
        longest = windows_of(asked)[-1]
        length = slice_length(slice_by, longest)
        left = sliced_rows(spine, spine_time, length)
        right = sliced_events(right, _EVENT_TIME, _AVAILABLE_AT if available_at else None, longest, length)
        casts, keys = [*casts, (SLICE, SLICE, pa.int64())], [*keys, F.col(SLICE)]
    left = left.withColumn(BUCKET, buckets.bucket(keys, count, spread=buckets.column_of(spine, spine_time)))
    right = right.withColumn(BUCKET, buckets.bucket([F.col(on_right) for _, on_right, _ in casts], count))
    time = plain[buckets.field_of(spine, spine_time, "spine_time").name]
    compute = _bucket_function(list(plain.values()), casts, time, columns, asked)
    passed = [T.StructField(plain[f.name], f.dataType, f.nullable, f.metadata) for f in spine.schema]
    out = T.StructType([*passed, *feature_schema(events, asked).fields])
    left = buckets.renamed(left, plain)
    joined = left.groupBy(BUCKET).cogroup(right.groupBy(BUCKET)).applyInArrow(compute, out)  # type: ignore[arg-type]
    return buckets.renamed(joined.select(*map(buckets.quoted, out.names)), {p: name for name, p in plain.items()})


def _bucket_function(
    names: Sequence[str],
    casts: Sequence[tuple[str, str, pa.DataType]],
    spine_time: str,
    columns: EventColumns,
    asked: Sequence[Aggregate],
) -> Callable[[pa.Table, pa.Table], pa.Table]:
    def compute(left: pa.Table, right: pa.Table) -> pa.Table:
        left, right = buckets.in_utc(left), buckets.in_utc(right if left.num_rows else right.slice(0, 0))
        entity, of = buckets.entity_codes(left, right, casts)
        cutoff, there = buckets.micros(left[spine_time])
        rows = Rows(entity, cutoff, there & (entity >= 0))
        left = left.select(list(names))
        for aggregate, values in zip(asked, features(rows, right, of, columns, asked), strict=True):
            left = left.append_column(aggregate.name, values)
        return left

    return compute


def features(
    rows: Rows, table: pa.Table, entity: Ints, columns: EventColumns, asked: Sequence[Aggregate]
) -> list[pa.Array]:
    """The features of a bucket's rows, in their order.

    Args:
        rows: Who asks.
        table: The bucket's events.
        entity: The events' codes.
        columns: Where the table keeps what.
        asked: The features.
    """
    events = events_of(table, entity, columns)
    order = rows.order
    counted = spans(events, rows.entity[order], rows.cutoff[order], windows_of(asked))
    back = np.full(len(rows.entity), -1, np.int64)
    back[order] = np.arange(len(order))
    taken = pa.array(back, mask=back < 0)
    out: dict[str, pa.Array] = {}
    for source in dict.fromkeys((aggregate.column, aggregate.hashed) for aggregate in asked):
        mine = [aggregate for aggregate in asked if (aggregate.column, aggregate.hashed) == source]
        column = table[columns.values[source]].combine_chunks() if source in columns.values else None
        for aggregate, values in zip(mine, evaluate(column, counted, mine), strict=True):
            out[aggregate.name] = values.take(taken)
    return [out[aggregate.name] for aggregate in asked]


def events_of(table: pa.Table, entity: Ints, columns: EventColumns) -> Events:
    """The kernel's view of a bucket's events."""
    happened, _ = buckets.micros(table[_EVENT_TIME])
    known = np.maximum(happened, buckets.micros(table[_AVAILABLE_AT])[0]) if columns.available else happened
    return Events(entity, happened, known)


def narrowed(
    events: DataFrame,
    entity: Sequence[str],
    kinds: Sequence[T.DataType],
    event_time: str,
    available_at: str | None,
    asked: Sequence[Aggregate],
) -> tuple[DataFrame, EventColumns]:
    """Only the events that can ever count, and of them only what is needed, under names that cannot clash."""
    compared = [buckets.comparable(buckets.column_of(events, e), k) for e, k in zip(entity, kinds, strict=True)]
    keys = {f"__headrace_key_{i}": key for i, key in enumerate(compared)}
    times = {_EVENT_TIME: event_time} | ({_AVAILABLE_AT: available_at} if available_at else {})
    for what, name in times.items():
        buckets.check_time(events, name, what.removeprefix("__headrace_"))
    names = dict.fromkeys((a.column, a.hashed) for a in asked if a.column != "*")
    values = {name: f"__headrace_value_{i}" for i, name in enumerate(names)}
    picked: list[Column] = [column.alias(name) for name, column in keys.items()]
    picked += [buckets.column_of(events, column).alias(name) for name, column in times.items()]
    picked += [_value(events, column, hashed).alias(name) for (column, hashed), name in values.items()]
    frame = buckets.without_nulls(events.select(*picked), [*keys, *times])
    types = tuple(to_arrow_type(kind, timezone="UTC") for kind in kinds)
    return frame, EventColumns(tuple(keys), types, available_at is not None, values)


def _value(events: DataFrame, column: str, hashed: bool) -> Column:
    """A column of the events, or hashes of its values: equal values have equal ones."""
    value = buckets.column_of(events, column)
    if not hashed:
        return value
    same = buckets.comparable(value, buckets.field_of(events, column, "column").dataType)
    return F.when(value.isNotNull(), F.xxhash64(same))


def feature_schema(events: DataFrame, asked: Sequence[Aggregate]) -> T.StructType:
    """Names and types of the features."""
    fields = []
    for aggregate in asked:
        kind: T.DataType = T.DoubleType()
        if aggregate.function in ("count", "distinct", "approx_distinct"):
            kind = T.LongType()
        elif aggregate.function in ("sum", "min", "max", "first", "last", "mode"):
            of = events.schema[aggregate.column].dataType
            if aggregate.function != "sum":
                kind = of
            elif isinstance(of, T.IntegralType):
                kind = T.LongType()
        fields.append(T.StructField(aggregate.name, kind if aggregate.per is None else T.DoubleType()))
    return T.StructType(fields)
