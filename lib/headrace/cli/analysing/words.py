"""What Spark says against an expression, in words and short, with what could be meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.runtime.spark_errors import in_words

if TYPE_CHECKING:
    from pyspark.errors import PySparkException

_MOST = 5
_LONGEST = 400


def told(error: Exception) -> str | None:
    """An error of Spark or of the house in words; None for any other.

    Args:
        error: As it was raised.
    """
    from pyspark.errors import PySparkException

    if isinstance(error, HeadraceError):
        return error.message
    if not isinstance(error, PySparkException):
        return None
    condition = (error.getCondition() or "").partition(".")[0]
    parameters = error.getMessageParameters() or {}
    if condition in ("UNRESOLVED_COLUMN", "UNRESOLVED_MAP_KEY", "FIELD_NOT_FOUND"):
        return _no_column(parameters)
    if condition == "UNRESOLVED_ROUTINE":
        return f"there is no function {_plain(parameters.get('routineName', ''))!r}"
    if condition == "TABLE_OR_VIEW_NOT_FOUND":
        return f"there is no table {_plain(parameters.get('relationName', ''))!r}"
    if condition == "PARSE_SYNTAX_ERROR":
        return f"no SQL expression: syntax error at or near {parameters.get('error', '')}{parameters.get('hint', '')}"
    return _short(error)


def _no_column(parameters: dict[str, str]) -> str:
    name = _plain(parameters.get("objectName", parameters.get("fieldName", "")))
    proposed = [_plain(one) for one in parameters.get("proposal", parameters.get("fields", "")).split(", ") if one]
    close = f"; did you mean {', '.join(map(repr, proposed[:_MOST]))}?" if proposed else ""
    return f"no column is called {name!r}{close}"


def _plain(name: str) -> str:
    return name.replace("`", "")


def _short(error: PySparkException) -> str:
    """The condition's own words, without the plan."""
    words = in_words(error)
    words = re.sub(r"\s*;?\s*line \d+,? pos \d+.*?(?=\[|$)", " ", words)
    words = words if len(words) <= _LONGEST else words[: _LONGEST - 3] + "..."
    return words.strip()
