"""Columns of rows that are scored: numbers and marks in NumPy, text in Arrow, vectors in parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]

_PLAIN = {
    "boolean": pa.bool_(), "tinyint": pa.int8(), "smallint": pa.int16(), "int": pa.int32(), "bigint": pa.int64(),
    "float": pa.float32(), "double": pa.float64(), "string": pa.string(), "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"), "timestamp_ntz": pa.timestamp("us"),
}  # fmt: skip


class Column(NamedTuple):
    """Values of one column, or one value for all rows.

    Attributes:
        values: NumPy's floats, integers or booleans; of kind `text` an Arrow array, nulls and all; of `struct` a dict of
            columns; of `list` NumPy's floats, the same list for all rows.
        nulls: Where there is none; what `values` has there means nothing. None: nowhere.
        kind: `number`, `date` (days since 1970), `timestamp` (microseconds since 1970, UTC), `text`, `struct`, `list`.
    """

    values: Any
    nulls: Any = None
    kind: str = "number"


class Hot(NamedTuple):
    """Of each row a 1 at one place of so many."""

    places: npt.NDArray[np.int64]
    width: int


@dataclass(frozen=True)
class Vector:
    """Vectors of all rows, as the parts that they were assembled from.

    Attributes:
        parts: Numbers (rows,), vectors (rows, width), or `Hot`.
    """

    parts: Sequence[Any]

    @property
    def widths(self) -> list[int]:
        """Of the parts."""
        return [_width(part) for part in self.parts]

    def dense(self) -> Floats:
        """(rows, width)."""
        if len(self.parts) == 1 and not isinstance(self.parts[0], Hot) and self.parts[0].ndim == 2:
            return np.asarray(self.parts[0], dtype=np.float64)
        made = np.zeros((len(self), sum(self.widths)))
        at = 0
        for part, width in zip(self.parts, self.widths, strict=True):
            if isinstance(part, Hot):
                made[np.arange(len(part.places)), at + part.places] = 1.0
            else:
                made[:, at : at + width] = part.reshape(len(part), width)
            at += width
        return made

    def picked(self, places: Sequence[int]) -> list[Floats]:
        """The numbers at some places, a column for each."""
        ends = np.cumsum(self.widths)
        found = []
        for place in places:
            number = int(np.searchsorted(ends, place, side="right"))
            part, within = self.parts[number], place - (int(ends[number - 1]) if number else 0)
            if isinstance(part, Hot):
                found.append((part.places == within).astype(np.float64))
            else:
                found.append(part if part.ndim == 1 else part[:, within])
        return found

    def dot(self, weights: Floats) -> Floats:
        """(rows, classes), of weights (classes, width)."""
        total = np.zeros((len(weights), len(self)))
        at = 0
        for part, width in zip(self.parts, self.widths, strict=True):
            of = weights[:, at : at + width]
            if isinstance(part, Hot):
                total += of.take(part.places, axis=1)
            elif part.ndim == 1:
                for row, weight in zip(total, of[:, 0], strict=True):
                    row += part * weight
            else:
                total += of @ part.T
            at += width
        return total.T

    def __len__(self) -> int:
        """Rows."""
        first = self.parts[0]
        return len(first.places if isinstance(first, Hot) else first)


Frame = dict[str, Any]
"""Columns and vectors by name."""


def _width(part: Any) -> int:
    if isinstance(part, Hot):
        return part.width
    return 1 if part.ndim == 1 else int(part.shape[1])


def arrow_type(kind: str) -> pa.DataType:
    """Arrow's type of Spark's simple type.

    Raises:
        ValueError: For one that is neither number, text, mark nor moment.
    """
    if kind.startswith("decimal("):
        digits, scale = kind.removeprefix("decimal(").removesuffix(")").split(",")
        return pa.decimal128(int(digits), int(scale))
    if kind not in _PLAIN:
        raise ValueError(f"columns of type {kind}")
    return _PLAIN[kind]


def column(array: pa.Array) -> Column:
    """A column of an Arrow array."""
    kind = array.type
    if pa.types.is_string(kind):
        return Column(array, None, "text")
    nulls = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    if pa.types.is_boolean(kind):
        return Column((array.fill_null(False) if array.null_count else array).to_numpy(zero_copy_only=False), nulls)
    if pa.types.is_decimal(kind):
        return Column(_decimals(array, kind.scale), nulls)
    if pa.types.is_timestamp(kind):
        return Column(_plain(array.view(pa.int64()), np.int64), nulls, "timestamp")
    if pa.types.is_date32(kind):
        return Column(_plain(array.view(pa.int32()), np.int32).astype(np.int64), nulls, "date")
    values = _plain(array, kind.to_pandas_dtype())
    return Column(values if kind == pa.float64() else _widened(values), nulls)


def _plain(array: pa.Array, kind: Any) -> Any:
    """The memory of an array as it is: where a value is null it holds anything."""
    held = array.buffers()[1]
    if held is None:
        return np.zeros(len(array), kind)
    return np.frombuffer(held, kind, len(array), array.offset * np.dtype(kind).itemsize)


def _widened(values: Any) -> Any:
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


def _decimals(array: pa.Array, scale: int) -> Floats:
    """The nearest doubles: of a whole number that a double holds, divided once; of others one by one."""
    low, high = np.frombuffer(array.buffers()[1], np.int64, 2 * len(array), array.offset * 16).reshape(-1, 2).T
    plain = (np.abs(low) < 2**53) & (high == np.where(low < 0, -1, 0))
    if array.null_count:
        plain |= array.is_null().to_numpy(zero_copy_only=False)
    if scale <= 22 and plain.all():
        return np.asarray(low / 10.0**scale)
    return np.array([0.0 if value is None else float(value) for value in array.to_pylist()])
