"""The kernels against brute force in exact rational arithmetic."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.engine import exact
from headrace.engine.aggregates import Aggregate, evaluate
from headrace.engine.grid import MONDAY, grid_rows, next_instant
from headrace.engine.intervals import NEVER
from headrace.engine.kernels import Events, Rows, latest, spans
from headrace.engine.published import valid_until
from headrace.engine.ranks import Wavelet, extremes

FUNCTIONS = ("count", "sum", "mean", "stddev", "min", "max", "first", "last", "distinct", "p01", "p50", "p90")
EXACT = ("count", "min", "max", "first", "last", "distinct")
WINDOWS = (1, 3, 10, 10**13)

times = st.one_of(st.integers(0, 12), st.sampled_from([10**15, 10**15 + 1, -5, 2 * 10**17]))
delays = st.sampled_from([0, 0, 0, 1, 2, 5, 40, -3, None])
floats = st.one_of(
    st.none(),
    st.sampled_from([1e15, -1e15, 1e-3, 0.1, -0.0, 0.0, 3.0, 1e-300, 1e300, math.nan, math.inf, -math.inf]),
    st.floats(-1e3, 1e3, allow_subnormal=False),
)
integers = st.one_of(st.none(), st.integers(-5, 5), st.sampled_from([2**53 + 1, -(2**61), 2**62]))
rows = st.lists(st.tuples(st.integers(0, 2), times, delays, floats, integers), max_size=25)
asks = st.lists(st.tuples(st.integers(-1, 3), times), min_size=1, max_size=12)


def kernel(events: list, asking: list, window: int) -> dict[tuple[str, str], list]:
    """All functions of both columns, by the kernels."""
    usable = [e for e in events if e[2] is not None]
    entity, happened = (np.array([e[i] for e in usable], np.int64) for i in (0, 1))
    known = np.array([max(e[1], e[1] + e[2]) for e in usable], np.int64)
    found = Events(entity, happened, known)
    who = Rows(*(np.array([a[i] for a in asking], np.int64) for i in (0, 1)), np.array([a[0] >= 0 for a in asking]))
    order = who.order
    ask = spans(found, who.entity[order], who.cutoff[order], list(WINDOWS))
    out = {}
    for name, column in (
        ("x", pa.array([e[3] for e in usable], pa.float64())),
        ("i", pa.array([e[4] for e in usable], pa.int64())),
    ):
        for function in FUNCTIONS:
            if name == "i" and function == "sum":
                continue
            values = evaluate(column, ask, [Aggregate("f", name, function, window)])[0].to_pylist()
            out[name, function] = [None] * len(asking)
            for row, value in zip(order, values, strict=True):
                out[name, function][row] = value
    return out


def ordered(value: float) -> tuple[bool, float]:
    """Spark's order: NaN is greatest."""
    return (True, 0.0) if isinstance(value, float) and math.isnan(value) else (False, value)


def moments(function: str, values: list) -> float | None:
    """`sum`, `mean` and `stddev`, exact where the numbers are finite."""
    if not values or (function == "stddev" and len(values) < 2):
        return None
    if not all(map(math.isfinite, values)):
        return math.nan if function == "stddev" else sum(v for v in values if not math.isfinite(v))
    numbers = [Fraction(v) for v in values]
    total = sum(numbers)
    if function == "sum":
        return float(total)
    mean = total / len(numbers)
    if function == "mean":
        return float(mean)
    variance = sum((n - mean) ** 2 for n in numbers) / (len(numbers) - 1)
    if not variance:
        return 0.0
    shift = (variance.numerator.bit_length() - variance.denominator.bit_length()) // 2
    return math.ldexp(math.sqrt(variance / Fraction(4) ** shift), shift)


def expected(function: str, counted: list[tuple[int, int, float]]) -> float | None:
    """The aggregate of (event time, known, value), nulls left out."""
    counted = sorted(counted, key=lambda c: (c[0], c[1], ordered(c[2])))
    values = sorted((c[2] for c in counted), key=ordered)
    if function == "count":
        return len(values)
    if function == "distinct":
        return len({ordered(v + 0) for v in values})
    if not values:
        return None
    if function in ("sum", "mean", "stddev"):
        return moments(function, values)
    if function in ("min", "max"):
        return values[0 if function == "min" else -1]
    if function in ("first", "last"):
        return counted[0 if function == "first" else -1][2]
    at = (len(values) - 1) * (int(function[1:]) / 100)
    low, high = float(values[math.floor(at)]), float(values[math.ceil(at)])
    return low if low == high or at == math.floor(at) else (math.ceil(at) - at) * low + (at - math.floor(at)) * high


def close(function: str, got: float | None, want: float | None, values: list) -> bool:
    if got is None or want is None or function in EXACT or function[0] == "p":
        return got == want or (got != got and want != want and got is not None and want is not None)
    if not math.isfinite(want):
        return got == want or (math.isnan(got) and math.isnan(want))
    scale = float(sum(abs(Fraction(v)) for v in values) / len(values))
    return abs(got - want) <= 1e-9 * max(abs(want), scale)


