"""Functions of SQL over days and moments, in UTC as all of Spark's sessions here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.models.compiled.columns import Column

SECOND = 1_000_000
DAY = 86_400 * SECOND
"""Microseconds."""


def _days(one: Column) -> Any:
    """Days since 1970 of a day or a moment."""
    return one.values // DAY if one.kind == "timestamp" else one.values


def _of_days(of: Callable[[Any], Any]) -> Callable[[Column], Column]:
    return lambda one: Column(of(_days(one)), one.nulls)


def _of_moments(of: Callable[[Any], Any]) -> Callable[[Column], Column]:
    def made(one: Column) -> Column:
        if one.kind != "timestamp":
            raise ValueError(f"a part of the day, of a {one.kind}")
        return Column(of(one.values), one.nulls)

    return made


def _months(days: Any) -> Any:
    return days.astype("M8[D]").astype("M8[M]").astype(np.int64)


def _since(days: Any, unit: str) -> Any:
    """Days since the month or the year began, from 1 on."""
    return days - days.astype("M8[D]").astype(f"M8[{unit}]").astype("M8[D]").astype(np.int64) + 1


def _local(one: Column, zone: Column) -> Column:
    """What clocks showed somewhere, as a moment of UTC."""
    there = pa.array(one.values, pa.int64(), mask=one.nulls).cast(pa.timestamp("us", str(zone.values)))
    shown = pc.local_timestamp(there).cast(pa.int64()).fill_null(0)
    return Column(shown.to_numpy(zero_copy_only=False), one.nulls, "timestamp")


def as_date(one: Column) -> Column:
    """A day, of a day or a moment."""
    if one.kind not in ("date", "timestamp"):
        raise ValueError(f"cast({one.kind} as date)")
    return Column(_days(one), one.nulls, "date")


MOMENTS: dict[str, Callable[..., Column]] = {
    "unix_micros": _of_moments(lambda a: a),
    "unix_seconds": _of_moments(lambda a: a // SECOND),
    "unix_date": _of_days(lambda a: a),
    "date_from_unix_date": lambda one: Column(one.values, one.nulls, "date"),
    "from_utc_timestamp": _local,
    "year": _of_days(lambda a: _months(a) // 12 + 1970),
    "quarter": _of_days(lambda a: _months(a) % 12 // 3 + 1),
    "month": _of_days(lambda a: _months(a) % 12 + 1),
    "day": _of_days(lambda a: _since(a, "M")),
    "dayofyear": _of_days(lambda a: _since(a, "Y")),
    "dayofweek": _of_days(lambda a: (a + 4) % 7 + 1),
    "weekday": _of_days(lambda a: (a + 3) % 7),
    "hour": _of_moments(lambda a: a // SECOND // 3600 % 24),
    "minute": _of_moments(lambda a: a // SECOND // 60 % 60),
    "second": _of_moments(lambda a: a // SECOND % 60),
}
