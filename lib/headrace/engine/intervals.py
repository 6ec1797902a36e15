"""Of rows that each hold from one time until another, the one that comes last among those that hold when asked."""

from __future__ import annotations

import numpy as np

from headrace.engine.exact import Ints
from headrace.engine.timeline import Codes, Timeline

NEVER = np.iinfo(np.int64).max
"""The end of what still holds."""


def last_holding(of: Ints, begins: Ints, ends: Ints, entity: Ints, cutoff: Ints) -> Ints:
    """The last row that holds at each cut-off, or -1: `begins <= cutoff < ends`. They may overlap and lie within others.

    The cut-offs, in their order, are the leaves of a segment tree (de Berg et al., Computational Geometry, 10.3). A row
    holds for a range of leaves, which is at most two nodes on each level; it leaves its number at these, where the
    greatest stays, and a cut-off sees the greatest on its way to the root.

    Args:
        of: Codes of the rows, which come in the order by which the last is meant.
        begins: From when they hold, in microseconds.
        ends: Until when; not at this time any more.
        entity: Codes of those that ask.
        cutoff: Their times.
    """
    codes, asked = Codes(entity, cutoff), len(entity)
    order = codes.order()
    line = Timeline(codes, order)
    low, high = line.upto(of, begins - 1) + asked, line.upto(of, ends - 1) + asked
    tree = np.full(2 * asked, -1, np.int64)
    rows = np.arange(len(of))
    while len(rows):
        some = low < high
        rows, low, high = rows[some], low[some], high[some]
        for node, odd in ((low, low & 1 == 1), (high - 1, high & 1 == 1)):
            np.maximum.at(tree, node[odd], rows[odd])
        low, high = (low + 1) >> 1, high >> 1
    place = np.arange(asked) + asked
    last = np.full(asked, -1, np.int64)
    while place.any():
        last = np.maximum(last, tree[place])
        place >>= 1
    found = np.empty(asked, np.int64)
    found[order] = last
    return found