@settings(max_examples=400, deadline=None)
@given(rows, asks, st.sampled_from(WINDOWS))
@example([(0, 1, 0, 1e15, 1), (0, 5, 0, 1e-3, 2), (0, 6, 0, 1e-3, 3)], [(0, 6)], 3)
@example([(0, 0, 40, 1.0, 1), (0, 1, 0, 2.0, 2), (0, 2, 1, None, 3)], [(0, 2), (0, 40)], 10)
@example([(0, 4, 0, 1.0, 1), (0, 5, 0, 2.0, 2)], [(0, 7)], 3)
@example([(0, 0, 0, 1e300, 1), (0, 10, 0, 1e-300, 2), (0, 11, 0, 3e-300, 3)], [(0, 11), (0, 2)], 3)
@example([], [(0, 1), (-1, 1)], 3)
def test_every_function_agrees_with_brute_force(events: list, asking: list, window: int) -> None:
    got = kernel(events, asking, window)
    for at, (entity, cutoff) in enumerate(asking):
        counts = [
            e
            for e in events
            if e[0] == entity and e[2] is not None and cutoff - window < e[1] <= cutoff and e[1] + e[2] <= cutoff
        ]
        for (name, function), values in got.items():
            column = [(e[1], max(e[1], e[1] + e[2]), e[3 if name == "x" else 4]) for e in counts]
            column = [c for c in column if c[2] is not None]
            want = expected(function, column) if entity >= 0 else None
            assert close(function, values[at], want, [c[2] for c in column]), (name, function, values[at], want)


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=6))
def test_integer_sums_are_exact_or_refused(values: list[tuple[int]]) -> None:
    numbers = [v[0] for v in values]
    n = len(numbers)
    events = Events(np.zeros(n, np.int64), np.arange(n), np.arange(n))
    at = np.array([n]), np.array([n])
    ask = spans(events, np.array([0]), at[0], [100])
    column, sums = pa.array(numbers, pa.int64()), [Aggregate("f", "i", "sum", 100)]
    if -(2**63) <= sum(numbers) < 2**63:
        assert evaluate(column, ask, sums)[0].to_pylist() == [sum(numbers)]
    else:
        with pytest.raises(OverflowError, match="64 bits"):
            evaluate(column, ask, sums)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_limbs_add_up_to_the_numbers_and_their_squares(values: list[float]) -> None:
    parts = exact.limbs(np.array(values), exact.limb_bits(len(values)))
    squared = exact.squares(parts)
    for i, value in enumerate(values):
        assert sum(Fraction(int(p.digits[i])) * Fraction(2) ** p.exponent for p in parts) == Fraction(value)
        assert sum(Fraction(int(p.digits[i])) * Fraction(2) ** p.exponent for p in squared) == Fraction(value) ** 2


def test_a_long_constant_column_has_no_spread_and_an_outlier_leaves_no_trace() -> None:
    n = 20_000
    values = np.full(n, 1000.1)
    values[10] = 1e15
    events = Events(np.zeros(n, np.int64), np.arange(n), np.arange(n))
    cutoff = np.arange(n)
    ask = spans(events, np.zeros(n, np.int64), cutoff, [500])
    mean, stddev = evaluate(pa.array(values), ask, [Aggregate("m", "x", f, 500) for f in ("mean", "stddev")])
    assert set(mean.to_pylist()[511:]) == {1000.1}
    assert set(stddev.to_pylist()[511:]) == {0.0}


def test_a_small_spread_far_from_zero_keeps_its_digits() -> None:
    values = np.where(np.arange(1000) % 2, 1e9, 1e9 + 1e-3)
    at = np.array([999])
    events = Events(np.zeros(1000, np.int64), np.arange(1000), np.arange(1000))
    stddev = evaluate(pa.array(values), spans(events, np.array([0]), at, [500]), [Aggregate("s", "x", "stddev", 500)])
    want = (values[0] - values[1]) / 2 * math.sqrt(500 / 499)
    assert stddev[0].to_pylist() == pytest.approx([want], rel=1e-12)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.data())
def test_wavelet_and_extremes_find_the_right_rank(ranks: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(ranks) - 1))
    stop = data.draw(st.integers(start + 1, len(ranks)))
    k = data.draw(st.integers(0, stop - start - 1))
    array = np.array(ranks)
    at = [np.array([v]) for v in (stop, start, k)]
    assert Wavelet(array, array).kth(*at).tolist() == [sorted(ranks[start:stop])[k]]
    assert extremes(array, at[1], at[0], np.minimum).tolist() == [min(ranks[start:stop])]
    assert extremes(array, at[1], at[0], np.maximum).tolist() == [max(ranks[start:stop])]


