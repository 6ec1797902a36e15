"""SQL types as requests, stored values and Arrow have them. Needs no Spark."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from headrace.models.compiled import columns
from headrace.models.entities import micros

_BITS = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_EPOCH_DAY = date(1970, 1, 1)
_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def arrow_type(kind: str) -> pa.DataType | None:
    """The Arrow type of a SQL type; None for one that no request can give, as a map."""
    try:
        return columns.arrow_type(kind)
    except ValueError:
        return None


def json_schema(kind: str) -> dict[str, Any]:
    """How a value of a SQL type is written in a request, for OpenAPI."""
    if kind in _BITS:
        bound = 2 ** (_BITS[kind] - 1)
        return {"type": ["integer", "null"], "minimum": -bound, "maximum": bound - 1}
    if kind in ("float", "double") or _DECIMAL.fullmatch(kind):
        return {"type": ["number", "null"]}
    if kind == "boolean":
        return {"type": ["boolean", "null"]}
    formats = {"date": "date", "timestamp": "date-time", "timestamp_ntz": "date-time"}
    return {"type": ["string", "null"], **({"format": formats[kind]} if kind in formats else {})}


def _whole(kind: str) -> Callable[[Any], int]:
    bound = 2 ** (_BITS[kind] - 1)

    def convert(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)  # pandas writes 3.0 where a column has nulls
        if type(value) is not int:
            raise ValueError("a whole number")
        if not -bound <= value < bound:
            raise ValueError(f"a whole number from {-bound} to {bound - 1}")
        return value

    return convert


def _fraction(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    if type(value) is str and value in _NUMBERS:
        return _NUMBERS[value]
    raise ValueError('a number (or "NaN", "Infinity", "-Infinity")')


def _decimal(kind: str) -> Callable[[Any], Decimal]:
    precision, scale = map(int, _DECIMAL.fullmatch(kind).groups())  # type: ignore[union-attr]

    def convert(value: Any) -> Decimal:
        says = f"a number of at most {precision - scale} digits before and {scale} after the point"
        if type(value) not in (int, float, str):
            raise ValueError(says)
        try:
            found = Decimal(str(value))
            whole = found.quantize(Decimal(1).scaleb(-scale))
        except InvalidOperation as error:
            raise ValueError(says) from error
        if found != whole or len(whole.as_tuple().digits) > precision:
            raise ValueError(says)
        return whole

    return convert


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("a text")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("true or false")
    return value


def _date(value: Any) -> date:
    try:
        return date.fromisoformat(_text(value))
    except ValueError as error:
        raise ValueError("a day, as 2026-01-31") from error


def moment(value: Any) -> datetime:
    """A point in time as a request gives it, in UTC.

    Raises:
        ValueError: That says what is allowed.
    """
    try:
        at = datetime.fromisoformat(_text(value))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("a time, as 2026-01-31T12:00:00Z") from error


def converter(kind: str) -> Callable[[Any], Any]:
    """What takes a value of JSON, not null, to Python's value of a SQL type.

    The function raises `ValueError` that says what is allowed.
    """
    if kind in _BITS:
        return _whole(kind)
    if _DECIMAL.fullmatch(kind):
        return _decimal(kind)
    if kind == "timestamp_ntz":
        return lambda value: moment(value).replace(tzinfo=None)
    found: dict[str, Callable[[Any], Any]] = {
        "float": _fraction,
        "double": _fraction,
        "boolean": _flag,
        "date": _date,
        "timestamp": moment,
    }
    return found.get(kind, _text)


def stored(column: pa.ChunkedArray | pa.Array) -> list[Any]:
    """Values as an online store keeps them in JSON: times and days as numbers since 1970, decimals as texts."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return list(column.cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64()).to_pylist())
    if pa.types.is_date32(kind):
        return list(column.cast(pa.int32()).to_pylist())
    if pa.types.is_decimal(kind):
        return [None if value is None else str(value) for value in column.to_pylist()]
    return list(column.to_pylist())


def restored(kind: str) -> Callable[[Any], Any] | None:
    """What takes a stored value, not null, back to Python's; None where they are the same."""
    if kind == "timestamp":
        return lambda value: datetime.fromtimestamp(0, UTC) + _span(value)
    if kind == "timestamp_ntz":
        return lambda value: datetime(1970, 1, 1) + _span(value)
    if kind == "date":
        return lambda value: date.fromordinal(_EPOCH_DAY.toordinal() + value)
    return Decimal if _DECIMAL.fullmatch(kind) else None


def _span(value: int) -> Any:
    from datetime import timedelta

    return timedelta(microseconds=value)


def plain(value: Any) -> Any:
    """A value as JSON has it, for answers and logs."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if isinstance(value, date) else value


def table_of(features: Sequence[tuple[str, str]], values: Sequence[Sequence[Any]]) -> pa.Table:
    """Columns of Python values as an Arrow table of the features' types."""
    arrays = [pa.array(some, arrow_type(kind)) for (_, kind), some in zip(features, values, strict=True)]
    return pa.Table.from_arrays(arrays, names=[name for name, _ in features])


__all__ = [
    "arrow_type", "converter", "json_schema", "micros", "moment", "plain", "restored", "stored", "table_of",
]  # fmt: skip
