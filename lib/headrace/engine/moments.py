"""Sums of one column and what follows from them: `sum`, `mean`, `stddev`, `trend`."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.engine import exact
from headrace.engine.exact import Floats, Ints
from headrace.engine.kernels import Span
from headrace.engine.trend import Trend
from headrace.engine.values import Values


class Moments:
    """Sums of a column, each prefix computed once."""

    def __init__(self, values: Values) -> None:
        self._of = values
        self._bits = exact.limb_bits(len(values.valid))
        self._near: dict[int, tuple[Floats, Ints | int]] = {}

    def integers(self, span: Span, count: Ints) -> pa.Array:
        """Sums of integers, as integers."""
        return pa.array(exact.whole(*(span.sums(half) for half in self._halves)), mask=count == 0)

    @cached_property
    def _halves(self) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints]]:
        return self._of.events.prefixes(self._of.numbers >> 32), self._of.events.prefixes(self._of.numbers & 0xFFFFFFFF)

    @cached_property
    def _finite(self) -> NDArray[Any]:
        return np.where(np.isfinite(self._of.numbers), self._of.numbers, 0)

    @cached_property
    def _limbs(self) -> list[exact.Limb]:
        """Narrow enough for their squares and products."""
        return exact.limbs(self._finite, self._bits)

    @cached_property
    def _sums(self) -> list[tuple[int, tuple[Ints, Ints]]]:
        wide = exact.limbs(self._finite, exact.sum_bits(len(self._of.valid)))
        return [(limb.exponent, self._of.events.prefixes(limb.digits)) for limb in wide]

    @cached_property
    def _squares(self) -> list[tuple[int, tuple[Ints, Ints]]]:
        return [(limb.exponent, self._of.events.prefixes(limb.digits)) for limb in exact.squares(self._limbs)]

    @cached_property
    def _special(self) -> tuple[tuple[Ints, Ints], ...] | None:
        """Prefix counts of NaN, infinity and minus infinity, where there are any."""
        if np.isfinite(self._of.numbers).all():
            return None
        kinds = (np.isnan(self._of.numbers), self._of.numbers == np.inf, self._of.numbers == -np.inf)
        return tuple(self._of.events.prefixes(kind) for kind in kinds)

    @cached_property
    def _trend(self) -> Trend:
        return Trend(self._of.events, self._of.valid, self._limbs, self._bits)

    def trend(self, span: Span) -> pa.Array:
        """Least-squares slopes per day; NaN with a NaN or infinity in the window, null below two distinct times."""
        values, there = self._trend.slopes(span)
        if self._special is not None:
            for prefix in self._special:
                values[span.sums(prefix) > 0] = np.nan
        return pa.array(values, mask=~there, from_pandas=False)

    def _near_sum(self, span: Span) -> tuple[Floats, Ints | int]:
        """One rounding for the sum and the mean of a window."""
        if id(span) not in self._near:
            self._near[id(span)] = exact.near_sum(_parts(self._sums, span), len(span.upto))
        return self._near[id(span)]

    def of(self, function: str, span: Span, count: Ints) -> pa.Array:
        """`sum`, `mean` or `stddev` as doubles."""
        if function == "sum":
            values = exact.total(*self._near_sum(span))
        elif function == "mean":
            values = exact.mean(*self._near_sum(span), count)
        else:
            values = exact.stddev(_parts(self._sums, span), _parts(self._squares, span), count)
        if self._special is not None:
            nan, plus, minus = (span.sums(prefix) > 0 for prefix in self._special)
            values[plus], values[minus] = np.inf, -np.inf
            values[nan | (plus & minus) | ((plus | minus) & (function == "stddev"))] = np.nan
        return pa.array(values, mask=count < (2 if function == "stddev" else 1), from_pandas=False)


def _parts(limbs: list[tuple[int, tuple[Ints, Ints]]], span: Span) -> list[exact.PartialSum]:
    return [exact.PartialSum(at, span.sums(prefix)) for at, prefix in limbs]
