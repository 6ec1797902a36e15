"""The logical now: only what was known by then exists."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config.types import Table

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

EXACT_JSON = {
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}
"""Options of `to_json`: it otherwise ends at milliseconds."""


def moment(at: datetime) -> Column:
    """A point in time as a literal, independent of any session's time zone."""
    return F.timestamp_micros(F.lit(round(at.timestamp() * 1_000_000)))


def known_by(events: DataFrame, table: Table, as_of: datetime) -> DataFrame:
    """The rows known at `as_of`; a row without `available_at` is known at its event time, one without times always."""
    column = table.available_at or table.event_time
    return events if column is None else events.where(F.col(column) <= moment(as_of))


def utc(micros: int) -> datetime:
    """The time so many microseconds after 1970, to the microsecond."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def span(rows: DataFrame, column: str = "predict_at") -> tuple[int, tuple[datetime, datetime] | None]:
    """How many rows there are, and their first and last time; None where no row has one. Runs one Spark job."""
    times = [F.unix_micros(f(column)).alias(n) for n, f in (("first", F.min), ("last", F.max))]
    found: Any = rows.agg(F.count("*").alias("n"), *times).first()
    if found["first"] is None:
        return int(found["n"]), None
    return int(found["n"]), (utc(found["first"]), utc(found["last"]))
