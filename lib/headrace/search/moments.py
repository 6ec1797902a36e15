"""Parts of dates and times, as SQL: in UTC whatever the session's zone is, for a model is read in other sessions too."""

from __future__ import annotations

PERIODS = {"quarter": (1, 4), "month": (1, 12), "day": (1, 31), "weekday": (0, 7), "hour": (0, 24), "minute": (0, 60)}
"""Parts that come again: the first value, and how many there are."""
_DAY, _HOUR, _MINUTE = 86_400_000_000, 3_600_000_000, 60_000_000


def part(name: str, kind: str, part: str) -> str:
    """SQL of a part, a double; of the week the days from Monday, 0.

    Args:
        name: The column.
        kind: Its type: date, timestamp or timestamp_ntz.
        part: One of `PERIODS`, or `year`.
    """
    if kind == "date":
        day = f"`{name}`"
        within = "0L"
    else:
        micros = f"unix_micros(cast(`{name}` as timestamp))"
        within = f"pmod({micros}, {_DAY}L)"
        day = f"date_from_unix_date(cast(({micros} - {within}) div {_DAY}L as int))"
    if part in ("hour", "minute"):
        value = f"{within} div {_HOUR}L" if part == "hour" else f"pmod({within}, {_HOUR}L) div {_MINUTE}L"
    else:
        value = f"{part}({day})"
    return f"cast({value} as double)"


def around(name: str, kind: str, one: str) -> dict[str, str]:
    """SQL of sine and cosine of a part that comes again; 0 and 0 where there is no time: the middle of the circle."""
    first, count = PERIODS[one]
    angle = f"({part(name, kind, one)} - {first}) * {2 / count!r}D * pi()"
    return {f"{name}__{one}_{side}": f"coalesce({side}({angle}), 0.0D)" for side in ("sin", "cos")}
