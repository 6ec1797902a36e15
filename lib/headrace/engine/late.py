"""Extremes where events come late: most windows need no more than a look at the range by event time."""

from __future__ import annotations

import numpy as np

from headrace.engine.exact import Ints
from headrace.engine.kernels import Span
from headrace.engine.ranks import extremes
from headrace.engine.values import Values

_SHORT = 8
"""Events per asking row, on average, that are looked at one by one."""


def late_extremes(values: Values, ranks: Ints, span: Span, some: Ints, greatest: bool) -> Ints:
    """The least or greatest rank of the events in windows.

    All events of a window lie between its ends by event time, with others that are not known yet: only the newest can
    be among these. Where the extreme of that range is known, it is the window's; else the range without its newest
    part is asked, and that part event by event.

    Args:
        values: The column.
        ranks: Of each row's value; any where null.
        span: The events in each window.
        some: The rows that ask; their windows are not empty.
        greatest: Else the least.

    Returns:
        Per row that asks the rank, or -1 where too many events would have to be looked at.
    """
    if not len(some):
        return np.zeros(0, np.int64)
    events, prefix = span.events, values.count[1]
    rows = events.by_time[values.valid[events.by_time]]
    ranks, known, cutoff, entity = ranks[rows], events.known[rows], span.cutoff[some], span.entity[some]
    start = prefix[span.without[some]]
    stop = prefix[events.happened_by(entity, cutoff)]
    reduce = np.maximum if greatest else np.minimum
    rank, row = np.divmod(extremes(ranks * len(rows) + np.arange(len(rows)), start, stop, reduce), len(rows))
    open_ = np.flatnonzero(known[row] > cutoff)
    delay = int((known - events.happened[rows]).max())
    newest = np.maximum(start[open_], prefix[events.happened_by(entity[open_], cutoff[open_] - delay)])
    if (stop[open_] - newest).sum() > _SHORT * len(some):
        rank[open_] = -1
        return rank
    none = -1 if greatest else int(ranks.max()) + 1
    found = np.full(len(open_), none, np.int64)
    settled = np.flatnonzero(newest > start[open_])
    found[settled] = extremes(ranks, start[open_][settled], newest[settled], reduce)
    rank[open_] = reduce(found, _one_by_one(ranks, known, newest, stop[open_], cutoff[open_], none, reduce))
    return rank


def _one_by_one(ranks: Ints, known: Ints, start: Ints, stop: Ints, cutoff: Ints, none: int, reduce: np.ufunc) -> Ints:
    """`reduce` of `ranks[start:stop]` over what is known at each cut-off; `none` where nothing is."""
    out = np.full(len(start), none, np.int64)
    filled = np.flatnonzero(stop > start)
    length = (stop - start)[filled]
    begins = np.cumsum(length) - length
    place = np.repeat(start[filled] - begins, length) + np.arange(int(length.sum()))
    counts = np.where(known[place] <= np.repeat(cutoff[filled], length), ranks[place], none)
    if len(filled):
        out[filled] = reduce.reduceat(counts, begins)
    return out
