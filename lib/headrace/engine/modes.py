"""The most frequent value in each window.

An event counts for a run of neighbouring rows: from the first that knows it to the last before it has left the
window. So each value's frequency is a staircase over the rows, and the answer at a row is the highest step above it.
"""

from __future__ import annotations

import numpy as np

from headrace.engine.exact import Bools, Ints
from headrace.engine.kernels import Span


def most_frequent(span: Span, ranks: Ints, valid: Bools) -> Ints:
    """The rank of the most frequent value, of several the smallest; -1 where there is none.

    Args:
        span: The events in each window, of rows in ascending order of entity and cut-off.
        ranks: Of each value, from 0, per row of the columns.
        valid: Which rows have a value.
    """
    events, stop = span.events, len(span.upto)
    places = np.flatnonzero(valid[events.by_known])
    rows = events.by_known[places]
    comes = np.searchsorted(span.upto, places, side="right")
    goes = np.searchsorted(span.without, events.place[rows], side="right")
    ever = np.flatnonzero(goes > comes)
    if not len(ever):
        return np.full(stop, -1, np.int64)
    value = ranks[rows[ever]] * (stop + 1)
    code = np.concatenate([value + comes[ever], value + goes[ever]])
    order = np.argsort(code)
    code, step = code[order], np.where(order < len(ever), 1, -1)
    settled = np.append(np.diff(code) != 0, True)
    frequency, (rank, begin) = np.cumsum(step)[settled], np.divmod(code[settled], stop + 1)
    end = np.append(begin[1:], 0)
    some = frequency > 0
    size = int(ranks.max()) + 1
    best = _highest(begin[some], end[some], frequency[some] * size + (size - 1 - rank[some]), stop)
    return np.where(best < 0, -1, size - 1 - best % size)


def _highest(begin: Ints, end: Ints, height: Ints, places: int) -> Ints:
    """At each place the greatest height of the steps from `begin` to before `end` that stand there; -1: none does.

    Two overlapping powers of two cover a step; from the longest to the shortest, each is handed to its two halves.
    """
    level = np.frexp((end - begin).astype(np.float64))[1] - 1
    table = np.full(places, -1, np.int64)
    for power in range(int(level.max(initial=0)), -1, -1):
        here = np.flatnonzero(level == power)
        np.maximum.at(table, begin[here], height[here])
        np.maximum.at(table, end[here] - (1 << power), height[here])
        if power:
            half = 1 << (power - 1)
            upper = table[:-half].copy()
            np.maximum(table[half:], upper, out=table[half:])
    return table
