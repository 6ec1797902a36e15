"""A spine of entities: a row for each, at each point of a grid of times from when the entity is there."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.config.durations import microseconds
from headrace.config.spines import EntityGrid
from headrace.config.types import Table
from headrace.engine.time import moment

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

FIRST, LAST = "__headrace_first", "__headrace_last"


def _down(micros: Column, step: int) -> Column:
    """Whole steps, rounded down, also before the anchor. In whole numbers: doubles do not hold microseconds."""
    return F.call_function("div", micros - F.pmod(micros, F.lit(step)), F.lit(step))


def on_grid(entities: DataFrame, grid: EntityGrid, table: Table, as_of: datetime) -> DataFrame:
    """A row per entity and point of the grid.

    Points are `since` (or 1970-01-01 00:00 UTC) and whole steps from it, not before `since`, before `until`, and none
    after the logical now. An entity is there from its event time and its `available_at` on, whichever are declared and
    the later of both, at that very moment too; where one of them is null, never.

    Args:
        entities: A cleaned table, unique by its key.
        grid: The configuration.
        table: The cleaned table's configuration: a key; an event time, `available_at` or `since` of the grid.
        as_of: The logical now.

    Returns:
        The columns of `entities` and `predict_at` (timestamp): unique by key and `predict_at`.
    """
    step, anchor = microseconds(grid.every), F.unix_micros(moment(grid.anchor))
    starts = [F.unix_micros(F.col(f"`{c}`").cast("timestamp")) for c in (table.event_time, table.available_at) if c]
    points = [-_down(anchor - start, step) for start in starts]  # rounded up
    least = [F.lit(0).cast("long")] if grid.since else []
    first = F.greatest(*points, *least) if len(points) + len(least) > 1 else [*points, *least][0]
    for point in points:
        first = F.when(point.isNotNull(), first)  # `greatest` passes over nulls
    end = F.unix_micros(moment(as_of))
    if grid.until is not None:
        end = F.least(end, F.unix_micros(moment(grid.until)) - 1)
    ranged = entities.withColumn(FIRST, first).withColumn(LAST, _down(end - anchor, step))
    there = ranged.where(F.col(FIRST) <= F.col(LAST))  # `sequence` would count down
    number = F.explode(F.sequence(FIRST, LAST))
    at = F.timestamp_micros(F.col(FIRST) * step + anchor)
    return there.withColumn(FIRST, number).withColumn("predict_at", at).drop(FIRST, LAST)
