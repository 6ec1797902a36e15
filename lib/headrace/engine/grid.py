"""Grids of times: which of their instants a feature table has rows at."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from headrace.config.durations import DAY
from headrace.engine.exact import Ints
from headrace.engine.kernels import Events

MONDAY = 4 * DAY
"""1970-01-05 00:00 UTC in microseconds: a grid by weeks falls on Mondays, one by days or hours on midnights."""


def grid_rows(events: Events, longest: int, every: int, until: int | None) -> tuple[Ints, Ints]:
    """Per entity the instants at which an event counts in the longest window, and the first at which none does any more.

    Entities that have gone quiet get no further rows, however long ago that was.

    Args:
        events: Of a bucket.
        longest: The longest window in microseconds.
        every: The grid's step in microseconds.
        until: The last instant at most, in microseconds; None: without end.

    Returns:
        Entity and instant, in ascending order.
    """
    entity = events.entity[events.by_known]
    first = -((MONDAY - events.known[events.by_known]) // every)
    last = np.maximum(first, -((MONDAY - events.happened[events.by_known] - longest) // every))
    if until is not None:
        last = np.minimum(last, (until - MONDAY) // every)
    there = first <= last
    entity, first, last = entity[there], first[there], last[there]
    if not len(entity):
        return entity, first
    base = int(first.min())
    size = int(last.max()) - base + 2
    begin, reach = entity * size + first - base, np.maximum.accumulate(entity * size + last - base)
    fresh = np.append(True, begin[1:] > reach[:-1])
    starts, ends = begin[fresh], reach[np.append(np.flatnonzero(fresh)[1:] - 1, len(reach) - 1)]
    lengths = ends - starts + 1
    codes = np.repeat(starts - np.append(0, np.cumsum(lengths)[:-1]), lengths) + np.arange(int(lengths.sum()))
    return codes // size, (codes % size + base) * every + MONDAY


def next_instant(at: datetime, every: int) -> datetime:
    """The first instant of a grid after a moment."""
    micros = round(at.timestamp() * 1_000_000)
    return datetime.fromtimestamp((((micros - MONDAY) // every + 1) * every + MONDAY) / 1_000_000, UTC)
