"""Tables and queries of databases, read through JDBC in parallel by ranges of a column."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    DateType,
    DecimalType,
    FractionalType,
    IntegralType,
    NumericType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from headrace.config import secrets
from headrace.config.checks.places import wrong_url
from headrace.config.file.complaints import meant
from headrace.config.names import column_names
from headrace.config.types import Source
from headrace.errors import ConfigError, DataError
from headrace.ingest.driver_words import reason_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TIMES = (TimestampType, TimestampNTZType)
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
    """

    spark: SparkSession
    source: Source
    where: str
    _seen: dict[str, StructType] = field(default_factory=dict)

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

    def column(self, name: str, key: str) -> StructField:
        """A column that the YAML names under a key.

        Raises:
            ConfigError: If there is none.
        """
        found = self.fields()
        if name.lower() not in found:
            raise ConfigError(
                f"{self.where}.{key}: there is no column {name!r}; there are: {', '.join(found)}{meant(name, found)}"
            )
        return found[name.lower()]

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

    def rows(self, condition: str | None, parallelism: int) -> DataFrame:
        """The rows that fulfil a condition in the database's SQL, columns named as in the tables.

        Times without a zone are taken as UTC. Numbers without declared digits are exact texts.

        Raises:
            ConfigError: If the partition column cannot split them.
        """
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
        return frame.withColumns(times) if times else frame

    def open_numbers(self) -> list[str]:
        """Columns of numbers without declared digits, which come as text."""
        return [name for name, one in self.fields().items() if one.dataType == DecimalType(38, 18)]

    def _ranges(self, condition: str | None, parallelism: int) -> dict[str, str]:
        """Options that read in parallel; rows without a value are in the first part."""
        source = self.source
        if source.partition_column is None:
            return {}
        column = self.column(source.partition_column, "partition_column")
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


def orderable(kind: DataType) -> bool:
    """Whether a column of this type can be a watermark."""
    exact = isinstance(kind, IntegralType) or (isinstance(kind, DecimalType) and kind != DecimalType(38, 18))
    return exact or (isinstance(kind, (DateType, *TIMES)) and not isinstance(kind, FractionalType))


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
