"""`models.assignment` in Spark SQL: columns, computed by Spark's own functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from headrace.config.strategies import Strategy
from headrace.errors import ConfigError
from headrace.models.assignment import DIGITS, PLACES, thresholds

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLAIN = 6
"""Digits after the point up to which a decimal number is never written with an exponent."""


def entity_column(frame: DataFrame, names: Sequence[str], salt: str | None = None) -> Column:
    """The canonical text of an entity, as `models.entities.entity_text` builds it.

    Args:
        frame: Rows.
        names: Its key columns, in their order.
        salt: A text before them; None: none.

    Raises:
        ConfigError: For a column of a type that is no identity.
    """
    parts = [_part(F.col(f"`{name}`"), frame.schema[name].dataType, name) for name in names]
    return F.concat(*([_sized(F.lit(salt))] if salt is not None else []), *parts)


def place_column(frame: DataFrame, names: Sequence[str], salt: str = "") -> Column:
    """Where each row's entity stands in [0, 1)."""
    digits = F.substring(F.md5(entity_column(frame, names, salt)), 1, DIGITS)
    return F.conv(digits, 16, 10).cast("double") / F.lit(PLACES)


def assigned_column(frame: DataFrame, strategy: Strategy, names: Sequence[str], at: datetime | Column) -> Column:
    """The alias or version that answers for each row's entity.

    Args:
        frame: Rows.
        strategy: Of the YAML.
        names: Columns of the entity.
        at: When; a column of times where each row has its own.
    """
    if isinstance(at, datetime):
        return _at(frame, strategy, names, at)
    steps = sorted(step.from_ for step in strategy.canary.ramp) if strategy.canary else []
    column = _at(frame, strategy, names, datetime.min.replace(tzinfo=UTC))  # before the first step
    for step in steps:
        column = F.when(at >= _moment(step), _at(frame, strategy, names, step)).otherwise(column)
    return column


def _moment(at: datetime) -> Column:
    return F.timestamp_micros(F.lit((at - _EPOCH) // timedelta(microseconds=1)))


def _at(frame: DataFrame, strategy: Strategy, names: Sequence[str], at: datetime) -> Column:
    *earlier, last = thresholds(strategy, at)
    column = F.lit(last[0])
    mine = place_column(frame, names, strategy.salt) if earlier else None
    for who, bound in reversed(earlier):
        assert mine is not None  # there are bounds
        column = F.when(mine < F.lit(bound), F.lit(who)).otherwise(column)
    return column


def _part(column: Column, kind: T.DataType, name: str) -> Column:
    if isinstance(kind, T.StringType):
        text = column
    elif isinstance(kind, T.BooleanType | T.IntegralType):
        text = column.cast("string")
    elif isinstance(kind, T.TimestampType):
        text = F.unix_micros(column).cast("string")
    elif isinstance(kind, T.TimestampNTZType):  # as UTC, whatever the session's zone is
        text = F.expr(f"timestampdiff(MICROSECOND, timestamp_ntz'1970-01-01', `{name}`)").cast("string")
    elif isinstance(kind, T.DateType):
        text = F.unix_date(column).cast("string")
    elif isinstance(kind, T.DecimalType) and kind.scale <= PLAIN:
        text = (
            F.regexp_replace(column.cast("string"), r"(\.0*|(\.\d*?)0+)$", "$2")
            if kind.scale
            else column.cast("string")
        )
    else:
        raise ConfigError(
            f"{name} is {kind.simpleString()}, which is no key of a strategy; cast it to a text or a whole number"
        )
    return F.when(column.isNull(), F.lit("n")).otherwise(_sized(text))


def _sized(text: Column) -> Column:
    return F.concat(F.octet_length(text).cast("string"), F.lit(":"), text)
