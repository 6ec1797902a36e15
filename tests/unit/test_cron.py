"""Cron expressions: what is refused in words, and which interval has ended last."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.config.cron import last_interval, parse, zone

BERLIN = zone("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0 3 * * *", "0 3 * * *"),
        ("*/15 8-18/5 * * Mon-FRI", "*/15 8,13,18 * * 1,2,3,4,5"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * sat-sun", "0 0 * * 0,6"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("5,1-2 0 1 jan,JUL *", "1,2,5 0 1 1,7 *"),
        ("*/1 * * * *", "* * * * *"),
        ("*/60 */24 * * *", "0 0 * * *"),
        ("10/20 0 * * *", "10,30,50 0 * * *"),
    ],
)
def test_expressions_in_the_dialect_that_all_share(text: str, numbers: str) -> None:
    assert parse(text).text == numbers
    assert parse(numbers) == parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("@daily", "did you mean `every: day`?"),
        ("@weekley", "did you mean `every: week`?"),
        ("@reboot", "no cron expression of five fields"),
        ("0 0 3 * * *", "has 6 fields; write five: .*; without seconds it is '0 3 \\* \\* \\*'"),
        ("", "has 0 fields"),
        ("0 24 * * *", "'24' is no hour; allowed: 0 to 23"),
        ("60 0 * * *", "'60' is no minute"),
        ("0 0 0 * *", "'0' is no day of the month; allowed: 1 to 31"),
        ("0 0 * * mno", "did you mean 'mon'?"),
        ("0 0 * ' *", "is no month"),
        ("0 ٣ * * *", "is no hour"),
        ("0, 3 * * *", "'' is no minute"),
        ("*/0 * * * *", "'\\*/0' is no step"),
        ("*/x * * * *", "is no step"),
        ("0 22-3 * * *", "the hour '22-3' goes backwards; write 22-23,0-3"),
        ("0 0 30,31 2 *", "never comes"),
        ("0 0 13 * 5", "make two schedules"),
    ],
)
def test_what_is_no_expression(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("?", "\\?")):
        parse(text)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Europe/Berln", "did you mean 'Europe/Berlin'?"),
        ("berlin", "did you mean 'Europe/Berlin'?"),
        ("New York", "did you mean 'America/New_York'?"),
        ("utc", "did you mean 'UTC'?"),
        ("localtime", "write its name"),
        ("../../etc/passwd", "write its name"),
        ("", "write its name"),
    ],
)
def test_what_is_no_time_zone(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("?", "\\?")):
        zone(name)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "now", "start", "end"),
    [
        ("0 3 * * *", "2026-01-10 02:00", "2026-01-09 02:00", "2026-01-10 02:00"),  # at the very moment
        ("0 3 * * *", "2026-01-10 01:59", "2026-01-08 02:00", "2026-01-09 02:00"),
        ("0 3 * * *", "2026-03-29 05:00", "2026-03-28 02:00", "2026-03-29 01:00"),  # a day of 23 hours
        ("30 2 * * *", "2026-03-29 05:00", "2026-03-28 01:30", "2026-03-29 01:30"),  # 02:30 does not come
        ("30 2 * * *", "2026-10-25 05:00", "2026-10-24 00:30", "2026-10-25 00:30"),  # 02:30 comes twice
        ("0 * * * *", "2026-03-29 01:00", "2026-03-29 00:00", "2026-03-29 01:00"),  # 02:00 and 03:00 are one moment
        ("0 9 * * mon-fri", "2026-06-08 08:00", "2026-06-05 07:00", "2026-06-08 07:00"),  # over the weekend
        ("0 0 1 * *", "2026-03-02 00:00", "2026-01-31 23:00", "2026-02-28 23:00"),
        ("0 0 29 2 *", "1904-03-01 00:00", "1896-02-28 23:00", "1904-02-28 23:00"),  # 1900 had none
    ],
)
def test_the_interval_that_has_ended_last(text: str, now: str, start: str, end: str) -> None:
    assert last_interval(parse(text), BERLIN, at(now)) == (at(start), at(end))


def test_before_the_calendar_there_is_no_interval() -> None:
    with pytest.raises(ValueError, match="no interval"):
        last_interval(parse("0 0 * * *"), BERLIN, datetime(1, 1, 1, 12, tzinfo=UTC))


@given(st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)), st.sampled_from(["0 3 * * *", "*/20 1-4 * * *"]))
def test_intervals_follow_each_other_without_gap_or_overlap(moment: datetime, text: str) -> None:
    when = parse(text)
    start, end = last_interval(when, BERLIN, moment.replace(tzinfo=UTC))
    assert start < end <= moment.replace(tzinfo=UTC)
    assert last_interval(when, BERLIN, end) == (start, end)
    assert last_interval(when, BERLIN, end - timedelta(microseconds=1))[1] == start


def test_days_of_the_week_are_those_of_the_calendar() -> None:
    assert parse("0 0 * * sun").on(date(2026, 3, 29))
    assert not parse("0 0 * * sun").on(date(2026, 3, 30))


@pytest.mark.parametrize(
    ("text", "minutes"), [("* * * * *", 1), ("0 3 * * *", 1440), ("50 0,23 * * *", 60), ("5 */6 * * mon", 360)]
)
def test_the_shortest_time_between_runs(text: str, minutes: int) -> None:
    assert parse(text).shortest == timedelta(minutes=minutes)
