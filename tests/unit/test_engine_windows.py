"""Most frequent value, trend, time since the last event, sketches and ratios against brute force in exact arithmetic."""

from __future__ import annotations

import math
import random
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.engine.aggregates import Aggregate, evaluate
from headrace.engine.kernels import Events, Rows, spans
from headrace.engine.sketch import PRECISION, RANKS, REGISTERS, estimate, registers
from tests.unit.test_engine_kernels import delays, floats, moments, ordered, times

DAY = 86_400_000_000
WINDOWS = (1, 3, 10, 10**13, 10**18)

values = st.one_of(floats, st.sampled_from([1.0, 2.0, 2.0, -0.0, 0.0, None]))
near = st.one_of(times, st.integers(0, 12).map(lambda t: 2 * 10**17 + t), st.integers(0, 10**7))
rows = st.lists(st.tuples(st.integers(0, 2), near, delays, values), max_size=30)
asks = st.lists(st.tuples(st.integers(-1, 3), near), min_size=1, max_size=12)

Counted = list[tuple[int, float | None]]


def computed(events: list, asking: list, window: int, column: pa.Array | None, *aggregates: Aggregate) -> list[list]:
    """By the kernels: per aggregate the value of each row that asks; events whose delay is null are left out."""
    usable = [e for e in events if e[2] is not None]
    entity, happened = (np.array([e[i] for e in usable], np.int64) for i in (0, 1))
    known = np.array([max(e[1], e[1] + e[2]) for e in usable], np.int64)
    who = Rows(*(np.array([a[i] for a in asking], np.int64) for i in (0, 1)), np.array([a[0] >= 0 for a in asking]))
    order = who.order
    lengths = sorted({window, *(w for a in aggregates for w in a.windows)})
    ask = spans(Events(entity, happened, known), who.entity[order], who.cutoff[order], lengths)
    out = []
    for found in evaluate(column, ask, aggregates):
        mine: list[Any] = [None] * len(asking)
        for row, value in zip(order.tolist(), found.to_pylist(), strict=True):
            mine[row] = value
        out.append(mine)
    return out


def counted(events: list, entity: int, cutoff: int, window: int) -> Counted:
    """Event time and value of what counts."""
    known = [e for e in events if e[0] == entity and e[2] is not None and e[1] + e[2] <= cutoff]
    return [(e[1], e[3]) for e in known if cutoff - window < e[1] <= cutoff]


def column_of(events: list) -> pa.Array:
    return pa.array([e[3] for e in events if e[2] is not None], pa.float64())


def mode(found: Counted) -> float | None:
    """The smallest of the most frequent values; NaN is one value and the greatest."""
    number = Counter(ordered(v + 0) for _, v in found if v is not None)
    if not number:
        return None
    most = min(value for value, times in number.items() if times == max(number.values()))
    return math.nan if most[0] else most[1]


def trend(found: Counted) -> Fraction | float | None:
    """The slope per day, by the centred formula."""
    pairs = [(t, v) for t, v in found if v is not None]
    if len({t for t, _ in pairs}) < 2:
        return None
    if not all(math.isfinite(v) for _, v in pairs):
        return math.nan
    t_mean = Fraction(sum(t for t, _ in pairs), len(pairs))
    x_mean = sum(Fraction(v) for _, v in pairs) / len(pairs)
    spread = sum((t - t_mean) ** 2 for t, _ in pairs)
    return sum((t - t_mean) * (Fraction(v) - x_mean) for t, v in pairs) / spread * DAY


def since_last(times: list[int], cutoff: int) -> Fraction | None:
    """Seconds."""
    return Fraction(cutoff - max(times), 1_000_000) if times else None


def near_enough(got: float | None, want: Fraction | float | None) -> bool:
    """Within 1e-12 of the exact value itself, which is more than the 1e-9 promised."""
    if got is None or want is None:
        return got is None and want is None
    if isinstance(want, float):
        return got == want or (math.isnan(got) and math.isnan(want))
    if not math.isfinite(got):
        return abs(want) > Fraction(1.797e308)
    return abs(Fraction(got) - want) <= max(abs(want) / 10**12, Fraction(1, 10**320))


