"""How a part of a topic's rows goes from one state of a table to the next, a transaction at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.runtime.sinks.delivery import Sent
from headrace.runtime.sinks.transactions import (
    LAST,
    PartsChangedError,
    Row,
    Segments,
    _chunks,
    advanced,
    segments_of,
    text_of,
)

STATES = st.builds(Sent, st.integers(0, 3), st.sampled_from("abc"))
SEGMENTS = st.lists(st.tuples(st.integers(-20, 20), STATES), unique_by=lambda one: one[0]).map(
    lambda those: tuple(sorted(those, key=lambda one: one[0]))
)


def at(segments: Segments, place: int) -> Sent | None:
    """The state of a hash, looked up the slow way."""
    return next((state for upto, state in segments if place <= upto), None)


@given(SEGMENTS, STATES, st.integers(-25, 25))
def test_what_is_advanced_is_new_up_to_there_and_as_it_was_beyond(before: Segments, state: Sent, upto: int) -> None:
    after = advanced(before, state, upto)
    for place in range(-30, 31):
        assert at(after, place) == (state if place <= upto else at(before, place))
    assert segments_of(text_of(after, 8), 8) == after
    with pytest.raises(PartsChangedError, match="it told of 8 parts, and has 12 partitions now"):
        segments_of(text_of(after, 8), 12)


@given(st.lists(st.integers(-10, 10)), st.integers(1, 5))
def test_rows_of_one_hash_are_in_one_transaction(hashes: list[int], most: int) -> None:
    rows = [Row(0, one, str(number), None) for number, one in enumerate(sorted(hashes))]
    chunks = list(_chunks(iter(rows), most))
    assert [row for chunk, _ in chunks for row in chunk] == rows
    assert chunks[-1][1] == LAST
    ends = [end for _, end in chunks]
    assert ends == sorted(set(ends))
    after = -11
    for chunk, end in chunks:
        assert all(after < (row.hash or 0) <= end for row in chunk)
        assert len({row.hash for row in chunk}) == 1 or len(chunk) - sum(r.hash == chunk[-1].hash for r in chunk) < most
        after = end