@settings(max_examples=300, deadline=None)
@given(rows, asks, st.sampled_from([None, *WINDOWS]))
@example([(0, 4, 0, None, None)], [(0, 7)], 3)
def test_latest_is_the_greatest_row_known(events: list, asking: list, max_age: int | None) -> None:
    usable = [e for e in events if e[2] is not None]
    entity, happened = (np.array([e[i] for e in usable], np.int64) for i in (0, 1))
    available = np.array([e[1] + e[2] for e in usable], np.int64)
    who = [np.array([a[i] for a in asking], np.int64) for i in (0, 1)]
    found = Events(entity, happened, np.maximum(happened, available), lambda rows: [available[rows]])
    got = latest(found, who[0], who[1], max_age)
    for (of, cutoff), row in zip(asking, got.tolist(), strict=True):
        known = [
            (e[1], e[1] + e[2])
            for e in usable
            if e[0] == of and e[1] <= cutoff and e[1] + e[2] <= cutoff and (max_age is None or e[1] > cutoff - max_age)
        ]
        assert (row >= 0) == bool(known)
        if known:
            assert entity[row] == of
            assert (happened[row], available[row]) == max(known)


@settings(max_examples=500, deadline=None)
@given(
    rows, st.lists(st.none() | st.integers(-3, 20), min_size=30, max_size=30), asks, st.sampled_from([None, *WINDOWS])
)
def test_the_last_of_the_rows_that_hold(events: list, ends: list, asking: list, max_age: int | None) -> None:
    usable = [(*e, end) for e, end in zip(events, ends, strict=False) if e[2] is not None]
    entity, happened = (np.array([e[i] for e in usable], np.int64) for i in (0, 1))
    available = np.array([e[1] + e[2] for e in usable], np.int64)
    until = np.array([NEVER if e[-1] is None else e[-1] for e in usable], np.int64)
    who = [np.array([a[i] for a in asking], np.int64) for i in (0, 1)]
    found = Events(entity, happened, np.maximum(happened, available), lambda rows: [available[rows]])
    got = latest(found, who[0], who[1], max_age, until)
    for (of, cutoff), row in zip(asking, got.tolist(), strict=True):
        holding = [
            (s, a)
            for e, s, a, end in zip(entity, happened, available, until, strict=True)
            if e == of and max(s, a) <= cutoff < end and (max_age is None or s > cutoff - max_age)
        ]
        assert (row >= 0) == bool(holding)
        if holding:
            assert entity[row] == of
            assert until[row] > cutoff
            assert (happened[row], available[row]) == max(holding)


@settings(max_examples=200, deadline=None)
@given(rows.filter(lambda r: any(e[2] is not None for e in r)))
def test_published_rows_hold_until_the_window_changes(events: list) -> None:
    usable = sorted((e[0], max(e[1], e[1] + e[2]), e[1]) for e in events if e[2] is not None)
    entity, known, happened = (np.array([e[i] for e in usable], np.int64) for i in range(3))
    moments_ = sorted({(e[0], e[1]) for e in usable})
    who = Rows(*(np.array([m[i] for m in moments_], np.int64) for i in (0, 1)), np.ones(len(moments_), bool))
    found = Events(entity, happened, known)
    until, ends = valid_until(who, spans(found, who.entity, who.cutoff, [3, 10]), found)
    for (of, start), stop, ended in zip(moments_, until.tolist(), ends.tolist(), strict=True):
        changes = [k for e, k, _ in usable if e == of and k > start]
        changes += [s + w for e, k, s in usable for w in (3, 10) if e == of and k <= start < s + w]
        assert (stop if ended else None) == min(changes, default=None)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(-30, 60), st.sampled_from([0, 0, 1, 9, 50])), max_size=12),
    st.sampled_from([1, 3, 7]),
    st.sampled_from([2, 10, 25]),
    st.one_of(st.none(), st.integers(-40, 80)),
)
def test_a_grid_has_rows_while_an_event_counts_and_once_after(
    events: list, every: int, longest: int, until: int | None
) -> None:
    happened = np.array([MONDAY + e[1] for e in events], np.int64)
    known = happened + np.array([e[2] for e in events], np.int64)
    found = Events(np.array([e[0] for e in events], np.int64), happened, known)
    entity, at = grid_rows(found, longest, every, None if until is None else MONDAY + until)
    want = set()
    for of, start, delay in events:
        grid = [g for g in range(-210, 210 + every, every) if g >= start + delay]
        counting = [g for g in grid if g < start + longest]
        want |= {(of, g) for g in [*counting, grid[len(counting)]] if until is None or g <= until}
    got = list(zip(entity.tolist(), (at - MONDAY).tolist(), strict=True))
    assert got == sorted(want)


def test_the_next_instant_of_a_grid_comes_after() -> None:
    week = 7 * 86_400_000_000
    assert next_instant(datetime(2024, 1, 1, tzinfo=UTC), week) == datetime(2024, 1, 8, tzinfo=UTC)  # both Mondays
    assert next_instant(datetime(2024, 1, 7, 23, 59, tzinfo=UTC), week) == datetime(2024, 1, 8, tzinfo=UTC)
    assert next_instant(datetime(1969, 12, 31, 23, tzinfo=UTC), week // 7) == datetime(1970, 1, 1, tzinfo=UTC)
