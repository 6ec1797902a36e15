"""The canonical text of an entity: equal keys have equal texts, different keys different ones. Needs no Spark.

A null is `n`; any other value is its text after the number of its bytes and a colon. So no value can be taken for
another, or for two: `("a", "b:c")` is `1:a3:b:c`. Spark builds the same text of the same values (`models.assigned`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_ONE = date(1970, 1, 1)


def entity_text(values: Sequence[Any]) -> str:
    """The text of a key's values.

    Args:
        values: Texts, booleans, whole and decimal numbers, dates (days since 1970), times (microseconds since 1970; one
            without a zone is UTC), nulls. A decimal number has no zeros at its end.

    Raises:
        TypeError: For a value of another type: fractions in floating point are no identity.
    """
    return "".join("n" if value is None else _part(value) for value in values)


def _part(value: Any) -> str:
    text = _text(value)
    return f"{len(text) if text.isascii() else len(text.encode('utf-8', 'surrogatepass'))}:{text}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return str(micros(value))
    if isinstance(value, date):
        return str((value - _DAY_ONE).days)
    if isinstance(value, Decimal):
        plain = format(value, "f")
        plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
        return "0" if plain in ("-0", "") else plain
    raise TypeError(f"{type(value).__name__} is no type of a key; cast it to a text or a whole number")


def micros(at: datetime) -> int:
    """Microseconds since 1970; a time without a zone is UTC."""
    gone = (at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH
    return (gone.days * 86_400 + gone.seconds) * 1_000_000 + gone.microseconds
