"""Text that is cast: what Spark would take for a value, and people would not."""

from __future__ import annotations

_REALS = ("double", "float")
_MOMENTS = ("timestamp", "timestamp_ntz", "timestamp_ltz")


def castable(column: str, kind: str) -> str:
    """SQL of a column of text without the blanks around it, null where it is blank or only Spark would cast it.

    Spark takes `12D` and `12f` for numbers, as Java does in programs, and a time alone for one of today.

    Args:
        column: SQL of the text.
        kind: SQL type.

    >>> castable("`n`", "bigint")
    "nullif(trim(`n`), '')"
    """
    text = f"nullif(trim({column}), '')"
    if kind.lower() in _REALS:
        return f"if(right({text}, 1) in ('d', 'D', 'f', 'F') and lower(right({text}, 3)) <> 'inf', null, {text})"
    if kind.lower() in _MOMENTS:
        return f"if(':' in (substr({text}, 2, 1), substr({text}, 3, 1)) or left({text}, 1) in ('T', 't'), null, {text})"
    return text
