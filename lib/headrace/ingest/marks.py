"""Where the watermark of a source's rows is: its greatest value, and what lies shortly before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, Protocol

from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    DateType,
    DecimalType,
    IntegralType,
    StructField,
    TimestampNTZType,
    TimestampType,
)

from headrace.config.durations import microseconds
from headrace.config.file.complaints import meant
from headrace.config.types import Source
from headrace.errors import ConfigError, DataError
from headrace.ingest.snapshots import Origin

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

TIMES = (TimestampType, TimestampNTZType)
OVERLAP_TIME, OVERLAP_NUMBER = "1 hour", "1000"


@dataclass(frozen=True)
class Mark:
    """Where the watermark of a source is now.

    Attributes:
        upper: Its greatest value as text, None where no row has one.
        lower: So far before it are rows that may yet come.
        recent: Rows from there on.
        unset: Rows without a value.
    """

    upper: str | None
    lower: str | None
    recent: int
    unset: int


@dataclass(frozen=True)
class Span:
    """Rows of a range of the watermark, both ends included, and those without a value.

    Attributes:
        column: The watermark.
        least: From where on; None: from the first.
        greatest: Up to where; None: only the rows without a value.
    """

    column: StructField
    least: str | None
    greatest: str | None


@dataclass(frozen=True)
class Since:
    """From where on the rows of a source are read.

    Attributes:
        column: The watermark, as it is called in the tables.
        value: As text, times in UTC.
        kind: Its type there.
    """

    column: str
    value: str
    kind: DataType

    def plain(self) -> datetime | date | int | Decimal:
        """The value as Python has it; times are in UTC, those that have no zone of their own are without one."""
        if isinstance(self.kind, TIMES):
            moment = datetime.fromisoformat(self.value)
            return moment.replace(tzinfo=UTC) if isinstance(self.kind, TimestampType) else moment
        if isinstance(self.kind, DateType):
            return date.fromisoformat(self.value)
        return int(self.value) if isinstance(self.kind, IntegralType) else Decimal(self.value)

    def text(self) -> str:
        """The value as an option: ISO 8601, or a number."""
        value = self.plain()
        return value.isoformat() if isinstance(value, date) else str(value)

    def holds(self) -> Column:
        """For the rows from there on, and those without a value."""
        column = F.col(f"`{self.column}`")
        return (column >= F.lit(self.value).cast(self.kind)) | column.isNull()


class Marked(Protocol):
    """A source whose rows have a watermark."""

    @property
    def source(self) -> Source:
        """As in the YAML."""
        ...

    @property
    def where(self) -> str:
        """Its place there."""
        ...

    @property
    def origin(self) -> Origin:
        """It in words."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the commit is to carry besides."""
        ...

    def fields(self) -> Mapping[str, StructField]:
        """The columns, by their name in the tables."""
        ...

    def greatest(self, column: StructField) -> str | None:
        """The watermark's greatest value as text, times in UTC."""
        ...

    def counts(self, column: StructField, since: str | None) -> tuple[int, int]:
        """How many rows have at least a value, and how many none."""
        ...

    def rows(self, span: Span | None, parallelism: int) -> DataFrame:
        """The rows of a range, or all; columns named as in the tables, sensitive ones withheld."""
        ...

    def open_numbers(self) -> list[str]:
        """Columns of numbers without declared digits, which come as text."""
        ...


def look(base: Marked) -> Mark:
    """Ask for the greatest value, and what is near it.

    Raises:
        ConfigError: If there is no such column, or its type has no order.
        DataError: If its greatest value lies in the future: no later row would ever be read.
    """
    column = marked(base)
    kind, upper = column.dataType, base.greatest(column)
    if upper is not None and _in_future(upper, kind):
        raise DataError(
            f"{base.where}.watermark: the greatest {column.name} is {upper}, in the future; rows written until then would "
            f"never be read. Mend that row, or leave it out{' by `query`' if base.source.url else ''}"
        )
    lower = before(upper, kind, base.source.overlap) if upper is not None else None
    return Mark(upper, lower, *base.counts(column, lower))


def column_of(base: Marked, name: str, key: str) -> StructField:
    """A column that the YAML names under a key.

    Raises:
        ConfigError: If there is none.
    """
    found = base.fields()
    if name.lower() not in found:
        raise ConfigError(
            f"{base.where}.{key}: there is no column {name!r}; there are: {', '.join(found)}{meant(name, found)}"
        )
    return found[name.lower()]


def orderable(kind: DataType) -> bool:
    """Whether a column of this type can be a watermark."""
    exact = isinstance(kind, IntegralType) or (isinstance(kind, DecimalType) and kind != DecimalType(38, 18))
    return exact or isinstance(kind, (DateType, *TIMES))


def marked(base: Marked) -> StructField:
    """The watermark's column.

    Raises:
        ConfigError: If there is none, or its type has no order that texts keep.
    """
    source = base.source
    column = column_of(base, source.watermark or "", "watermark")
    kind = column.dataType
    if not orderable(kind):
        raise ConfigError(
            f"{base.where}.watermark: {column.name} is {kind.simpleString()}; wanted is a whole or decimal number of "
            "declared digits, a date or a time that grows"
        )
    number = (source.overlap or "").isdigit()
    if source.overlap and number == isinstance(kind, (DateType, *TIMES)):
        wanted = "a number" if not number else "a duration, as `1 hour`"
        raise ConfigError(f"{base.where}.overlap: {column.name} is {kind.simpleString()}; write {wanted}")
    return column


def before(upper: str, kind: DataType, overlap: str | None) -> str:
    """The value that lies `overlap` before another; dates go back by whole days.

    >>> from pyspark.sql.types import LongType, TimestampType
    >>> before("2024-03-01 00:30:00.5", TimestampType(), "1 hour"), before("1500", LongType(), None)
    ('2024-02-29 23:30:00.500000', '500')
    """
    if isinstance(kind, TIMES):
        back = timedelta(microseconds=microseconds(overlap or OVERLAP_TIME))
        moment = datetime.fromisoformat(upper)
        return _text(moment - back if moment - datetime.min > back else datetime.min)
    if isinstance(kind, DateType):
        days = -(-microseconds(overlap or OVERLAP_TIME) // microseconds("1 day"))
        return (date.fromisoformat(upper) - timedelta(days=days)).isoformat()
    with localcontext() as exactly:
        exactly.prec = 80
        return format(Decimal(upper) - int(overlap or OVERLAP_NUMBER), "f")


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f").rjust(26, "0")


def _in_future(upper: str, kind: DataType) -> bool:
    if not isinstance(kind, (DateType, *TIMES)):
        return False
    try:
        return datetime.fromisoformat(upper) > datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
    except ValueError:  # infinity, or a year beyond 9999
        return True