@settings(max_examples=600, deadline=None)
@given(rows, asks, st.sampled_from(WINDOWS))
@example([(0, 1, 0, 1e15), (0, 5, 0, 1e-3), (0, 6, 0, 1e-3), (0, 7, 0, 2e-3)], [(0, 7), (0, 6)], 3)
@example([(0, 0, 0, 1e-3), (0, 2 * 10**17, 0, 1e15), (0, 2 * 10**17 + 1, 0, 1e-3)], [(0, 2 * 10**17 + 1)], 3)
@example([(0, 0, 40, 1.0), (0, 1, 0, 2.0), (0, 2, 1, None)], [(0, 2), (0, 40), (0, 41)], 10)
@example([(0, 4, 0, math.inf), (0, 4, 0, 3.0), (1, 4, 0, 3.0)], [(0, 4), (0, 6), (1, 4)], 10)
@example([(0, 1, 0, 3.0)] * 3 + [(1, 0, 0, 3.0), (1, 2, 0, 1.0)], [(0, 1), (1, 2), (2, 9)], 10)
@example([(0, 4, 40, 3.0)], [(0, 50), (0, 43)], 3)
@example([(0, 4, 0, None)], [(0, 4)], 3)
@example([], [(0, 1), (-1, 1)], 3)
def test_mode_trend_and_time_since_last_agree_with_brute_force(events: list, asking: list, window: int) -> None:
    asked = [Aggregate(f, "x", f, window) for f in ("mode", "trend", "since_last")]
    modes, trends, ages = computed(events, asking, window, column_of(events), *asked)
    (of_rows,) = computed(events, asking, window, None, Aggregate("n", "*", "since_last", window))
    for at, (entity, cutoff) in enumerate(asking):
        found = counted(events, entity, cutoff, window) if entity >= 0 else []
        want = mode(found)
        assert modes[at] == want or (want != want and modes[at] != modes[at])
        assert near_enough(trends[at], trend(found))
        assert near_enough(ages[at], since_last([t for t, v in found if v is not None], cutoff))
        assert near_enough(of_rows[at], since_last([t for t, _ in found], cutoff))


@settings(max_examples=300, deadline=None)
@given(rows, asks, st.sampled_from([(1, 3), (3, 10), (10, 3), (3, 10**18)]))
@example([(0, 1, 0, 2.0), (0, 9, 0, -2.0)], [(0, 9), (0, 3)], (3, 10))
def test_ratios_divide_one_window_by_the_other(events: list, asking: list, lengths: tuple[int, int]) -> None:
    asked = [Aggregate(f, "x", f, *lengths) for f in ("count", "sum", "mean", "max")]
    got = computed(events, asking, 1, column_of(events), *asked)
    for at, (entity, cutoff) in enumerate(asking):
        sides = []
        for window in lengths:
            counts = counted(events, entity, cutoff, window) if entity >= 0 else []
            x = [v for _, v in counts if v is not None]
            greatest = max(x, key=ordered) if x else None
            sides.append([len(x) if entity >= 0 else None, moments("sum", x), moments("mean", x), greatest])
        for number, (above, below) in enumerate(zip(*sides, strict=True)):
            value = got[number][at]
            if above is None or not below:
                assert value is None, asked[number].name
            else:  # quotients of rounded numbers below the normal ones have few digits
                assert value == pytest.approx(above / below, rel=1e-12, abs=1e-300, nan_ok=True), asked[number].name


def test_modes_of_text_and_times_keep_their_type() -> None:
    events = [(0, t, 0) for t in range(5)]
    for column in (
        pa.array(["b", "a", "b", "a", None]),
        pa.array([7, 3, 7, 3, None], pa.timestamp("us", tz="UTC")),
        pa.array([True, False, True, False, None]),
    ):
        (found,) = computed(events, [(0, 0), (0, 4)], 10, column, Aggregate("m", "w", "mode", 10))
        assert found == [column[0].as_py(), column[1].as_py()]


