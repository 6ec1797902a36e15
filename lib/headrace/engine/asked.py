"""The features asked for, as a caller writes them: checked before anything runs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import types as T

from headrace.config.durations import microseconds
from headrace.engine import buckets
from headrace.engine.aggregates import PLAIN, Aggregate
from headrace.errors import ConfigError


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
    if function not in PLAIN and not (re.fullmatch(r"p\d\d", function) and function != "p00"):
        raise ConfigError(f"{what}: function {function!r} is not one of {', '.join(PLAIN)}, p01 ... p99")
    try:
        length = microseconds(window)
    except ValueError as error:
        raise ConfigError(f"{what}: {error}") from error
    if column == "*":
        if function != "count":
            raise ConfigError(f"{what}: {function} of '*' has no meaning; '*' goes with count, else name a column")
        return Aggregate(name, column, function, length)
    field = buckets.field_of(events, column, what)
    kind = field.dataType
    numeric = isinstance(kind, (T.NumericType, T.BooleanType))
    if function not in ("count", "first", "last", "min", "max", "distinct") and not numeric:
        raise ConfigError(
            f"{what}: {function} needs a number or boolean; {column!r} is {field.dataType.simpleString()}"
        )
    if function != "count" and not isinstance(field.dataType, buckets.KEYS):
        raise ConfigError(
            f"{what}: {function} needs a type with an order; {column!r} is {field.dataType.simpleString()}"
        )
    return Aggregate(name, field.name, function, length)
