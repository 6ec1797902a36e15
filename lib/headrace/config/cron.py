"""Cron expressions: what they mean, and the interval that has ended last.

Five fields (minute, hour, day of the month, month, day of the week) in the dialect that cron, systemd, Airflow and
Kubernetes have in common, so that a schedule means the same everywhere.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from headrace.config.file.complaints import meant

MONTHS = tuple("jan feb mar apr may jun jul aug sep oct nov dec".split())
DAYS = tuple("sun mon tue wed thu fri sat".split())
_FIELDS = (
    ("minute", 0, 59, ()), ("hour", 0, 23, ()), ("day of the month", 1, 31, ()),
    ("month", 1, 12, MONTHS), ("day of the week", 0, 7, DAYS),
)  # fmt: skip
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FOUR_YEARS_AND_MORE = 9 * 366
"""Days within which the rarest expression comes twice: 29 February, over the turn of a century."""
_MACROS = {
    "@hourly": "every: hour", "@daily": "every: day", "@midnight": "every: day", "@weekly": "every: week",
    "@monthly": "every: month", "@yearly": 'cron: "0 0 1 1 *"', "@annually": 'cron: "0 0 1 1 *"',
}  # fmt: skip


@dataclass(frozen=True)
class Cron:
    """A cron expression, taken apart: the values of each field, in order.

    Attributes:
        text: The expression in numbers, 0 for Sunday.
    """

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    def on(self, day: date) -> bool:
        """Whether it comes on a day."""
        return day.day in self.days and day.month in self.months and (day.weekday() + 1) % 7 in self.weekdays

    @property
    def shortest(self) -> timedelta:
        """The shortest time between two runs that may be, on days that follow each other."""
        times = [hour * 60 + minute for hour in self.hours for minute in self.minutes]
        gaps = [late - early for early, late in itertools.pairwise([*times, times[0] + 24 * 60])]
        return timedelta(minutes=min(gaps))


def parse(text: str) -> Cron:
    """Take an expression apart.

    >>> parse("30 3 * * mon-fri").text
    '30 3 * * 1,2,3,4,5'

    Raises:
        ValueError: In words for people.
    """
    fields = text.lower().split()
    if len(fields) != len(_FIELDS):
        raise ValueError(_not_five(text, fields))
    values = [_values(field, *kind) for field, kind in zip(fields, _FIELDS, strict=True)]
    values[4] = tuple(sorted({day % 7 for day in values[4]}))
    everything = [
        len(found) == high - low + 1 for found, (_, low, high, _) in zip(values[:4], _FIELDS[:4], strict=True)
    ]
    everything.append(len(values[4]) == 7)
    if not everything[2] and not everything[4]:
        raise ValueError(
            f"{text!r} names days of the month and of the week: cron takes either, systemd only both; make two schedules"
        )
    if all(day > _LONGEST_MONTH[month - 1] for day in values[2] for month in values[3]):
        raise ValueError(f"{text!r} never comes: no such month has that day")
    written = [_written(*pair) for pair in zip(fields, values, everything, strict=True)]
    return Cron(" ".join(written), *values)


def _not_five(text: str, fields: list[str]) -> str:
    instead = _MACROS.get(text.strip().lower())
    if instead or text.strip().startswith("@"):
        known = instead or next(iter(_MACROS[m] for m in _MACROS if repr(m) in meant(text.strip(), _MACROS)), None)
        return f"{text!r} is no cron expression of five fields" + (f"; did you mean `{known}`?" if known else "")
    shorter = " ".join(fields[1:6]) if len(fields) == 6 else ""
    hint = f"; without seconds it is {shorter!r}" if shorter else ", as '0 3 * * *' for 03:00 on each day"
    return (
        f"{text!r} has {len(fields)} fields; write five: minute, hour, day of the month, month, day of the week{hint}"
    )


def _written(field: str, values: tuple[int, ...], everything: bool) -> str:
    """A field in the dialect that all share: numbers, and no 7."""
    if everything:
        return "*"
    return field if re.fullmatch(r"\*/\d+", field) and len(values) > 1 else ",".join(map(str, values))


def _values(field: str, name: str, low: int, high: int, words: Sequence[str]) -> tuple[int, ...]:
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if slash and not (step.isascii() and step.isdigit() and int(step) > 0):
            raise ValueError(f"{part!r} is no step; write as */15")
        if span == "*":
            start, end = low, high if name != "day of the week" else 6
        else:
            start = _number(first, name, low, high, words)
            end = _number(last, name, low, high, words) if dash else high if slash else start
            end = 7 if dash and name == "day of the week" and end == 0 else end  # sat-sun
        if end < start:
            raise ValueError(f"the {name} {span!r} goes backwards; write {first}-{high},{low}-{last}")
        found.update(range(start, end + 1, int(step) if slash else 1))
    return tuple(sorted(found))


def _number(text: str, name: str, low: int, high: int, words: Sequence[str]) -> int:
    if text in words:
        return words.index(text) + (low if name == "month" else 0)
    if text.isascii() and text.isdigit() and low <= int(text[:4]) <= high:
        return int(text)
    names = f" or {words[0]} ... {words[-1]}" if words else ""
    raise ValueError(
        f"{text!r} is no {name}; allowed: {low} to {high}{names}, *, lists, ranges, steps{meant(text, words)}"
    )


def zone(name: str) -> ZoneInfo:
    """A time zone by its name.

    Raises:
        ValueError: If there is none, with what could be meant.
    """
    known = available_timezones() - {"localtime", "Factory"}
    if name in known:
        return ZoneInfo(name)
    by_length = sorted(known, key=lambda other: (-other.count("/"), other), reverse=True)
    places = {other.rpartition("/")[2].lower(): other for other in reversed(by_length)}
    place = places.get(name.strip().replace(" ", "_").lower())
    hint = f"; did you mean {place!r}?" if place else meant(name, sorted(known))
    raise ValueError(f"no time zone is called {name!r}{hint or '; write its name, as UTC or Europe/Berlin'}")


def last_interval(cron: Cron, clock: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
    """The data interval that has ended last: from one time of the expression to the next.

    A local time that the clock skips counts as the moment of the jump, one that comes twice counts once.

    Args:
        cron: The expression.
        clock: The time zone that it means.
        now: An aware time.

    Returns:
        Start and end, in UTC; the end is not after `now`.

    Raises:
        ValueError: If there is none within the calendar.
    """
    found = itertools.islice(_backwards(cron, clock, now), 2)
    try:
        end, start = found
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{cron.text!r} has no interval that ended by {now:%Y-%m-%d}") from error
    return start, end


def _backwards(cron: Cron, clock: ZoneInfo, now: datetime) -> Iterator[datetime]:
    """The times of an expression up to `now`, the newest first, in UTC."""
    today = now.astimezone(clock).date()
    last: datetime | None = None
    for back in range(_FOUR_YEARS_AND_MORE):
        day = today - timedelta(days=back)
        if not cron.on(day):
            continue
        for hour, minute in itertools.product(reversed(cron.hours), reversed(cron.minutes)):
            moment = datetime.combine(day, time(hour, minute), clock).astimezone(UTC)
            if moment <= now and (last is None or moment < last):
                last = moment
                yield moment
