"""The part of a published table that differs when some entities' events differ from a time on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.engine import buckets
from headrace.engine.aggregates import Aggregate, windows_of
from headrace.engine.buckets import BUCKET
from headrace.engine.published import Published, instants, keys_by_code, published_schema, rows_at
from headrace.engine.windows import EventColumns, events_of, narrowed

SINCE, UNTIL, PREVIOUS = "__headrace_since", "__headrace_until", "__headrace_previous"


def refreshed_windows(events: DataFrame, touched: DataFrame, of: Published) -> DataFrame:
    """The rows of touched entities from a time on, and those that held until then, exactly as `published_windows` has them.

    Args:
        events: What happened: of the touched entities at least the events `within_reach`.
        touched: One row per entity: key columns, `SINCE` (timestamp: nothing that became known before differs), `UNTIL`
            (timestamp: no row from then on is wanted; null: all are) and `PREVIOUS` (array of timestamps: earlier rows
            that are wanted as well, for they held until then or longer).
        of: What the table holds.

    Returns:
        The columns of `published_windows`.
    """
    asked = of.asked(events)
    schema = published_schema(events, of, asked)
    kinds = buckets.key_types(touched, events, of.entity)
    right, columns = narrowed(events, of.entity, kinds, of.event_time, of.available_at, asked)
    keys = [
        buckets.comparable(buckets.column_of(touched, e), kind).alias(key)
        for e, kind, key in zip(of.entity, kinds, columns.keys, strict=True)
    ]
    left = touched.select(*keys, SINCE, UNTIL, PREVIOUS)
    count = buckets.bucket_count(events, None)
    bucket = buckets.bucket([F.col(key) for key in columns.keys], count)
    left, right = left.withColumn(BUCKET, bucket), right.withColumn(BUCKET, bucket)
    compute = _bucket_function(schema.names[: len(of.entity)], columns, asked, of)
    both = left.groupBy(BUCKET).cogroup(right.groupBy(BUCKET))
    return both.applyInArrow(compute, schema).select(*schema.names)  # type: ignore[arg-type]


def within_reach(events: DataFrame, touched: DataFrame, of: Published) -> DataFrame:
    """The events of touched entities that can count at or after `SINCE`, or at earlier rows that still hold then."""
    asked = of.asked(events)
    reach = (windows_of(asked)[-1] if asked else 0) + (of.every or 0)
    known = [F.col(column).cast("timestamp") for column in (of.event_time, of.available_at) if column]
    happened = F.unix_micros(known[0]) >= F.unix_micros(SINCE) - reach
    due = F.greatest(*known) if len(known) > 1 else known[0]
    late = F.unix_micros(due) > F.unix_micros(SINCE) - max(of.every or 0, 1)  # its first instant may be SINCE
    joined = events.join(touched.select(*of.entity, SINCE), of.entity)
    return joined.where(happened | late).select(*events.columns)


def _bucket_function(
    names: Sequence[str], columns: EventColumns, asked: Sequence[Aggregate], of: Published
) -> Callable[[pa.Table, pa.Table], pa.Table]:
    def compute(left: pa.Table, right: pa.Table) -> pa.Table:
        left, right = buckets.in_utc(left), buckets.in_utc(right)
        casts = [(key, key, kind) for key, kind in zip(columns.keys, columns.kinds, strict=True)]
        on_left, codes = buckets.entity_codes(left, right, casts)
        since, until = np.zeros(len(on_left), np.int64), np.zeros(len(on_left), np.int64)
        since[on_left] = buckets.micros(left[SINCE])[0]
        ends, bounded = buckets.micros(left[UNTIL])
        until[on_left] = np.where(bounded, ends, np.iinfo(np.int64).max)
        entity, cutoff = instants(events_of(right, codes, columns), asked, of)
        fresh = (cutoff >= since[entity]) & (cutoff < until[entity])
        before = left[PREVIOUS].combine_chunks()
        entity = np.append(entity[fresh], on_left[np.asarray(pc.list_parent_indices(before))])
        cutoff = np.append(cutoff[fresh], buckets.micros(pa.chunked_array([pc.list_flatten(before)]))[0])
        order = np.lexsort((cutoff, entity))
        keys = keys_by_code(left, on_left, columns.keys).rename_columns(list(names))
        return rows_at(entity[order], cutoff[order], keys, right, codes, columns, asked)

    return compute
