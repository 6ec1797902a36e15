"""The features of all entities as they are at one time, and until when that holds: what real time looks up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from headrace.config.durations import microseconds
from headrace.config.names import feature_columns
from headrace.config.types import FeatureTable, Table
from headrace.engine import buckets
from headrace.engine.asked import parse
from headrace.engine.assemble import within_reach
from headrace.engine.buckets import BUCKET, quoted, without_nulls
from headrace.engine.definitions import definitions, prepared_events, published
from headrace.engine.point_in_time import point_in_time_join
from headrace.engine.published import VALID_FROM, VALID_UNTIL, Published, keys_by_code, published_schema, rows_at
from headrace.engine.time import known_by, moment
from headrace.engine.windows import EventColumns, events_of, narrowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from pyspark.sql import DataFrame

    from headrace.engine.aggregates import Aggregate

HOLDS_UNTIL = "__headrace_holds_until"
_AT = "__headrace_at"


def values_at(rows: DataFrame, table: FeatureTable, source: Table, at: datetime) -> DataFrame:
    """The features of every entity that has any, as training and scoring would see them at a time.

    Args:
        rows: Of window aggregates the cleaned events, else the feature table.
        table: The feature table.
        source: The cleaned table's configuration.
        at: The time, UTC; nothing that became known later is used.

    Returns:
        Entity columns, each entity once, none with a null; the features; `HOLDS_UNTIL` (timestamp): from when on they are
        others though nothing new is known; null: never.
    """
    if table.kind == "lookup":
        kept = rows.select(*map(quoted, table.entity), *map(quoted, feature_columns(table)))
        return without_nulls(kept.withColumn(HOLDS_UNTIL, F.lit(None).cast("timestamp")), [*map(quoted, table.entity)])
    if table.kind == "latest":
        return _latest(rows, table, at)
    events = within_reach(known_by(rows, source, at), table, source, (at, at))
    return windows_at(prepared_events(events, table, source), published(table, source), at)


def _latest(rows: DataFrame, table: FeatureTable, at: datetime) -> DataFrame:
    keys, features = [quoted(key) for key in table.entity], [c for c in feature_columns(table) if c not in table.entity]
    ends = [F.col(VALID_UNTIL)] if table.until else []
    if table.max_age:
        ends.append(F.timestamp_micros(F.unix_micros("event_time") + microseconds(table.max_age)))
    end = F.least(*ends) if len(ends) > 1 else ends[0] if ends else F.lit(None).cast("timestamp")
    there = rows.where((F.col("event_time") <= moment(at)) & (F.col("available_at") <= moment(at)))
    there = there.where(end.isNull() | (end > moment(at)))
    entities = without_nulls(there.select(*keys), keys).distinct()
    found = point_in_time_join(
        entities.withColumn(_AT, moment(at)),
        there.withColumn(HOLDS_UNTIL, end),
        entity=list(table.entity),
        spine_time=_AT,
        feature_time="event_time",
        available_at="available_at",
        valid_until=VALID_UNTIL if table.until else None,
        max_age=table.max_age,
        columns=[*features, HOLDS_UNTIL],
    )
    return found.select(*keys, *map(quoted, features), HOLDS_UNTIL)


def windows_at(events: DataFrame, of: Published, at: datetime) -> DataFrame:
    """Window aggregates of every entity that has events at one time.

    Args:
        events: Prepared events, none that happened or became known later.
        of: What the table holds.
        at: The time.
    """
    asked = parse(events, of.aggregates)
    kinds = buckets.key_types(events, events, of.entity)
    schema = published_schema(events, of, asked)
    frame, columns = narrowed(events, of.entity, kinds, of.event_time, of.available_at, asked)
    count = buckets.bucket_count(events, None)
    frame = frame.withColumn(BUCKET, buckets.bucket([F.col(key) for key in columns.keys], count))
    compute = _bucket_function(schema.names[: len(of.entity)], columns, asked, round(at.timestamp() * 1_000_000))
    made = frame.groupBy(BUCKET).applyInArrow(compute, schema)  # type: ignore[arg-type]
    names = [name for name in schema.names if name not in (VALID_FROM, VALID_UNTIL)]
    there = made.where(F.col(VALID_UNTIL).isNotNull())  # else no event is in any window: the same as no entity
    return there.select(*map(quoted, names), F.col(VALID_UNTIL).alias(HOLDS_UNTIL))


def _bucket_function(
    names: Sequence[str], columns: EventColumns, asked: Sequence[Aggregate], at: int
) -> Callable[[pa.Table], pa.Table]:
    def compute(table: pa.Table) -> pa.Table:
        table = buckets.in_utc(table)
        casts = [(key, key, kind) for key, kind in zip(columns.keys, columns.kinds, strict=True)]
        _, codes = buckets.entity_codes(table.slice(0, 0), table, casts)
        keys = keys_by_code(table, codes, columns.keys).rename_columns(list(names))
        events = events_of(table, codes, columns)
        entity = np.unique(events.entity)
        cutoff = np.full(len(entity), at, np.int64)
        return rows_at(entity, cutoff, keys, table, codes, columns, asked)

    return compute


def moving(table: FeatureTable) -> dict[str, int]:
    """Features that grow with every second, and the length of their window in microseconds: `since_last`."""
    return {
        d.name: microseconds(d.window) for d in definitions(table) if d.function == "since_last" and "/" not in d.window
    }


def without_events(table: FeatureTable) -> dict[str, int]:
    """Features of an entity without any event that are not null: counts of one window are 0."""
    counts = ("count", "distinct", "approx_distinct")
    return {d.name: 0 for d in definitions(table) if d.function in counts and "/" not in d.window}
