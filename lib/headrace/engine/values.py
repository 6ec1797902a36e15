"""One column over one set of events: what all of its aggregates need, computed once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.engine.exact import Bools, Floats, Ints
from headrace.engine.kernels import Events, Span


class Values:
    """The values of a column and where they are null.

    Args:
        column: One value per row of the columns; more rows than these events may be in it.
        events: The events.
    """

    def __init__(self, column: pa.Array, events: Events) -> None:
        self.column, self.events = column, events
        self.valid: Bools = np.asarray(column.is_valid())

    @cached_property
    def numbers(self) -> NDArray[Any]:
        """The values as int64 or float64; 0 where null."""
        return numbers(self.column)

    @property
    def whole(self) -> bool:
        """Whether these are integers."""
        return self.numbers.dtype.kind == "i" and not pa.types.is_boolean(self.column.type)

    @cached_property
    def count(self) -> tuple[Ints, Ints]:
        """Prefix counts of what is not null."""
        return self.events.prefixes(self.valid)

    def bounds(self, span: Span, some: Ints) -> tuple[Ints, Ints]:
        """Ends of the two prefixes of some rows' windows when nulls are left out."""
        plus, minus = self.count
        return plus[span.upto[some]], minus[span.without[some]]

    @cached_property
    def _newest(self) -> Ints:
        """After each row that is not null, in the order of knowledge, the place in `by_time` of the last one known."""
        places = self.events.place[self.events.by_known[self.valid[self.events.by_known]]]
        return places if self.events.in_order else np.maximum.accumulate(places)

    def since_last(self, span: Span, count: Ints) -> pa.Array:
        """Seconds from the last event that counts and is not null to the cut-off."""
        some = np.flatnonzero(count)
        last = self.events.by_time[self._newest[self.bounds(span, some)[0] - 1]]
        out = np.zeros(len(count))
        out[some] = (span.cutoff[some] - self.events.happened[last]) / 1_000_000
        return pa.array(out, mask=count == 0)


def numbers(column: pa.Array) -> NDArray[Any]:
    """A column as int64, or float64 where it is no integer or boolean; 0 where null."""
    kind = column.type
    column = column.cast(pa.int8() if pa.types.is_boolean(kind) else pa.float64() if _inexact(kind) else kind)
    values = column.fill_null(0).to_numpy(zero_copy_only=False)
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64, copy=False)


def _inexact(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def quotient(above: pa.Array, below: pa.Array) -> pa.Array:
    """One column of numbers divided by another, as doubles; null where either is, and where it would be by zero."""
    top, bottom = (numbers(side).astype(np.float64) for side in (above, below))
    there: Bools = np.asarray(above.is_valid()) & np.asarray(below.is_valid()) & (bottom != 0)
    with np.errstate(over="ignore", invalid="ignore"):
        values: Floats = top / np.where(there, bottom, 1)
    return pa.array(values, mask=~there, from_pandas=False)
