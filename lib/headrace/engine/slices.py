"""Slices of time, so that one hot entity is shared among tasks.

An event counts for cut-offs from when it is known until it leaves the longest window. A slice that holds every event
which counts for one of its cut-offs gives exactly the same features: what else a slice holds does not matter.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from headrace.config.durations import microseconds
from headrace.engine.buckets import column_of, field_of
from headrace.engine.kernels import LONGEST
from headrace.errors import ConfigError

SLICE = "__headrace_slice"


def slice_length(text: str, longest: int) -> int:
    """Length of a slice in microseconds, no shorter than the longest window: an event then falls into two at most.

    Raises:
        ConfigError: If it is no duration, or shorter.
    """
    try:
        length = microseconds(str(text))
    except ValueError as error:
        raise ConfigError(f"slice_by: {error}") from error
    if length < longest:
        raise ConfigError(f"slice_by: {text!r} is shorter than the longest window; take a few times that window")
    return min(length, LONGEST)


def sliced_rows(spine: DataFrame, time: str, length: int) -> DataFrame:
    """Each row with the slice of its cut-off as a new column."""
    return spine.withColumn(SLICE, _start(_utc_micros(spine, time), length))


def sliced_events(events: DataFrame, event_time: str, available_at: str | None, window: int, length: int) -> DataFrame:
    """Each event once per slice in which it can count, with the slice as a new column."""
    happened = _utc_micros(events, event_time)
    known = happened if available_at is None else F.greatest(happened, _utc_micros(events, available_at))
    gone = happened + F.lit(min(window, LONGEST))
    reached = F.sequence(_start(known, length), _start(gone - 1, length), F.lit(length))
    return events.where(known < gone).withColumn(SLICE, F.explode(reached))


def _start(micros: Column, length: int) -> Column:
    return micros - F.pmod(micros, F.lit(length))


def _utc_micros(frame: DataFrame, name: str) -> Column:
    """Microseconds since 1970 in UTC, whatever the session's time zone."""
    column, kind = column_of(frame, name), field_of(frame, name, "time").dataType
    if isinstance(kind, T.DateType):
        return F.unix_date(column).cast("bigint") * F.lit(86_400_000_000)
    if isinstance(kind, T.TimestampNTZType):
        return F.timestamp_diff("MICROSECOND", F.lit("1970-01-01 00:00:00").cast("timestamp_ntz"), column)
    return F.unix_micros(column)
