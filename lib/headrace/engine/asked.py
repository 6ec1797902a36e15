"""The features asked for, as a caller writes them: checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import types as T

from headrace.config.file.complaints import meant
from headrace.config.windows import FUNCTIONS, OF_ROWS, is_function, lengths
from headrace.engine import buckets
from headrace.engine.aggregates import Aggregate
from headrace.errors import ConfigError

_OF_ITS_TYPE = ("first", "last", "min", "max", "mode")
"Functions whose values are the column's own."
_BY_VALUE = ("distinct", "approx_distinct", "min", "max", "mode")
"Functions that compare values, which is done by their bytes."
_OF_ANYTHING = (*OF_ROWS, *_OF_ITS_TYPE, "distinct", "approx_distinct")


def parse(events: DataFrame, aggregates: Mapping[str, tuple[str, str, str]]) -> list[Aggregate]:
    """The features asked for.

    Raises:
        ConfigError: For a column, type, function or window that cannot be used.
    """
    example = "{'n_1d': ('*', 'count', '1 day')}"
    if not isinstance(aggregates, Mapping):
        raise ConfigError(f"aggregates: {aggregates!r} is no mapping; give one, as {example}")
    if not aggregates:
        raise ConfigError(f"aggregates: none given; give at least one, as {example}")
    for name, spec in aggregates.items():
        parts = spec if isinstance(spec, tuple | list) else ()
        if len(parts) != 3 or not all(isinstance(part, str) and part for part in (name, *parts)):
            raise ConfigError(f"aggregates: {name!r}: {spec!r} is not (column, function, window), as in {example}")
    return [_parsed(events, name, *spec) for name, spec in aggregates.items()]


def _parsed(events: DataFrame, name: str, column: str, function: str, window: str) -> Aggregate:
    what = f"aggregates: {name!r}"
    if not is_function(function):
        allowed = f"{', '.join(FUNCTIONS)}, p01 ... p99{meant(function, FUNCTIONS)}"
        raise ConfigError(f"{what}: function {function!r} is not one of {allowed}")
    try:
        length, per = lengths(window)
    except ValueError as error:
        raise ConfigError(f"{what}: {error}") from error
    if column == "*":
        if function not in OF_ROWS:
            allowed = " and ".join(OF_ROWS)
            raise ConfigError(f"{what}: {function} of '*' has no meaning; '*' goes with {allowed}, else name a column")
        return Aggregate(name, column, function, length, per)
    field = buckets.field_of(events, column, what)
    kind = field.dataType
    numeric = isinstance(kind, (T.NumericType, T.BooleanType))
    if not numeric and (function not in _OF_ANYTHING or (per is not None and function in _OF_ITS_TYPE)):
        divided = "" if per is None else " over two windows"
        raise ConfigError(f"{what}: {function}{divided} needs a number or boolean; {column!r} is {kind.simpleString()}")
    if function not in OF_ROWS and not isinstance(kind, buckets.KEYS):
        raise ConfigError(f"{what}: {function} needs a type with an order; {column!r} is {kind.simpleString()}")
    if function in _BY_VALUE and buckets.collated(kind):
        raise ConfigError(f"{what}: {column!r} is {kind.simpleString()}: {buckets.PLAIN.format(column)}")
    return Aggregate(name, field.name, function, length, per)
