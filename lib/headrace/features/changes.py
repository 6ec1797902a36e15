"""Which entities of a feature table new, late and withdrawn events touch, and what that changes in it: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from headrace.engine import buckets
from headrace.engine.aggregates import windows_of
from headrace.engine.grid import next_instant
from headrace.engine.published import VALID_FROM, VALID_UNTIL, Published
from headrace.engine.refreshed import PREVIOUS, SINCE, UNTIL, refreshed_windows, within_reach
from headrace.engine.time import moment
from headrace.runtime.merging import CHANGE

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_DAY, _HASH = "__headrace_day", "__headrace_hash"
_SUMS = ("__headrace_rows", "__headrace_low", "__headrace_high")
_HALF = 1 << 32
NAMED = 10_000
"""Entities at most that a condition names one by one."""
_DAY_LONG = 86_400_000_000
FOREVER = 1 << 60
"""A reach in microseconds that leads beyond all times."""
FIRST = 62_135_596_800_000_000
"""Microseconds from the year 1 to 1970."""


def comparable(events: DataFrame) -> bool:
    """Whether the events can be told apart by hashes of their columns."""
    return not any(buckets.unordered(f.dataType) for f in events.schema)


def differing(old: DataFrame, new: DataFrame, of: Published) -> DataFrame:
    """Entities whose events differ, and since when.

    Both sides are added up by entity and day of knowledge: how many rows there are, and sums of their hashes. No row
    is sorted or joined, and where nothing differs nothing is left.

    Args:
        old: Prepared events as they were; those that stay may be missing on both sides.
        new: Prepared events as they are, of the same columns.
        of: What the table holds.

    Returns:
        Entity columns; `SINCE` (timestamp): no event known before it differs; `UNTIL` (timestamp): from then on no event
        that differs is in any window.
    """
    day = F.date_trunc("day", _due(of)).alias(_DAY)
    row = F.xxhash64(*(part for c in old.columns for part in (F.col(f"`{c}`"), F.col(f"`{c}`").isNull())))
    sides = [_signed(frame, of, day, row, sign) for frame, sign in ((old, -1), (new, 1))]
    sums = sides[0].unionByName(sides[1]).groupBy(*of.entity, _DAY)
    differ = sums.agg(*(F.sum(part).alias(part) for part in _SUMS))
    return (
        differ.where(reduce(or_, (F.col(part) != 0 for part in _SUMS)))
        .groupBy(*of.entity)
        .agg(F.min(_DAY).alias(SINCE), _gone_by(F.max(_DAY), new, of).alias(UNTIL))
    )


def _gone_by(day: Column, events: DataFrame, of: Published) -> Column:
    """When the last event known on a day has left all windows, and a grid has told so; null: never."""
    reach = _reach(events, of)
    if reach >= FOREVER:
        return F.lit(None).cast("timestamp")
    return F.timestamp_micros(F.unix_micros(day) + _DAY_LONG + reach)


def _reach(events: DataFrame, of: Published) -> int:
    """How long an event matters after it happened, in microseconds."""
    asked = of.asked(events)
    return (windows_of(asked)[-1] if asked else 0) + (of.every or 0)


def _signed(frame: DataFrame, of: Published, day: Column, row: Column, sign: int) -> DataFrame:
    """Rows counted, and the halves of their hashes (so that sums do not overflow), as plus or minus."""
    there = reduce(and_, (F.col(name).isNotNull() for name in [*of.entity, _DAY]))
    low, high = F.pmod(F.col(_HASH), F.lit(_HALF)), F.shiftright(_HASH, 32).cast("bigint")
    named = frame.select(*of.entity, day, row.alias(_HASH)).where(there)
    parts = zip(_SUMS, (F.lit(1).cast("bigint"), low, high), strict=True)
    return named.select(*of.entity, _DAY, *((part * sign).alias(name) for name, part in parts))


def newly_known(events: DataFrame, of: Published, after: datetime) -> DataFrame:
    """Entities with events that became known after a moment, and since when."""
    there = reduce(and_, (F.col(name).isNotNull() for name in of.entity))
    later = events.withColumn(SINCE, _due(of)).where(there & (F.col(SINCE) > moment(after)))
    return later.groupBy(*of.entity).agg(F.min(SINCE).alias(SINCE))


def instants_to_come(events: DataFrame, of: Published, after: datetime) -> DataFrame:
    """Entities that can have rows at a grid's instants after a moment, and the first of these."""
    assert of.every is not None
    there = reduce(and_, (F.col(name).isNotNull() for name in of.entity))
    reach = timedelta(microseconds=_reach(events, of))
    active = events.where(there & (_due(of) > moment(after - reach)) | there & (_happened(of) > moment(after - reach)))
    return active.select(*of.entity).distinct().withColumn(SINCE, moment(next_instant(after, of.every)))


