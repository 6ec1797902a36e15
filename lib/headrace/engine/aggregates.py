"""Window aggregates of one column: from Arrow, through the kernels, back to Arrow.

Nulls are ignored, NaN and infinity behave as in Spark SQL: NaN spreads in `sum`, `mean`, `stddev` and is the greatest
value in `min`, `max` and quantiles. `stddev` is the sample's, null below two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.engine import exact
from headrace.engine.exact import Bools, Floats, Ints
from headrace.engine.kernels import Events, Span, distinct
from headrace.engine.ranks import Wavelet, dense_ranks, extremes

PLAIN = ("count", "sum", "mean", "stddev", "min", "max", "first", "last", "distinct")


@dataclass(frozen=True)
class Aggregate:
    """One feature: a function of a column over a window.

    Attributes:
        name: The feature's column.
        column: The events' column, or `*` with `count`.
        function: One of `PLAIN`, or `p01` ... `p99`.
        window: Length in microseconds.
    """

    name: str
    column: str
    function: str
    window: int

    @property
    def quantile(self) -> float | None:
        """The share for `pNN`, else None."""
        return None if self.function in PLAIN else int(self.function[1:]) / 100


def evaluate(column: pa.Array | None, spans: Mapping[int, Span], aggregates: Sequence[Aggregate]) -> list[pa.Array]:
    """All aggregates of one column, one value per asking row.

    Args:
        column: The events' values; None for `*`.
        spans: Per window length, the events in the window of each row that asks.
        aggregates: What is asked of this column.
    """
    views: dict[int, _View] = {}
    out = []
    for aggregate in aggregates:
        span = spans[aggregate.window]
        if column is None:
            out.append(pa.array(span.upto - span.without))
            continue
        if id(span.events) not in views:
            views[id(span.events)] = _View(column, span.events)
        out.append(views[id(span.events)].aggregate(aggregate, span))
    return out


class _View:
    """A column over one set of events; what several aggregates need is computed once."""

    def __init__(self, column: pa.Array, events: Events) -> None:
        self.column, self.events = column, events
        self.valid: Bools = np.asarray(column.is_valid())

    def aggregate(self, aggregate: Aggregate, span: Span) -> pa.Array:
        function = aggregate.function
        if function == "distinct":
            return pa.array(distinct(span, self.ranks, self._by_code, aggregate.window))
        count = span.sums(self._count)
        if function == "count":
            return pa.array(count)
        if function in ("min", "max", "first", "last"):
            return self._pick(function, span, count)
        if function == "sum" and self.numbers.dtype.kind == "i" and not pa.types.is_boolean(self.column.type):
            return pa.array(exact.whole(*(span.sums(half) for half in self._halves)), mask=count == 0)
        if aggregate.quantile is not None:
            return pa.array(self._quantile(aggregate.quantile, span, count), mask=count == 0)
        return self._moment(function, span, count)

    # -- sums ------------------------------------------------------------------------------------------------

    @cached_property
    def numbers(self) -> NDArray[Any]:
        """The values as int64 or float64; 0 where null."""
        kind = self.column.type
        column = self.column.cast(pa.int8() if pa.types.is_boolean(kind) else pa.float64() if _inexact(kind) else kind)
        values = column.fill_null(0).to_numpy(zero_copy_only=False)
        return values.astype(np.float64 if values.dtype.kind == "f" else np.int64, copy=False)

    @cached_property
    def _count(self) -> tuple[Ints, Ints]:
        return self.events.prefixes(self.valid)

    @cached_property
    def _halves(self) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints]]:
        return self.events.prefixes(self.numbers >> 32), self.events.prefixes(self.numbers & 0xFFFFFFFF)

    @cached_property
    def _limbs(self) -> list[exact.Limb]:
        finite = np.where(np.isfinite(self.numbers), self.numbers, 0)
        return exact.limbs(finite, exact.limb_bits(len(finite)))

    @cached_property
    def _sums(self) -> list[tuple[int, tuple[Ints, Ints]]]:
        return [(limb.exponent, self.events.prefixes(limb.digits)) for limb in self._limbs]

    @cached_property
    def _squares(self) -> list[tuple[int, tuple[Ints, Ints]]]:
        return [(limb.exponent, self.events.prefixes(limb.digits)) for limb in exact.squares(self._limbs)]

    @cached_property
    def _special(self) -> tuple[tuple[Ints, Ints], ...] | None:
        """Prefix counts of NaN, infinity and minus infinity, where there are any."""
        if np.isfinite(self.numbers).all():
            return None
        kinds = (np.isnan(self.numbers), self.numbers == np.inf, self.numbers == -np.inf)
        return tuple(self.events.prefixes(kind) for kind in kinds)

    def _moment(self, function: str, span: Span, count: Ints) -> pa.Array:
        parts = [exact.PartialSum(at, span.sums(prefix)) for at, prefix in self._sums]
        if function == "sum":
            values = exact.total(parts, len(count))
        elif function == "mean":
            values = exact.mean(parts, count)
        else:
            square_parts = [exact.PartialSum(at, span.sums(prefix)) for at, prefix in self._squares]
            values = exact.stddev(parts, square_parts, count)
        if self._special is not None:
            nan, plus, minus = (span.sums(prefix) > 0 for prefix in self._special)
            values[plus], values[minus] = np.inf, -np.inf
            values[nan | (plus & minus) | ((plus | minus) & (function == "stddev"))] = np.nan
        return pa.array(values, mask=count < (2 if function == "stddev" else 1), from_pandas=False)

    # -- order -----------------------------------------------------------------------------------------------

    @cached_property
    def _ranked(self) -> tuple[Ints, Ints]:
        """Rank of each row's value (any where null), and a row for each rank."""
        kind = self.column.type
        if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return self._valid_ranks(self.numbers[self.valid])
        if pa.types.is_temporal(kind):
            width = pa.int32() if pa.types.is_date32(kind) else pa.int64()
            return self._valid_ranks(np.asarray(self.column.drop_null().cast(width)))
        encoded = self.column.drop_null().dictionary_encode()
        order = np.asarray(pc.sort_indices(encoded.dictionary)).astype(np.int64)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        return self._valid_ranks(rank[np.asarray(encoded.indices)])

    def _valid_ranks(self, values: NDArray[Any]) -> tuple[Ints, Ints]:
        valid_ranks, row = dense_ranks(values)
        ranks = np.zeros(len(self.valid), np.int64)
        ranks[self.valid] = valid_ranks
        return ranks, np.flatnonzero(self.valid)[row]

    @property
    def ranks(self) -> Ints:
        return self._ranked[0]

    @cached_property
    def _by_code(self) -> Ints:
        """Rows by entity, value and time of knowledge."""
        e, rows = self.events, self.events.by_known[self.valid[self.events.by_known]]
        return rows[np.lexsort((self.ranks[rows], e.entity[rows]))]

    @cached_property
    def _by_value(self) -> Wavelet:
        return Wavelet(*self._orders(self.ranks))

    @cached_property
    def _turns(self) -> tuple[Ints, Ints]:
        """Rows in the order of `first` and `last` (event time, knowledge, value), and each row's place in it."""
        e, rows = self.events, self.events.by_time[self.valid[self.events.by_time]]
        tied = (np.diff(e.entity[rows]) == 0) & (np.diff(e.happened[rows]) == 0) & (np.diff(e.known[rows]) == 0)
        if tied.any():
            rows = rows[np.lexsort((self.ranks[rows], e.known[rows], e.happened[rows], e.entity[rows]))]
        place = np.zeros(len(self.valid), np.int64)
        place[rows] = np.arange(len(rows))
        return rows, place

    @cached_property
    def _by_turn(self) -> Wavelet:
        return Wavelet(*self._orders(self._turns[1]))

    @cached_property
    def _in_turn(self) -> Ints:
        return self._orders(self.ranks)[0]

    def _orders(self, ranks: Ints) -> tuple[Ints, Ints]:
        """Ranks of the rows that are not null in the two orders, the same object where they are one."""
        e = self.events
        known = ranks[e.by_known[self.valid[e.by_known]]]
        return known, known if e.in_order else ranks[e.by_time[self.valid[e.by_time]]]

    def _bounds(self, span: Span, some: Ints) -> tuple[Ints, Ints]:
        """Ends of the two prefixes when nulls are left out."""
        plus, minus = self._count
        return plus[span.upto[some]], minus[span.without[some]]

    def _pick(self, function: str, span: Span, count: Ints) -> pa.Array:
        """The row that holds the answer, taken from the column: any type keeps its type."""
        some = np.flatnonzero(count)
        upto, without = self._bounds(span, some)
        by_value = function in ("min", "max")
        wanted = np.zeros(len(some), np.int64) if function in ("min", "first") else count[some] - 1
        if not self.events.in_order:
            place = (self._by_value if by_value else self._by_turn).kth(upto, without, wanted)
        elif by_value:
            reduce = np.minimum if function == "min" else np.maximum
            place = extremes(self._in_turn, without, upto, reduce)
        else:
            place = without + wanted
        rows = np.full(len(count), -1, np.int64)
        rows[some] = (self._ranked[1] if by_value else self._turns[0])[place]
        return self.column.take(pa.array(rows, mask=rows < 0))

    def _quantile(self, share: float, span: Span, count: Ints) -> Floats:
        """Spark's `percentile`: linear between the two neighbours."""
        some = np.flatnonzero(count)
        upto, without = self._bounds(span, some)
        position = (count[some] - 1) * share
        below, above = np.floor(position), np.ceil(position)
        values = self.numbers.astype(np.float64)[self._ranked[1]]
        lower = values[self._by_value.kth(upto, without, below.astype(np.int64))]
        upper = lower.copy()
        apart = np.flatnonzero(above > below)
        upper[apart] = values[self._by_value.kth(upto[apart], without[apart], above[apart].astype(np.int64))]
        with np.errstate(invalid="ignore"):
            between = (above - position) * lower + (position - below) * upper
        out = np.zeros(len(count))
        out[some] = np.where(lower == upper, lower, between)
        return out


def _inexact(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))
