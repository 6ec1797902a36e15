"""Rows by entity and time: the order and the search, against plain sorting of pairs; late extremes against looking."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.engine import late
from headrace.engine.aggregates import Aggregate, evaluate
from headrace.engine.kernels import Events, spans
from headrace.engine.timeline import Codes, Timeline

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
    st.tuples(
        st.integers(0, 1), st.integers(0, 12), st.sampled_from([0, 0, 1, 3, 9, 40, 40]), st.integers(0, 30) | st.none()
    ),
    max_size=25,
)
BEFORE = [(0, i, 90, i) for i in range(6)]  # known when all windows have left them behind


@pytest.mark.parametrize("short", [0, 8])
@settings(max_examples=400, deadline=None)
@given(late_rows, st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=1, max_size=10))
@example([*BEFORE, (0, 10, 0, 27), (0, 11, 6, 26), (0, 12, 0, 28)], [(0, 14)])
@example([(0, 1, 0, None), (0, 2, 3, None), (0, 3, 0, None), (0, 4, 40, 7)], [(0, 4)])
def test_late_extremes_are_those_of_what_is_known(short: int, events: list, asked: list) -> None:
    entity, happened, delay = (np.array([e[i] for e in events], np.int64) for i in range(3))
    column = pa.array([e[3] for e in events], pa.int64())
    asked = sorted(asked)
    counted = spans(Events(entity, happened, happened + delay), *columns(asked), [3, 10])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(late, "_SHORT", short)  # with 0 the wavelet answers for whatever is not settled by the range
        for window in counted:
            in_it = [
                [
                    e[3]
                    for e in events
                    if (e[0], e[3] is None) == (who, False) and t - window < e[1] and e[1] + e[2] <= t
                ]
                for who, t in asked
            ]
            for function, choose in (("max", max), ("min", min)):
                got = evaluate(column, counted, [Aggregate("f", "x", function, window)])[0].to_pylist()
                assert got == [choose(values, default=None) for values in in_it]