def everybody(
    events: DataFrame, table: DataFrame, of: Published, since: datetime | None, until: datetime | None
) -> DataFrame:
    """All entities there are or were, and a window that is to be computed anew: `SINCE`, `UNTIL` (null: without end)."""
    there = reduce(and_, (F.col(name).isNotNull() for name in of.entity))
    entities = events.where(there).select(*of.entity).unionByName(table.select(*of.entity)).distinct()
    first = moment(since) if since else F.timestamp_micros(F.lit(-FIRST))
    return entities.select("*", first.alias(SINCE), _until(until))


def _until(moment_: datetime | None) -> Column:
    return (moment(moment_) if moment_ else F.lit(None).cast("timestamp")).alias(UNTIL)


def earliest(*touched: DataFrame, entity: list[str]) -> DataFrame:
    """Of several findings, per entity the earliest `SINCE`, and `UNTIL` the latest: null, where one has no end."""
    sides = [side if UNTIL in side.columns else side.select("*", _until(None)) for side in touched]
    until = F.when(F.count(UNTIL) == F.count("*"), F.max(UNTIL)).alias(UNTIL)
    return reduce(lambda a, b: a.unionByName(b), sides).groupBy(*entity).agg(F.min(SINCE).alias(SINCE), until)


def concerned(table: DataFrame, touched: DataFrame, of: Published) -> DataFrame:
    """The rows of a table that can differ when something does from `SINCE` on, and are wanted; with `SINCE`, `UNTIL`."""
    from_, until, since, end = (F.col(c) for c in (VALID_FROM, VALID_UNTIL, SINCE, UNTIL))
    holds = (from_ >= since) | until.isNull() | (until >= since)
    return table.join(touched, of.entity).where(holds & (end.isNull() | (from_ < end)))


def with_rows_before(touched: DataFrame, standing: DataFrame, of: Published) -> DataFrame:
    """Add `PREVIOUS`, the times of rows before `SINCE` that held until then or longer.

    Such a row may now end elsewhere: just after events it is the last one, on a grid there may be several. A row that
    had ended before stays as it is.

    Args:
        touched: Entities, `SINCE`, `UNTIL`.
        standing: Of `concerned`.
        of: What the table holds.
    """
    before = standing.where(F.col(VALID_FROM) < F.col(SINCE)).groupBy(*of.entity)
    previous = before.agg(F.collect_list(VALID_FROM).alias(PREVIOUS))
    none = F.lit([]).cast("array<timestamp>")
    rows = touched.join(previous, of.entity, "left")
    return rows.withColumn(PREVIOUS, F.coalesce(PREVIOUS, none))


def near(events: DataFrame, since: int, of: Published) -> DataFrame:
    """The events that can matter at or after a moment (microseconds): files without any are not read."""
    wanted = F.col(of.event_time) >= F.timestamp_micros(F.lit(since - min(_reach(events, of), since + FIRST)))
    if of.available_at is None:
        return events.where(wanted)
    first = since - min(
        of.every or 0, since + FIRST
    )  # what became known within a step before has its first instant here
    return events.where(wanted | (F.col(of.available_at) >= F.timestamp_micros(F.lit(first))))


