"""Spark's errors in words that a person can act on."""

from __future__ import annotations

import re

from headrace.errors import ConfigError, DataError, HeadraceError

_MENDABLE = frozenset(
    "UNRESOLVED_COLUMN UNRESOLVED_ROUTINE PARSE_SYNTAX_ERROR DATATYPE_MISMATCH TABLE_OR_VIEW_NOT_FOUND PATH_NOT_FOUND "
    "UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY AMBIGUOUS_REFERENCE FIELD_NOT_FOUND INVALID_EXTRACT_FIELD_TYPE "
    "WRONG_NUM_ARGS UNSUPPORTED_DATATYPE DATA_SOURCE_NOT_FOUND".split()
)
"""Conditions of Spark that the YAML's author can mend."""
_DATA = frozenset(
    "CAST_INVALID_INPUT DIVIDE_BY_ZERO ARITHMETIC_OVERFLOW DATETIME_FIELD_OUT_OF_BOUNDS CANNOT_PARSE_TIMESTAMP "
    "NUMERIC_VALUE_OUT_OF_RANGE FAILED_READ_FILE MALFORMED_RECORD_IN_PARSING CAST_OVERFLOW CANNOT_PARSE_DECIMAL".split()
)
"""Conditions that come from values in the data."""


_HOUSE = re.compile(r"^(headrace\.errors\.\w+|OverflowError): |lookup")
"""What the house's own code in a worker or a plan raises of the data."""


def _first_lines(text: str, lines: int = 3) -> str:
    kept = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("at ", "JVM stacktrace"))
    ]
    return re.sub(r"\s+", " ", " ".join(kept[:lines])).strip()


_WRAPPERS = frozenset({"TASK_WRITE_FAILED", "JOB_ABORTED", "FAILED_EXECUTE_UDF"})
"""Conditions that only wrap the one that tells."""


def _condition(text: str) -> tuple[str, str] | None:
    """The condition that tells what happened, and its words: `[DIVIDE_BY_ZERO] Division by zero. ...`."""
    found = re.findall(r"\[([A-Z][A-Z0-9_]+)(?:\.[A-Z0-9_]+)?\] *(.*?)(?:SQLSTATE|\n\tat |\Z)", text, re.S)
    telling = [(name, words) for name, words in found if name not in _WRAPPERS] or found
    if not telling:
        return None
    name, words = telling[0]
    return name, _python_cause(words) if name == "PYTHON_EXCEPTION" else _first_lines(words)


def _python_cause(text: str) -> str:
    """Of a traceback of a Python worker its last line: the exception itself."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if re.match(r"[\w.]+(Error|Exception|Warning)?: ", line)), lines[-1])


def translated(error: Exception, step: str) -> Exception:
    """The error to raise: of the house, or as it came where nothing better can be said."""
    if isinstance(error, HeadraceError):
        return error
    found = _condition(str(error))
    if found is None:
        return (
            HeadraceError(f"{step}: {type(error).__name__}: {_first_lines(str(error))}") if _foreign(error) else error
        )
    condition, text = found
    if condition in _MENDABLE:
        return ConfigError(f"{step}: {text} [{condition}] Mend the expression or the name in the YAML")
    if condition in ("PYTHON_EXCEPTION", "USER_RAISED_EXCEPTION") and _HOUSE.search(text):
        return DataError(f"{step}: {_HOUSE.sub('', text)}")
    if condition in _DATA:
        return DataError(
            f"{step}: {text} [{condition}] A value in the data does not allow this; use the forgiving form in the SQL "
            "(try_cast, try_divide, try_to_timestamp, ...) or set such rows aside with a rule"
        )
    return HeadraceError(f"{step}: {text} [{condition}]")


def _foreign(error: Exception) -> bool:
    return type(error).__module__.startswith(("py4j", "pyspark", "delta", "mlflow"))
