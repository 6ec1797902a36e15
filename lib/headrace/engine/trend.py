"""The least-squares slope of values over event time, exact until it is rounded once.

The slope is `(n * sum(t x) - sum(t) * sum(x)) / (n * sum(t^2) - sum(t)^2)`. Times are microseconds since the first
event, and a window may be a thousandth of what lies before it: both differences cancel almost all of their digits.
So they are taken in whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headrace.engine import exact
from headrace.engine.digits import carried, cross
from headrace.engine.exact import Bools, Floats, Ints, Limb, PartialSum
from headrace.engine.kernels import Events, Span

DAY = 86_400_000_000
"Microseconds."
_ROWS = 1 << 15
"Rows at a time: their digits then stay in the processor's cache."

Prefix = tuple[Ints, Ints]


class Trend:
    """Slopes of one column over one set of events.

    Args:
        events: The events.
        valid: Which rows of the column count.
        values: Their values in limbs of `bits`, zero where they are not finite.
        bits: As `exact.limb_bits` says.
    """

    def __init__(self, events: Events, valid: Bools, values: Sequence[Limb], bits: int) -> None:
        self._bits = bits
        first = events.happened[valid].min() if valid.any() else 0
        times = exact.limbs(np.where(valid, events.happened - first, 0), bits)
        self._count = events.prefixes(valid)
        self._time, self._square, self._value, self._product = (
            [(limb.exponent, events.prefixes(limb.digits)) for limb in limbs]
            for limbs in (times, exact.squares(times), values, exact.products(times, values))
        )

    def slopes(self, span: Span) -> tuple[Floats, Bools]:
        """Slopes per day, and where there are any: at two distinct times or more."""
        out, there = np.zeros(len(span.upto)), np.zeros(len(span.upto), bool)
        for start in range(0, len(out), _ROWS):
            rows = slice(start, start + _ROWS)
            out[rows], there[rows] = self._some(span.part(rows))
        return out, there

    def _some(self, span: Span) -> tuple[Floats, Bools]:
        rows = len(span.upto)
        count = carried([PartialSum(0, span.sums(self._count))], self._bits)
        time, square, value, product = (
            carried([PartialSum(at, span.sums(prefix)) for at, prefix in prefixes], self._bits)
            for prefixes in (self._time, self._square, self._value, self._product)
        )
        above = cross(count, product, time, value, self._bits)
        below = cross(count, square, time, time, self._bits)
        scale, scale_below = exact.scale_of(above, rows), exact.scale_of(below, rows)
        spread = exact.rounded(below, scale_below, rows)[0]
        there = spread > 0
        with np.errstate(over="ignore"):
            slope = exact.rounded(above, scale, rows)[0] / np.where(there, spread, 1) * DAY
            return np.ldexp(slope, scale - scale_below), there