def near_rows(table: DataFrame, since: int) -> DataFrame:
    """The rows of a table that hold at or after a moment (microseconds): no other can change."""
    from_, until = F.col(VALID_FROM), F.col(VALID_UNTIL)
    moment_ = F.timestamp_micros(F.lit(since))
    return table.where((from_ >= moment_) | until.isNull() | (until >= moment_))


def only_rows(touched: DataFrame, of: Published, since: int, entities: int) -> str:
    """SQL over a table `t` that holds for all its rows that can change. Runs a Spark job where few entities are touched.

    A MERGE that inserts, too, sorts all rows of the table for which this holds.

    Args:
        touched: Entities, each once.
        of: What the table holds.
        since: From when on rows can change, in microseconds.
        entities: How many are touched.
    """
    later = f"t.{VALID_FROM} >= timestamp_micros({since})"
    named = only_entities(touched, of.entity) if entities <= NAMED else None
    return f"{later} AND {named}" if named else later


def only_entities(touched: DataFrame, entity: Sequence[str]) -> str | None:
    """SQL over a table `t` that holds for all rows of entities, where these are few; else None. Runs a Spark job."""
    if not all(hashes_alike(touched.schema[name].dataType) for name in entity):
        return None
    columns = [F.col(buckets.quoted(name)) for name in entity]
    hashes = touched.select(F.xxhash64(*columns).alias(_HASH)).distinct().limit(NAMED + 1).collect()
    if len(hashes) > NAMED:
        return None
    keys = ", ".join(f"t.{buckets.quoted(name)}" for name in entity)
    return f"xxhash64({keys}) IN ({', '.join(f'{row[_HASH]}L' for row in hashes)})"


def hashes_alike(kind: T.DataType) -> bool:
    """Whether equal values have equal hashes; of texts that ignore case they have not."""
    return not buckets.collated(kind)


def changed_rows(events: DataFrame, touched: DataFrame, standing: DataFrame, of: Published) -> DataFrame:
    """What a table must be given, and lose, to be as if made anew.

    Args:
        events: Prepared events as they are; those that cannot matter may be missing.
        touched: Entities, `SINCE`, `UNTIL`.
        standing: Of `concerned`.
        of: What the table holds.

    Returns:
        The table's columns and `_change` (insert, update, delete); rows that stay as they are are not among them.
    """
    keys = [*of.entity, VALID_FROM]
    fresh = refreshed_windows(within_reach(events, touched, of), with_rows_before(touched, standing, of), of)
    new = fresh.select(*keys, F.struct(*map(buckets.quoted, fresh.columns)).alias("new"))
    old = standing.select(*keys, F.struct(*map(buckets.quoted, fresh.columns)).alias("old"))
    both = new.join(old, keys, "full")
    differs = reduce(
        or_, (~F.col(f"new.{n}").eqNullSafe(F.col(f"old.{n}")) for n in map(buckets.quoted, fresh.columns))
    )
    gone, come = F.col("new").isNull(), F.col("old").isNull()
    change = F.when(gone, "delete").when(come, "insert").when(differs, "update")
    row = F.coalesce("new", "old")
    return both.select(row.alias("row"), change.alias(CHANGE)).where(F.col(CHANGE).isNotNull()).select("row.*", CHANGE)


def _happened(of: Published) -> Column:
    return F.col(of.event_time).cast("timestamp")


def _due(of: Published) -> Column:
    """When an event is known; null: never."""
    if of.available_at is None:
        return _happened(of)
    available = F.col(of.available_at).cast("timestamp")
    return F.when(_happened(of).isNotNull() & available.isNotNull(), F.greatest(_happened(of), available))
