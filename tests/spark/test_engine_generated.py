"""Fifty generated cases at once through Spark, each function against brute force in exact rational arithmetic.

A case is an entity's part of the key, so that one job computes them all; in how many buckets, and in which order its rows come, is
another each time.
"""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.engine.point_in_time import point_in_time_join
from headrace.engine.windows import window_features
from tests.unit.test_engine_kernels import FUNCTIONS, close, expected

CASES = 50
WINDOWS = {"1 microsecond": 1, "10 microseconds": 10, "10000000 seconds": 10**13}
TIMES = (*range(13), *range(13), 10**15, 10**15 + 1, -5, 2 * 10**17)
DELAYS = (0, 0, 0, 1, 2, 5, 40, -3, None)
FLOATS = (None, 1e15, -1e15, 1e-3, 0.1, -0.0, 0.0, 3.0, 1e-300, 1e300, math.nan, math.inf, -math.inf)
INTEGERS = (None, *range(-5, 6), 2**53 + 1, -(2**61), 2**62)
Rows = list[tuple[Any, ...]]


def generated(seed: int) -> tuple[Rows, Rows]:
    """Spine (id, case, entity, time) and events (case, entity, time, when known, end, x, i), some cases without any."""
    rng = random.Random(seed)
    spine: Rows = []
    events: Rows = []
    for case in range(CASES):
        for _ in range(rng.choice([0, 1, 3, 12, 25])):
            at, delay = rng.choice(TIMES), rng.choice(DELAYS)
            x = rng.choice([rng.choice(FLOATS), rng.uniform(-1e3, 1e3)])
            end = rng.choice([None, at + rng.choice([0, 1, 4, 30])])
            known = None if delay is None else at + delay
            events.append((case, rng.randrange(3), at, known, end, x, rng.choice(INTEGERS)))
        for _ in range(rng.randrange(1, 13)):
            spine.append((len(spine), case, rng.choice([None, 0, 1, 2, 3]), rng.choice(TIMES)))
    return spine, events


def frames(spark: SparkSession, spine: Rows, events: Rows, seed: int) -> tuple[DataFrame, DataFrame]:
    """As Spark has them, in an order and in partitions of their own."""
    left = spark.createDataFrame(spine, "id int, case int, entity int, t bigint")
    right = spark.createDataFrame(events, "case int, entity int, s bigint, a bigint, u bigint, x double, i bigint")
    times = {name: F.timestamp_micros(name) for name in ("s", "a", "u")}
    return (
        left.withColumn("t", F.timestamp_micros("t")).repartition(1 + seed % 4, F.rand(seed)),
        right.withColumns(times).repartition(1 + seed % 5, F.rand(seed + 1)),
    )


@pytest.mark.parametrize("late", [False, True])
def test_window_features_of_fifty_cases(spark: SparkSession, late: bool) -> None:
    spine, events = generated(seed := 10 + late)
    asked = {
        f"{name}_{function}_{length}": (name, function, window)
        for window, length in WINDOWS.items()
        for function in FUNCTIONS
        for name in ("x", "i")
        if (name, function) != ("i", "sum")  # which may lie beyond 64 bits: refused
    }
    left, right = frames(spark, spine, events, seed)
    got = window_features(
        left,
        right,
        entity=["case", "entity"],
        spine_time="t",
        event_time="s",
        available_at="a" if late else None,
        aggregates=asked,
        num_buckets=3 + 4 * late,
    )
    found = {row["id"]: row for row in got.collect()}
    assert sorted(found) == [row[0] for row in spine]
    filled = 0
    for number, case, entity, at in spine:
        for name, (column, function, window) in asked.items():
            counted = [
                (s, max(s, a) if late else s, x if column == "x" else i)
                for c, e, s, a, _, x, i in events
                if (c, e) == (case, entity)
                and at - WINDOWS[window] < s <= at
                and (not late or (a is not None and a <= at))
            ]
            there = [one for one in counted if one[2] is not None]
            want = expected(function, there) if entity is not None else None
            assert close(function, found[number][name], want, [v for _, _, v in there]), (number, name, want)
            filled += bool(there)
    assert filled > 3_000


@pytest.mark.parametrize(("late", "ends"), [(False, False), (True, False), (False, True), (True, True)])
def test_point_in_time_joins_of_fifty_cases(spark: SparkSession, late: bool, ends: bool) -> None:
    spine, events = generated(seed := 20 + 2 * late + ends)
    left, right = frames(spark, spine, events, seed)
    for age, most in ((None, math.inf), ("3 microseconds", 3)):
        got = point_in_time_join(
            left,
            right.withColumn("at", F.unix_micros("s")).withColumn("due", F.unix_micros("a")),
            entity=["case", "entity"],
            spine_time="t",
            feature_time="s",
            available_at="a" if late else None,
            valid_until="u" if ends else None,
            max_age=age,
            columns=["at", "due"],
            num_buckets=2 + seed % 3,
        )
        found = {row["id"]: (row["at"], row["due"]) for row in got.collect()}
        assert sorted(found) == [row[0] for row in spine]
        for number, case, entity, at in spine:
            known = [
                (s, a if late else 0, -math.inf if a is None else a)
                for c, e, s, a, u, _, _ in events
                if (c, e) == (case, entity)
                and at - most < s <= at
                and (not late or (a is not None and a <= at))
                and (not ends or u is None or u > at)
            ]
            want = max(known, default=(None, None, -math.inf))
            assert found[number] == (want[0], None if want[2] == -math.inf else want[2]), (number, age)
        assert sum(one != (None, None) for one in found.values()) > 20
