"""Rows by entity and time: the order and the search, against plain sorting of pairs; late extremes against looking."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.engine import late
from headrace.engine.kernels import Events, spans
from headrace.engine.timeline import Codes, Timeline
from headrace.engine.values import Values

# with the second kind of entities, a code and a time do not fit into 63 bits together
entities = st.one_of(st.integers(0, 3), st.sampled_from([0, 2**40, 2**40 + 1]))
times = st.one_of(st.integers(-3, 6), st.sampled_from([-(6 * 10**16), 25 * 10**16, 10**15]))
pairs = st.lists(st.tuples(entities, times), max_size=20)


def columns(pairs_: list) -> list[np.ndarray]:
    return [np.array([p[i] for p in pairs_], np.int64) for i in (0, 1)]


@settings(max_examples=500, deadline=None)
@given(pairs, st.lists(st.tuples(st.one_of(st.just(-1), entities), times), min_size=1, max_size=10))
@example([], [(0, 1), (-1, 0)])
@example([(2**40, -(6 * 10**16)), (2**40 + 1, 25 * 10**16), (0, 3)], [(2**40, 0), (2**40 + 1, 25 * 10**16), (0, 4)])
def test_a_timeline_counts_what_comes_before(there: list, asked: list) -> None:
    codes = Codes(*columns(there))
    order = codes.order()
    assert [there[i] for i in order] == sorted(there)
    got = Timeline(codes, order).upto(*columns(asked))
    mine = [sum(pair <= ask for pair in there) for ask in asked]
    assert got.tolist() == mine


@settings(max_examples=200, deadline=None)
@given(pairs, st.randoms(use_true_random=False))
def test_ties_go_by_their_keys_in_turn(there: list, random) -> None:
    first, second = ([random.randint(0, 2) for _ in there] for _ in range(2))
    order = Codes(*columns(there)).order(lambda rows: [np.array(first)[rows], np.array(second)[rows]])
    keys = [(*pair, *ties) for pair, *ties in zip(there, first, second, strict=True)]
    assert [keys[i] for i in order] == sorted(keys)


late_rows = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 12), st.sampled_from([0, 0, 1, 3, 9, 40]), st.integers(0, 4)),
    max_size=25,
)


@pytest.mark.parametrize("short", [0, 8])
@settings(max_examples=300, deadline=None)
@given(late_rows, st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=1, max_size=10))
def test_late_extremes_are_those_of_what_is_known(short: int, events: list, asked: list) -> None:
    entity, happened, delay, value = (np.array([e[i] for e in events], np.int64) for i in range(4))
    of = Events(entity, happened, happened + delay)
    asked = sorted(asked)
    column = pa.array([None if v == 4 else v for v in value.tolist()], pa.int64())
    for window, span in spans(of, *columns(asked), [3, 10]).items():
        counted = [
            [e[3] for e in events if e[0] == who and t - window < e[1] and e[1] + e[2] <= t and e[3] != 4]
            for who, t in asked
        ]
        some = np.flatnonzero([len(c) > 0 for c in counted])
        if not len(some):
            continue
        for greatest, choose in ((True, max), (False, min)):
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(late, "_SHORT", short)
                got = late.late_extremes(Values(column, span.events), value, span, some, greatest)
            answered = got >= 0
            assert short == 0 or answered.all() or len(events) > short
            assert [r for r in got if r >= 0] == [choose(counted[i]) for i in some[answered]]
