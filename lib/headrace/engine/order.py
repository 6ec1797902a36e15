"""What follows from the order of one column's values: extremes, first and last, quantiles, distinct and frequent ones."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.engine.exact import Ints
from headrace.engine.kernels import Span, distinct
from headrace.engine.late import late_extremes
from headrace.engine.modes import most_frequent
from headrace.engine.ranks import Wavelet, dense_ranks, extremes
from headrace.engine.values import Values


class Order:
    """The values of a column in their order, and in that of time."""

    def __init__(self, values: Values) -> None:
        self._of = values

    @cached_property
    def _ranked(self) -> tuple[Ints, Ints]:
        """Rank of each row's value (any where null), and a row for each rank."""
        kind = self._of.column.type
        if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return self._valid_ranks(self._of.numbers[self._of.valid])
        if pa.types.is_temporal(kind):
            width = pa.int32() if pa.types.is_date32(kind) else pa.int64()
            return self._valid_ranks(np.asarray(self._of.column.drop_null().cast(width)))
        encoded = self._of.column.drop_null().dictionary_encode()
        order = np.asarray(pc.sort_indices(encoded.dictionary)).astype(np.int64)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        return self._valid_ranks(rank[np.asarray(encoded.indices)])

    @property
    def _ranks(self) -> Ints:
        return self._ranked[0]

    def _valid_ranks(self, values: NDArray[Any]) -> tuple[Ints, Ints]:
        valid_ranks, row = dense_ranks(values)
        ranks = np.zeros(len(self._of.valid), np.int64)
        ranks[self._of.valid] = valid_ranks
        return ranks, np.flatnonzero(self._of.valid)[row]

    @cached_property
    def _by_code(self) -> Ints:
        """Rows by entity, value and time of knowledge."""
        e, rows = self._of.events, self._of.events.by_known[self._of.valid[self._of.events.by_known]]
        return rows[np.lexsort((self._ranks[rows], e.entity[rows]))]

    @cached_property
    def _by_value(self) -> Wavelet:
        return Wavelet(*self._orders(self._ranks))

    @cached_property
    def _turns(self) -> tuple[Ints, Ints]:
        """Rows in the order of `first` and `last` (event time, knowledge, value), and each row's place in it."""
        e, rows = self._of.events, self._of.events.by_time[self._of.valid[self._of.events.by_time]]
        tied = (np.diff(e.entity[rows]) == 0) & (np.diff(e.happened[rows]) == 0) & (np.diff(e.known[rows]) == 0)
        if tied.any():
            rows = rows[np.lexsort((self._ranks[rows], e.known[rows], e.happened[rows], e.entity[rows]))]
        place = np.zeros(len(self._of.valid), np.int64)
        place[rows] = np.arange(len(rows))
        return rows, place

    @cached_property
    def _by_turn(self) -> Wavelet:
        return Wavelet(*self._orders(self._turns[1]))

    @cached_property
    def _newest(self) -> Ints:
        """The last turn among those known: what has left a window is never later than what is in it."""
        return np.maximum.accumulate(self._orders(self._turns[1])[0])

    @cached_property
    def _in_turn(self) -> Ints:
        return self._orders(self._ranks)[0]

    def _orders(self, ranks: Ints) -> tuple[Ints, Ints]:
        """Ranks of the rows that are not null in the two orders, the same object where they are one."""
        e = self._of.events
        known = ranks[e.by_known[self._of.valid[e.by_known]]]
        return known, known if e.in_order else ranks[e.by_time[self._of.valid[e.by_time]]]

    def pick(self, function: str, span: Span, count: Ints) -> pa.Array:
        """`min`, `max`, `first` or `last`: the row that holds the answer, taken from the column: any type keeps its type."""
        some = np.flatnonzero(count)
        upto, without = self._of.bounds(span, some)
        by_value = function in ("min", "max")
        wanted = count[some] - 1 if function == "max" else np.zeros(len(some), np.int64)
        if function == "last":
            place = self._newest[upto - 1]
        elif not self._of.events.in_order:
            place = (
                self._late_extremes(function, span, some, count)
                if by_value
                else self._by_turn.kth(upto, without, wanted)
            )
        elif by_value:
            reduce = np.minimum if function == "min" else np.maximum
            place = extremes(self._in_turn, without, upto, reduce)
        else:
            place = without + wanted
        rows = np.full(len(count), -1, np.int64)
        rows[some] = (self._ranked[1] if by_value else self._turns[0])[place]
        return self._of.column.take(pa.array(rows, mask=rows < 0))

    def _late_extremes(self, function: str, span: Span, some: Ints, count: Ints) -> Ints:
        rank = late_extremes(self._of, self._ranks, span, some, function == "max")
        open_ = np.flatnonzero(rank < 0)
        if len(open_):
            upto, without = self._of.bounds(span, some[open_])
            wanted = count[some[open_]] - 1 if function == "max" else np.zeros(len(open_), np.int64)
            rank[open_] = self._by_value.kth(upto, without, wanted)
        return rank

    def mode(self, span: Span) -> pa.Array:
        """The most frequent value, of several the smallest, in the column's type."""
        rank = most_frequent(span, self._ranks, self._of.valid)
        none = rank < 0
        rows = np.append(self._ranked[1], 0)[np.where(none, -1, rank)]
        return self._of.column.take(pa.array(rows, mask=none))

    def distinct(self, span: Span, window: int) -> pa.Array:
        """The number of distinct values."""
        return pa.array(distinct(span, self._ranks, self._by_code, window))

    def quantile(self, share: float, span: Span, count: Ints) -> pa.Array:
        """Spark's `percentile`: linear between the two neighbours."""
        some = np.flatnonzero(count)
        upto, without = self._of.bounds(span, some)
        position = (count[some] - 1) * share
        below, above = np.floor(position), np.ceil(position)
        values = self._of.numbers.astype(np.float64)[self._ranked[1]]
        lower = values[self._by_value.kth(upto, without, below.astype(np.int64))]
        upper = lower.copy()
        apart = np.flatnonzero(above > below)
        upper[apart] = values[self._by_value.kth(upto[apart], without[apart], above[apart].astype(np.int64))]
        with np.errstate(invalid="ignore"):
            between = (above - position) * lower + (position - below) * upper
        out = np.zeros(len(count))
        out[some] = np.where(lower == upper, lower, between)
        return pa.array(out, mask=count == 0)
