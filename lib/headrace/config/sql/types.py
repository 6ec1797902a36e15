"""Names of the SQL types that text can be cast to."""

from __future__ import annotations

import re

from sqlglot import exp
from sqlglot.errors import SqlglotError

from headrace.config.file.complaints import meant

_PLAIN = (
    "string", "boolean", "tinyint", "byte", "smallint", "short", "int", "integer", "bigint", "long", "float", "real",
    "double", "decimal", "dec", "numeric", "date", "timestamp", "timestamp_ntz", "timestamp_ltz", "binary",
)  # fmt: skip
_SIZED = re.compile(r"(?:(?:decimal|dec|numeric) *\( *(\d{1,2}) *(?:, *(\d{1,2}) *)?\)|(?:var)?char *\( *\d{1,9} *\))")

_NESTED = re.compile(r"\s*(struct|array|map)\s*<", re.I)


def wrong_type(text: str) -> str | None:
    """What is wrong with a type, or None where nothing is.

    >>> wrong_type("decimal(12, 2)")
    >>> wrong_type("strng")
    "'strng' is no type for a column; did you mean 'string'?"
    """
    lowered = text.strip().lower()
    sized = _SIZED.fullmatch(lowered)
    if sized and int(sized[1] or 1) <= 38 and int(sized[2] or 0) <= int(sized[1] or 38):
        return None
    if lowered in _PLAIN:
        return None
    close = meant(text, _PLAIN) or "; take one of string, boolean, bigint, double, decimal(p, s), date, timestamp"
    return f"{text!r} is no type for a column{close}"


def wrong_nested(text: str) -> str | None:
    """What is wrong with a type that may be nested, or None where nothing is.

    >>> wrong_nested("struct<city: string, lines: array<string>>")
    >>> wrong_nested("array<string")
    "'array<string' is no type; write it as struct<city: string, lines: array<string>>"
    """
    if not _NESTED.match(text):
        return wrong_type(text)
    told = f"{text!r} is no type; write it as struct<city: string, lines: array<string>>"
    try:
        exp.DataType.build(text, dialect="spark")
    except (SqlglotError, ValueError):
        return told
    return None if text.count("<") == text.count(">") else told
