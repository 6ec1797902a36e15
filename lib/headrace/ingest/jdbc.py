"""Tables and queries of databases, read through JDBC in parallel by ranges of a column."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    DateType,
    DecimalType,
    NumericType,
    StructField,
    StructType,
    TimestampNTZType,
)

from headrace.config import secrets
from headrace.config.checks.places import wrong_url
from headrace.config.names import column_names
from headrace.config.types import Source
from headrace.errors import ConfigError, DataError
from headrace.ingest.driver_words import reason_of
from headrace.ingest.marks import TIMES, Span, column_of
from headrace.ingest.snapshots import Origin

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DRIVERS = {
    "jdbc:postgresql:": "org.postgresql.Driver",
    "jdbc:mysql:": "com.mysql.cj.jdbc.Driver",
    "jdbc:mariadb:": "org.mariadb.jdbc.Driver",
}
_MYSQL = {
    "connectionTimeZone": "UTC",  # or a TIMESTAMP is read in the server's zone as if it were Java's ...
    "forceConnectionTimeZoneToSession": "true",
    "useCursorFetch": "true",  # or the whole result is in memory at once
}
_LONG = 2**63 - 1


@dataclass(frozen=True)
class Database:
    """A table or query of a database.

    Attributes:
        spark: The session.
        source: As in the YAML.
        where: Its place there.
        withhold: What takes sensitive values out of rows.
        facts: What the commit is to carry besides.
    """

    spark: SparkSession
    source: Source
    where: str
    withhold: Callable[[DataFrame], DataFrame] = lambda frame: frame
    facts: Mapping[str, Any] = field(default_factory=dict)
    _seen: dict[str, StructType] = field(default_factory=dict)

    @property
    def origin(self) -> Origin:
        """The database in words."""
        source, place = self.source, self.source.path
        what = f"the query over {place.split(' ')[0]}" if source.query else f"the table {source.table}"
        return Origin(self.where, place, what, "Cast in a query")

    def fields(self) -> dict[str, StructField]:
        """The columns, by their name in the tables.

        Raises:
            ConfigError: If the database does not answer, or has no such table.
        """
        if "schema" not in self._seen:
            with self.told():
                self._seen["schema"] = self._reader(dbtable=self.relation()).load().schema
                if any(isinstance(one.dataType, TIMES) for one in self._seen["schema"]):
                    _utc(self.spark)
        schema = self._seen["schema"]
        return dict(zip(column_names(schema.names), schema, strict=True))

    def quoted(self, column: StructField) -> str:
        """A column's name in the database's SQL."""
        return str(self._dialect().quoteIdentifier(column.name))

    def literal(self, value: str, kind: DataType) -> str:
        """A value in the database's SQL; times are UTC."""
        sql: Any = self.spark.sparkContext._jvm.java.sql  # type: ignore[union-attr]
        if isinstance(kind, TIMES):
            return str(self._dialect().compileValue(sql.Timestamp.valueOf(value)))
        if isinstance(kind, DateType):
            return str(self._dialect().compileValue(sql.Date.valueOf(value)))
        return str(Decimal(value))

    def _dialect(self) -> Any:
        jvm: Any = self.spark.sparkContext._jvm
        return jvm.org.apache.spark.sql.jdbc.JdbcDialects.get(self._url())

    def relation(self, condition: str | None = None) -> str:
        """What stands behind FROM."""
        source = self.source
        whole = source.table or f"({source.query}\n) headrace_query"
        return whole if condition is None else f"(select * from {whole} where {condition}) headrace_rows"

    def ask(self, select: str) -> list[str | None]:
        """The one row that a query gives, its values as text (times in UTC)."""
        with self.told():
            frame = self._reader(query=select).load()
            row: Any = frame.select(*[F.col(f"`{name}`").cast("string") for name in frame.columns]).first()
        return list(row)

    def greatest(self, column: StructField) -> str | None:
        """The greatest value of a column; an index on it answers."""
        return self.ask(f"select max({self.quoted(column)}) hi from {self.relation()}")[0]

    def counts(self, column: StructField, since: str | None) -> tuple[int, int]:
        """How many rows have at least a value, and how many none; an index on the column answers."""
        name = self.quoted(column)
        after = f"{name} >= {self.literal(since, column.dataType)}" if since is not None else "1 = 0"
        recent, unset = self.ask(
            f"select sum(case when {name} is null then 0 else 1 end) recent, "
            f"sum(case when {name} is null then 1 else 0 end) unset from {self.relation(f'{after} or {name} is null')}"
        )
        return int(Decimal(recent or "0")), int(Decimal(unset or "0"))

    def _condition(self, span: Span) -> str:
        """A range in the database's SQL."""
        name, kind = self.quoted(span.column), span.column.dataType
        ends = ((">=", span.least if span.greatest is not None else None), ("<=", span.greatest))
        parts = [f"{name} {sign} {self.literal(end, kind)}" for sign, end in ends if end is not None]
        return f"({' and '.join(parts)}) or {name} is null" if parts else f"{name} is null"

    def rows(self, span: Span | None, parallelism: int) -> DataFrame:
        """The rows of a range of the watermark, or all; columns named as in the tables.

        Times without a zone are taken as UTC. Numbers without declared digits are exact texts.

        Raises:
            ConfigError: If the partition column cannot split them.
        """
        condition = self._condition(span) if span else None
        fields = self.fields()
        options = {"dbtable": self.relation(condition), **self._ranges(condition, parallelism)}
        open_ = [f"`{one.name}` STRING" for one in fields.values() if one.dataType == DecimalType(38, 18)]
        if open_:
            options["customSchema"] = ", ".join(open_)
        with self.told():
            frame = self._reader(**options).load().toDF(*fields)
        times = {
            n: F.col(n).cast("timestamp") for n, one in fields.items() if isinstance(one.dataType, TimestampNTZType)
        }
        return self.withhold(frame.withColumns(times) if times else frame)

    def open_numbers(self) -> list[str]:
        """Columns of numbers without declared digits, which come as text."""
        return [name for name, one in self.fields().items() if one.dataType == DecimalType(38, 18)]

    def _ranges(self, condition: str | None, parallelism: int) -> dict[str, str]:
        """Options that read in parallel; rows without a value are in the first part."""
        source = self.source
        if source.partition_column is None:
            return {}
        column = column_of(self, source.partition_column, "partition_column")
        kind = column.dataType
        if not isinstance(kind, (NumericType, DateType, *TIMES)):
            raise ConfigError(
                f"{self.where}.partition_column: {source.partition_column} is {kind.simpleString()}; wanted is a number, "
                "a date or a time"
            )
        name = self.quoted(column)
        asked = f"select min({name}) lo, max({name}) hi from {self.relation(condition)}"
        low, high = source.bounds or self.ask(asked)
        if low is None or high is None:
            return {}
        if isinstance(kind, NumericType):
            low, high = str(_whole(low, math.floor)), str(_whole(high, math.ceil))
        parts = source.partitions or max(2, parallelism)
        # Spark splits by times with a zone only; Java's zone is UTC, so that both are the same
        plain = {"preferTimestampNTZ": "false"} if isinstance(kind, TimestampNTZType) else {}
        return plain | {
            "partitionColumn": column.name,
            "lowerBound": low,
            "upperBound": high,
            "numPartitions": str(parts),
        }

    def _url(self) -> str:
        url = secrets.reveal(self.source.url or "")
        for wrong in wrong_url(url):
            raise ConfigError(f"{self.where}.url: {wrong}")
        return url

    def _reader(self, **options: str) -> Any:
        url, source = self._url(), self.source
        kind = next((known for known in DRIVERS if url.startswith(known)), None)
        given = {"fetchsize": "10000", "preferTimestampNTZ": "true", "url": url}
        if kind:
            given["driver"] = "org.mariadb.jdbc.Driver" if "permitMysqlScheme" in url else DRIVERS[kind]
        if kind == "jdbc:mysql:" and "permitMysqlScheme" not in url:
            given |= _MYSQL
        for key, value in (("user", source.user), ("password", source.password)):
            if value is not None:
                given[key] = secrets.reveal(value)
        return self.spark.read.format("jdbc").options(**{**given, **secrets.revealed(source.options), **options})

    @contextmanager
    def told(self) -> Iterator[None]:
        """What a driver says against it, in words.

        Raises:
            ConfigError: In place of errors of the driver.
            DataError: If a value is beyond what Spark holds.
        """
        try:
            yield
        except Exception as error:  # Py4J's, Spark's and the driver's errors have no common base class
            if "ArithmeticException" in str(error):
                raise DataError(
                    f"{self.where}: {self.source.path}: a time is infinite, or beyond what Spark holds; mend that row, or "
                    "leave it out by `query`"
                ) from None
            reason = reason_of(error)
            if reason is None:
                raise
            raise ConfigError(f"{self.where}: {self.source.path}: {secrets.redacted(reason)}") from None


def _whole(text: str, rounded: Any) -> int:
    value = Decimal(text)
    return max(-_LONG, min(_LONG, int(rounded(value)))) if value.is_finite() else 0


def _utc(spark: SparkSession) -> None:
    """Drivers hand over times in Java's time zone, which has to be UTC.

    Raises:
        ConfigError: If it is another one.
    """
    jvm: Any = spark.sparkContext._jvm
    zone = jvm.java.util.TimeZone.getDefault()
    if zone.getRawOffset() or zone.useDaylightTime():
        raise ConfigError(
            f"Java's time zone is {zone.getID()}, and times of databases are read in it; start Spark with "
            "spark.driver.extraJavaOptions=-Duser.timezone=UTC and the same for the executors (a job of Headrace does so)"
        )
