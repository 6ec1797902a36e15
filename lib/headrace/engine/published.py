"""Window aggregates as a table that people query: a row whenever something new is known, or on a grid of times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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
from headrace.engine.grid import grid_rows
from headrace.engine.kernels import LONGEST, Events, Rows, Span, spans
from headrace.engine.ranks import Wavelet
from headrace.engine.windows import EventColumns, events_of, feature_schema, features, narrowed

VALID_FROM, VALID_UNTIL = "valid_from", "valid_until"


@dataclass(frozen=True)
class Published:
    """What a published table holds.

    Attributes:
        entity: Key columns.
        event_time: When an event happened.
        aggregates: As for `window_features`.
        available_at: When it was known; None: when it happened.
        every: Step of a grid of times in microseconds; None: a row just after each moment of knowledge.
        until: On a grid the last instant at most, in microseconds since 1970.
    """

    entity: list[str]
    event_time: str
    aggregates: Mapping[str, tuple[str, str, str]]
    available_at: str | None = None
    every: int | None = None
    until: int | None = None

    def asked(self, events: DataFrame) -> list[Aggregate]:
        """The features; `since_last` is left out, which holds for no stretch of time."""
        return [a for a in parse(events, self.aggregates) if a.function != "since_last"]


def published_windows(events: DataFrame, of: Published, *, num_buckets: int | None = None) -> DataFrame:
    """The features just after each moment at which an event of the entity became known, or on a grid of times.

    For `valid_from <= t < valid_until` the features are those of `window_features` at t. Events without a key, an
    event time or a time of knowledge are left out. On a grid an entity has rows at the instants at which an event
    counts in the longest window, and at the first one at which none does any more.

    Args:
        events: What happened.
        of: What the table holds.
        num_buckets: Default: four per shuffle partition.

    Returns:
        `entity` columns; `valid_from` (timestamp: the later of event time and `available_at`, or the grid's instant);
        `valid_until` (timestamp: when the next event of the entity is known or one leaves a window, whichever comes
        first; null: never, as far as is known); the features.

    Raises:
        ConfigError: For a column, type, function or window that cannot be used, or a name that would stand twice.
    """
    asked = of.asked(events)
    kinds = buckets.key_types(events, events, of.entity)
    schema = published_schema(events, of, asked)
    frame, columns = narrowed(events, of.entity, kinds, of.event_time, of.available_at, asked)
    count = buckets.bucket_count(events, num_buckets)
    frame = frame.withColumn(BUCKET, buckets.bucket([F.col(key) for key in columns.keys], count))
    compute = _bucket_function(schema.names[: len(of.entity)], columns, asked, of)
    return frame.groupBy(BUCKET).applyInArrow(compute, schema).select(*schema.names)  # type: ignore[arg-type]


def published_schema(events: DataFrame, of: Published, asked: Sequence[Aggregate]) -> T.StructType:
    """Names and types of a published table's columns.

    Raises:
        ConfigError: If a name would stand twice.
    """
    keys = [buckets.field_of(events, name, "entity") for name in of.entity]
    validity = [T.StructField(VALID_FROM, T.TimestampType()), T.StructField(VALID_UNTIL, T.TimestampType())]
    buckets.check_new_names(events.select(*of.entity), [VALID_FROM, VALID_UNTIL], "the column")
    taken = events.select(*of.entity, F.lit(0).alias(VALID_FROM), F.lit(0).alias(VALID_UNTIL))
    buckets.check_new_names(taken, [a.name for a in asked], "the feature")
    return T.StructType([*keys, *validity, *feature_schema(events, asked).fields])


def _bucket_function(
    names: Sequence[str], columns: EventColumns, asked: Sequence[Aggregate], of: Published
) -> Callable[[pa.Table], pa.Table]:
    def compute(table: pa.Table) -> pa.Table:
        table = buckets.in_utc(table)
        casts = [(key, key, kind) for key, kind in zip(columns.keys, columns.kinds, strict=True)]
        _, codes = buckets.entity_codes(table.slice(0, 0), table, casts)
        events = events_of(table, codes, columns)
        entity, cutoff = instants(events, asked, of)
        keys = keys_by_code(table, codes, columns.keys).rename_columns(list(names))
        return rows_at(entity, cutoff, keys, table, codes, columns, asked)

    return compute


def instants(events: Events, asked: Sequence[Aggregate], of: Published) -> tuple[Ints, Ints]:
    """At which times which entities have a row, in ascending order of both."""
    if of.every is not None:
        return grid_rows(events, windows_of(asked)[-1] if asked else 0, of.every, of.until)
    entity, known = events.entity[events.by_known], events.known[events.by_known]
    fresh = np.ones(len(entity), bool)
    fresh[1:] = (np.diff(entity) != 0) | (np.diff(known) != 0)
    return entity[fresh], known[fresh]


def keys_by_code(table: pa.Table, codes: Ints, keys: Sequence[str]) -> pa.Table:
    """One row per entity, at the place of its code."""
    _, rows = np.unique(codes, return_index=True)
    return table.select(list(keys)).take(pa.array(rows))


def rows_at(
    entity: Ints,
    cutoff: Ints,
    keys: pa.Table,
    table: pa.Table,
    codes: Ints,
    columns: EventColumns,
    asked: Sequence[Aggregate],
) -> pa.Table:
    """The published rows of a bucket.

    Args:
        entity: Codes of the rows, ascending.
        cutoff: Their times in microseconds, ascending within an entity.
        keys: The keys at the places of their codes.
        table: The bucket's events.
        codes: Their entities.
        columns: Where the table keeps what.
        asked: The features.
    """
    events = events_of(table, codes, columns)
    rows = Rows(entity, cutoff, np.ones(len(entity), bool))
    until, ends = valid_until(rows, spans(events, entity, cutoff, windows_of(asked)), events)
    utc = pa.timestamp("us", tz="UTC")
    picked = keys.take(pa.array(entity))
    picked = picked.append_column(VALID_FROM, pa.array(cutoff).cast(utc))
    picked = picked.append_column(VALID_UNTIL, pa.array(until, mask=~ends).cast(utc))
    for aggregate, column in zip(asked, features(rows, table, codes, columns, asked), strict=True):
        picked = picked.append_column(aggregate.name, column)
    return picked


def valid_until(rows: Rows, windows: Mapping[int, Span], events: Events) -> tuple[Ints, Bools]:
    """When the features of rows change next, and whether they ever do.

    Args:
        rows: In ascending order of (entity, time).
        windows: The events that count for them, per window.
        events: All events.
    """
    if not len(events):
        return np.zeros(len(rows.cutoff), np.int64), np.zeros(len(rows.cutoff), bool)
    upto = events.known_by(rows.entity, rows.cutoff)
    following = events.by_known[np.minimum(upto, len(events) - 1)]
    ends = (upto < len(events)) & (events.entity[following] == rows.entity)
    until = np.where(ends, events.known[following], 0)
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
