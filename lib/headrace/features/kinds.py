"""The rows of feature tables of each kind, made from cleaned events: pure functions."""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.config.durations import microseconds
from headrace.config.types import FeatureTable, Table
from headrace.engine.buckets import check_time
from headrace.engine.definitions import clock, known_at, longest_window, prepared_events, published
from headrace.engine.grid import next_instant
from headrace.engine.published import VALID_UNTIL, published_windows
from headrace.engine.time import moment, utc

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def windows(events: DataFrame, table: FeatureTable, source: Table, as_of: datetime | None = None) -> DataFrame:
    """Entity, `valid_from`, `valid_until`, aggregates: just after each moment of knowledge, or on a grid of times."""
    return published_windows(prepared_events(events, table, source), published(table, source, as_of))


def latest(events: DataFrame, table: FeatureTable, source: Table) -> DataFrame:
    """Entity, `event_time`, `available_at`, with `until` also `valid_until`, columns: all that can be the latest some time."""
    time = F.col(clock(table, source))
    available = F.col(known_at(table, source) or clock(table, source))
    columns = [c for c in table.latest if c not in table.entity]
    if table.until:
        check_time(events, table.until, "until")
    times = [time.alias("event_time"), available.alias("available_at")]
    times += [F.col(table.until).alias(VALID_UNTIL)] if table.until else []
    kept = events.select(*table.entity, *times, *columns)
    return kept.where("event_time is not null and available_at is not null")


def lookup(events: DataFrame, table: FeatureTable, source: Table) -> DataFrame:
    """Entity and columns, one row per entity."""
    return events.select(*table.entity, *[c for c in table.lookup if c not in table.entity])


def due(table: FeatureTable, source: Table) -> Column | None:
    """From when on an event is in the feature table; null: never. None: always."""
    if table.kind != "aggregates":
        column = source.available_at or source.event_time
        return F.col(column).cast("timestamp") if column else None
    happened = F.col(clock(table, source)).cast("timestamp")
    known = known_at(table, source)
    if known is None:
        return happened
    available = F.col(known).cast("timestamp")
    return F.when(happened.isNotNull() & available.isNotNull(), F.greatest(happened, available))


def next_change(events: DataFrame, table: FeatureTable, source: Table, as_of: datetime) -> datetime | None:
    """When the feature table changes though its events stay as they are; None: never.

    Of the cleaned table the files with times to come are read; for a grid two columns of all.

    Args:
        events: All rows of the cleaned table, also those that become known later.
        table: The feature table.
        source: The cleaned table's configuration.
        as_of: The logical now.
    """
    known = due(table, source)
    if known is None:
        return None
    now = moment(as_of)
    ahead_of = reduce(
        or_, (F.col(column) > now for column in _times(table, source))
    )  # plain columns: files are skipped
    later = events.where(ahead_of).agg(F.unix_micros(F.min(F.when(known > now, known)))).first()
    assert later is not None  # an aggregate without groups has one row
    moments = [utc(later[0])] if later[0] is not None else []
    if not table.grid:
        return min(moments, default=None)
    happened = F.unix_micros(F.col(clock(table, source)).cast("timestamp"))
    matters = F.greatest(happened + _reach(table), F.unix_micros(known))
    until = events.agg(F.max(F.when(known <= now, matters))).first()
    if until is not None and until[0] is not None:
        step = microseconds(table.grid)
        ahead = next_instant(as_of, step)
        if until[0] > round(ahead.timestamp() * 1_000_000) - step:
            moments.append(ahead)
    return min(moments, default=None)


def _times(table: FeatureTable, source: Table) -> list[str]:
    """The columns of which the later one says when an event is in the feature table."""
    known = source.available_at or source.event_time
    columns = [clock(table, source), known_at(table, source)] if table.kind == "aggregates" else [known]
    return [column for column in columns if column]


def _reach(table: FeatureTable) -> int:
    window = longest_window(table)
    return microseconds(window) if window else 0