def test_modes_in_long_windows() -> None:
    random.seed(5)
    happened = sorted(random.randrange(5000) for _ in range(3000))
    drawn = [random.choice([1, 2, 3, 5, 8, None]) for _ in happened]
    events = [(t % 2, t, random.choice([0, 0, 30, 900]), v) for t, v in zip(happened, drawn, strict=True)]
    asking = [(t % 2, t + 1) for t in range(0, 6000, 13)]
    for window in (100, 700):
        (got,) = computed(events, asking, window, column_of(events), Aggregate("m", "x", "mode", window))
        assert got == [mode(counted(events, entity, cutoff, window)) for entity, cutoff in asking]


def test_a_trend_is_exact_beside_an_outlier_and_far_from_the_first_event() -> None:
    n = 70_000
    happened = np.arange(n, dtype=np.int64) * 7 + 1_356_998_400_000_000
    happened[0] = 0
    x = 1e-3 * np.arange(n) * 0.5
    x[:100] = 1e15
    ask = spans(Events(np.zeros(n, np.int64), happened, happened), np.zeros(n, np.int64), happened, [700])
    (slopes,) = evaluate(pa.array(x), ask, [Aggregate("s", "x", "trend", 700)])
    got = np.array(slopes.to_pylist()[-1:] + slopes.to_pylist()[40_000:40_100])
    assert got == pytest.approx(5e-4 / 7 * DAY, rel=1e-10)  # the values themselves are rounded
    few = [(int(t), float(v)) for t, v in zip(happened[-100:], x[-100:], strict=True)]
    assert near_enough(slopes[n - 1].as_py(), trend(few))


def plain_sketch(hashes: list[int]) -> list[int]:
    """HyperLogLog's registers as the book has them."""
    out = [0] * REGISTERS
    for value in hashes:
        bits = value % 2**64
        rank = RANKS + 1 - (bits >> PRECISION).bit_length()
        out[bits % REGISTERS] = max(out[bits % REGISTERS], min(rank, RANKS))
    return out


def ertl(held: list[int]) -> int:
    """Ertl's improved estimator, algorithm 6, where no register is full."""
    number = Counter(held)
    z = sum(number[k] * 2.0**-k for k in range(RANKS, 0, -1))
    x, y = number[0] / REGISTERS, 1.0
    if x == 1:
        return 0
    sigma = x
    while True:
        x *= x
        more = sigma + x * y
        y += y
        if more == sigma:
            break
        sigma = more
    return round(REGISTERS**2 / (2 * math.log(2)) / (REGISTERS * sigma + z))


hashes = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 50).map(lambda k: 1 << (k + PRECISION)),
    st.integers(0, REGISTERS - 1),
    st.sampled_from([0, 1, -1]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), near, delays, hashes), max_size=30), asks, st.sampled_from(WINDOWS))
@example([(0, 0, 0, 0), (0, 1, 0, -(2**63)), (0, 2, 40, 5), (0, 5, 0, 5 + (1 << 62))], [(0, 2), (0, 5), (0, 42)], 10)
def test_sketches_slide_as_if_each_window_had_its_own(events: list, asking: list, window: int) -> None:
    column = pa.array([e[3] for e in events if e[2] is not None], pa.int64())
    (got,) = computed(events, asking, window, column, Aggregate("d", "w", "approx_distinct", window))
    for at, (entity, cutoff) in enumerate(asking):
        found = [h for _, h in counted(events, entity, cutoff, window) if h is not None]
        assert got[at] == (None if entity < 0 else ertl(plain_sketch(found)))  # type: ignore[arg-type]


def test_sketches_are_within_a_few_per_cent_from_one_to_a_million() -> None:
    generator = np.random.default_rng(3)
    errors = []
    for n in [1, 2, 5, 30, 300, 2_000, 5_000, 12_000, 40_000, 200_000, 1_000_000] * 6:
        register, rank = registers(generator.integers(-(2**63), 2**63, n))
        held = np.zeros(REGISTERS, np.int64)
        np.maximum.at(held, register, rank)
        weights = np.sum(np.left_shift(1, RANKS - held[held > 0]), keepdims=True)
        found = int(estimate(np.array([(held > 0).sum()]), weights)[0])
        assert found == ertl(held.tolist())
        errors.append(found / n - 1)
        assert n > 5 or found == n
    assert np.abs(errors).max() < 0.06
    assert math.sqrt(np.mean(np.square(errors))) < 0.018
    assert abs(np.mean(errors)) < 0.005
