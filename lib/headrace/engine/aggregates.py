"""Window aggregates of one column: from Arrow, through the kernels, back to Arrow.

Nulls are ignored, NaN and infinity behave as in Spark SQL: NaN spreads in `sum`, `mean`, `stddev` and is the greatest
value in `min`, `max`, `mode` and quantiles; to `trend` an infinity is no better. `stddev` is the sample's, null below
two; `trend` is null below two distinct times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from headrace.config.windows import FUNCTIONS
from headrace.engine.kernels import Events, Span
from headrace.engine.moments import Moments
from headrace.engine.order import Order
from headrace.engine.sketch import Sketches
from headrace.engine.values import Values, quotient


@dataclass(frozen=True)
class Aggregate:
    """One feature: a function of a column over a window, or over two, divided.

    Attributes:
        name: The feature's column.
        column: The events' column, or `*` with `count` and `since_last`.
        function: One of `FUNCTIONS`, or `p01` ... `p99`.
        window: Length in microseconds.
        per: Length of the window whose value it is divided by.
    """

    name: str
    column: str
    function: str
    window: int
    per: int | None = None

    @property
    def hashed(self) -> bool:
        """Whether hashes of the values do, whatever their length."""
        return self.function == "approx_distinct"

    @property
    def windows(self) -> tuple[int, ...]:
        """Its one or two lengths."""
        return (self.window,) if self.per is None else (self.window, self.per)


def windows_of(asked: Iterable[Aggregate]) -> list[int]:
    """All lengths, each once, from the shortest."""
    return sorted({window for aggregate in asked for window in aggregate.windows})


def evaluate(column: pa.Array | None, spans: Mapping[int, Span], aggregates: Sequence[Aggregate]) -> list[pa.Array]:
    """All aggregates of one column, one value per asking row.

    Args:
        column: The events' values, or their 64-bit hashes for aggregates that are `hashed`; None for `*`.
        spans: Per window length, the events in the window of each row that asks; the rows in ascending order of entity
            and cut-off.
        aggregates: What is asked of this column.
    """
    views: dict[int, _View] = {}
    made: dict[tuple[str, int], pa.Array] = {}

    def value(function: str, window: int) -> pa.Array:
        span = spans[window]
        if (function, window) in made:
            return made[function, window]
        if id(span.events) not in views:
            views[id(span.events)] = _View(column, span.events)
        made[function, window] = views[id(span.events)].aggregate(function, window, span)
        return made[function, window]

    return [
        value(a.function, a.window)
        if a.per is None
        else quotient(value(a.function, a.window), value(a.function, a.per))
        for a in aggregates
    ]


class _View:
    """A column over one set of events; what several aggregates need is computed once."""

    def __init__(self, column: pa.Array | None, events: Events) -> None:
        self._rows = column is None
        self._values = Values(pa.array(np.ones(len(events.entity), np.int8)) if column is None else column, events)

    @cached_property
    def _moments(self) -> Moments:
        return Moments(self._values)

    @cached_property
    def _order(self) -> Order:
        return Order(self._values)

    @cached_property
    def _sketches(self) -> Sketches:
        return Sketches(self._values.events, self._values.numbers, self._values.valid)

    def aggregate(self, function: str, window: int, span: Span) -> pa.Array:
        if function == "approx_distinct":
            return pa.array(self._sketches.distinct(span, window))
        if function == "distinct":
            return self._order.distinct(span, window)
        if function == "mode":
            return self._order.mode(span)
        if function == "trend":
            return self._moments.trend(span)
        count = span.upto - span.without if self._rows else span.sums(self._values.count)
        if function == "count":
            return pa.array(count)
        if function == "since_last":
            return self._values.since_last(span, count)
        if function in ("min", "max", "first", "last"):
            return self._order.pick(function, span, count)
        if function == "sum" and self._values.whole:
            return self._moments.integers(span, count)
        if function in FUNCTIONS:
            return self._moments.of(function, span, count)
        return self._order.quantile(int(function[1:]) / 100, span, count)
