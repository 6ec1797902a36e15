"""Durations are fixed lengths of time, and short in names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.config.durations import microseconds, short
from headrace.config.windows import lengths, window_name


@pytest.mark.parametrize(
    ("text", "wanted", "name"),
    [
        ("1 day", 86_400_000_000, "1d"),
        ("7 days", 7 * 86_400_000_000, "7d"),
        ("30 minutes", 1_800_000_000, "30min"),
        ("3 hours", 10_800_000_000, "3h"),
        ("2 WEEKS", 14 * 86_400_000_000, "2w"),
        ("day", 86_400_000_000, "1d"),
        ("5 milliseconds", 5_000, "5ms"),
        ("90 seconds", 90_000_000, "90s"),
    ],
)
def test_length_and_name(text: str, wanted: int, name: str) -> None:
    assert (microseconds(text), short(text)) == (wanted, name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 month", "no fixed length"),
        ("2 years", "no fixed length"),
        ("0 days", "longer than zero"),
        ("3 fortnights", "unknown unit"),
        ("1.5 hours", "is not a duration"),
        ("-1 day", "is not a duration"),
        ("", "is not a duration"),
        ("1 day 2 hours", "is not a duration"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        microseconds(text)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        found: int | str = microseconds(text)
    except ValueError as error:
        found = str(error)

    assert "write" in found or "longer than zero" in found if isinstance(found, str) else found > 0


@given(st.integers(1, 50_000), st.sampled_from(["second", "minute", "hour", "day", "week"]))
def test_units_are_proportional(number: int, unit: str) -> None:
    assert microseconds(f"{number} {unit}s") == number * microseconds(f"1 {unit}")


def test_a_window_may_be_divided_by_another() -> None:
    assert (lengths("3 hours"), window_name("3 hours")) == ((10_800_000_000, None), "3h")
    assert (lengths("1 sec / 1 min"), window_name("1 day/2 weeks")) == ((1_000_000, 60_000_000), "1d_per_2w")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 day / 24 hours", "divides a window by itself"),
        ("1 day / 2 days / 3 days", "more than two windows"),
        ("1 day / 1 month", "no fixed length"),
        ("1 day /", "is not a duration"),
        ("/ 1 day", "is not a duration"),
        ("1 day / 0 days", "longer than zero"),
    ],
)
def test_what_is_no_window_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        lengths(text)
