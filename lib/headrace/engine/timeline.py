"""Rows in ascending order of entity and time: sorted once, and searched by many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from headrace.engine.exact import Bools, Ints

Ties = Callable[[Ints], Sequence[Ints]]
"""The keys, the first the weightiest, of some rows of which entity and time are alike."""
_ROOM = 1 << 63


class Codes:
    """Pairs of entity and time as one 64-bit number each, in the same order: one sort and one search do.

    Where entities and the stretch of time do not fit into 63 bits, times are replaced by their ranks.

    Args:
        entity: Codes, at least -1.
        time: Microseconds.
    """

    def __init__(self, entity: Ints, time: Ints) -> None:
        self._entity, self._time = entity, time
        self._before = int(time.min()) - 1 if len(time) else 0
        self._last = int(time.max()) if len(time) else 0
        self._width = self._last - self._before + 1
        self._beyond = int(entity.max()) + 1 if len(entity) else 0
        fits = (self._beyond + 1) * self._width < _ROOM
        self._ranked = None if fits else _distinct(time)

    def of(self, entity: Ints, time: Ints) -> Ints:
        """The numbers of any pairs: those that lie between two of these come between theirs, or at the lower's."""
        found = np.minimum(entity, self._beyond)  # whoever comes after all: no number may grow too large
        if self._ranked is not None:
            found *= len(self._ranked) + 1
            found += np.searchsorted(self._ranked, time, side="right")
            return found
        found *= self._width
        since = np.clip(time, self._before, self._last)
        since -= self._before
        found += since  # in place: of a hot entity each of these takes as much room as a column
        return found

    @cached_property
    def values(self) -> Ints:
        """The numbers of the pairs given."""
        return self.of(self._entity, self._time)

    def order(self, ties: Ties | None = None) -> Ints:
        """The rows in ascending order; without `ties`, rows of one entity and time come in any."""
        order = np.argsort(self.values)
        if ties is None or len(order) < 2:
            return order
        sorted_ = self.values[order]
        same = sorted_[1:] == sorted_[:-1]
        if same.any():
            places = np.flatnonzero(np.append(same, False) | np.append(False, same))
            rows = order[places]
            order[places] = rows[np.lexsort((*reversed(ties(rows)), sorted_[places]))]
        return order


def _distinct(values: Ints) -> Ints:
    """Each value once, ascending (`np.unique` hashes first, which takes longer than to sort)."""
    ascending = np.sort(values)
    return ascending[np.append(True, ascending[1:] != ascending[:-1])]


class Timeline:
    """Rows by entity and time, searchable.

    Args:
        codes: Of all rows of the columns.
        rows: Those on this line, in ascending order of their codes.
    """

    def __init__(self, codes: Codes, rows: Ints) -> None:
        self._codes, self.rows = codes, rows

    @cached_property
    def _sorted(self) -> Ints:
        return self._codes.values[self.rows]

    def upto(self, entity: Ints, time: Ints) -> Ints:
        """How many rows come before or at (entity, time)."""
        return np.searchsorted(self._sorted, self._codes.of(entity, time), side="right").astype(np.int64)

    def only(self, keep: Bools) -> Timeline:
        """The rows of the columns for which this holds."""
        return Timeline(self._codes, self.rows[keep[self.rows]])

    def in_order(self, rows: Ints) -> bool:
        """Whether rows, which lie by entity, ascend here as well."""
        return not bool((np.diff(self._codes.values[rows]) < 0).any())
