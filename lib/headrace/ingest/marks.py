"""Where the watermark of a database's rows is: its greatest value, and what lies shortly before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext

from pyspark.sql.types import DataType, DateType, StructField

from headrace.config.durations import microseconds
from headrace.errors import ConfigError, DataError
from headrace.ingest.jdbc import TIMES, Database, orderable

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


def look(base: Database) -> Mark:
    """Ask the database, by two queries that an index on the column answers.

    Raises:
        ConfigError: If there is no such column, or its type has no order.
        DataError: If its greatest value lies in the future: no later row would ever be read.
    """
    column = marked(base)
    name, kind = base.quoted(column), column.dataType
    (upper,) = base.ask(f"select max({name}) hi from {base.relation()}")
    if upper is not None and _in_future(upper, kind):
        raise DataError(
            f"{base.where}.watermark: the greatest {column.name} is {upper}, in the future; rows written until then would "
            "never be read. Mend that row, or leave it out by `query`"
        )
    lower = before(upper, kind, base.source.overlap) if upper is not None else None
    since = f"{name} >= {base.literal(lower, kind)}" if lower is not None else "1 = 0"
    recent, unset = base.ask(
        f"select sum(case when {name} is null then 0 else 1 end) recent, "
        f"sum(case when {name} is null then 1 else 0 end) unset from {base.relation(f'{since} or {name} is null')}"
    )
    return Mark(upper, lower, _count(recent), _count(unset))


def _count(text: str | None) -> int:
    return int(Decimal(text or "0"))


def marked(base: Database) -> StructField:
    """The watermark's column.

    Raises:
        ConfigError: If there is none, or its type has no order that texts keep.
    """
    source = base.source
    column = base.column(source.watermark or "", "watermark")
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
