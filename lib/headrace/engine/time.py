"""The logical now: only what was known by then exists."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.config.types import Table

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def moment(at: datetime) -> Column:
    """A point in time as a literal, independent of any session's time zone."""
    return F.timestamp_micros(F.lit(round(at.timestamp() * 1_000_000)))


def known_by(events: DataFrame, table: Table, as_of: datetime) -> DataFrame:
    """The rows known at `as_of`; a row without `available_at` is known at its event time, one without times always."""
    column = table.available_at or table.event_time
    return events if column is None else events.where(F.col(column) <= moment(as_of))
