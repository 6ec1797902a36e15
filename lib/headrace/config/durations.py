"""Durations as people write them: `30 minutes`, `3 hours`, `1 day`, `2 weeks`.

A duration is fixed (a day is 24 hours); months and years are refused, for they are not.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

from headrace.config.file.document import shown

MICROSECOND = 1
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

_UNITS = {
    "microsecond": (MICROSECOND, "us"),
    "millisecond": (1_000, "ms"),
    "second": (SECOND, "s"),
    "minute": (MINUTE, "min"),
    "hour": (HOUR, "h"),
    "day": (DAY, "d"),
    "week": (WEEK, "w"),
}
_ALIASES = {"sec": "second", "min": "minute", "h": "hour", "hr": "hour", "d": "day", "w": "week"}
_LONGEST = 365_250 * DAY
"""A thousand years; dates reach no farther back than twice that."""
_PATTERN = re.compile(r"^\s*(?:(\d+)\s*)?([A-Za-z]+)\s*$")
_ALLOWED = "a number and a unit such as '30 minutes', '3 hours', '1 day', '2 weeks'"


def _parts(text: str) -> tuple[int, str]:
    match = _PATTERN.match(text)
    if not match:
        raise ValueError(f"{text!r} is not a duration; write {_ALLOWED}")
    unit = match.group(2).lower()
    unit = unit if unit in _ALIASES or unit in _UNITS else unit.removesuffix("s")
    unit = _ALIASES.get(unit, unit)
    if unit in ("month", "year", "quarter"):
        raise ValueError(f"{text!r} has no fixed length; write it in days, as '30 days' or '365 days'")
    if unit not in _UNITS:
        raise ValueError(f"{text!r} has an unknown unit; write {_ALLOWED}")
    digits = (match.group(1) or "1").lstrip("0")
    number = int(digits[:18] or 0)
    if number * _UNITS[unit][0] > _LONGEST or len(digits) > 18:
        raise ValueError(f"{shown(text)} is longer than 1000 years; write {_ALLOWED}")
    if number == 0:
        raise ValueError(f"{text!r} is empty; a duration is longer than zero")
    return number, unit


def microseconds(text: str) -> int:
    """Length of a duration in microseconds.

    >>> microseconds("3 hours")
    10800000000

    Raises:
        ValueError: If the text is no fixed duration.
    """
    number, unit = _parts(text)
    return number * _UNITS[unit][0]


def short(text: str) -> str:
    """The form used in feature names.

    >>> short("3 hours"), short("7 days"), short("30 minutes")
    ('3h', '7d', '30min')
    """
    number, unit = _parts(text)
    return f"{number}{_UNITS[unit][1]}"


def _check(value: object) -> object:
    if isinstance(value, str):
        microseconds(value)
    return value


Duration = Annotated[str, BeforeValidator(_check)]
"""A pydantic type: the text as written, checked to be a fixed duration."""
