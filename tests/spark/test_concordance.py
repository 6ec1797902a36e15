"""The distributed concordance, its slices and intervals, against the definition pair by pair, on awkward frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pyspark.sql import functions as F

from headrace.metrics import gather, survival
from headrace.metrics.concordance import concordances, cuts_of
from headrace.metrics.evaluators import model_metric
from headrace.metrics.frame import FLAG, judged
from headrace.metrics.survival import comparable, difference_in_concordance, measure_concordance
from tests.support.pairwise import harrell

SCHEMA = f"id int, kind string, label double, prediction double, {FLAG} boolean"


def rows(seed: int, count: int, times: int, levels: int, share: float) -> list[tuple]:
    rng = np.random.default_rng(seed)
    label = rng.integers(1, times, count) * 0.25
    said = np.round(label + rng.normal(size=count) * label.std(), 3) if levels == 0 else rng.integers(0, levels, count)
    late = rng.random(count) < share
    return [(i, "ab"[i % 3 > 0], float(label[i]), float(said[i]), bool(late[i])) for i in range(count)]


def known(some: list[tuple]) -> float | None:
    return harrell([r[2] for r in some], [r[3] for r in some], [r[4] for r in some])


def widths(some: list[tuple], other: list[tuple]) -> tuple[float, float]:
    """Of 95 % intervals by a slow bootstrap of rows: of the concordance of some, and of what it is above the others'."""
    draws = np.random.default_rng(0).integers(0, len(some), (60, len(some)))
    both = [(known([some[i] for i in draw]), known([other[i] for i in draw])) for draw in draws]
    return 2 * 1.96 * np.std([one for one, _ in both]), 2 * 1.96 * np.std([one - two for one, two in both])


@pytest.mark.parametrize(
    ("times", "levels", "share", "bucket_rows"),
    [
        (5000, 0, 0.4, 3),  # hardly a tie, many buckets
        (6, 4, 0.5, 3),  # all ties
        (5000, 1, 0.2, 4),  # one prediction
        (2, 0, 0.5, 4),  # one time
        (300, 40, 0.3, 20_000),  # one bucket
    ],
)
def test_it_is_exact_however_it_is_cut(spark, times, levels, share, bucket_rows):
    some = rows(times + levels, 240, times, levels, share)
    some[7] = (*some[7][:3], math.inf, False)
    some = [(*r[:3], -0.0, r[4]) if r[3] == 0 and r[0] % 2 else r for r in some]
    some += [(900 + i, "lone", 1.0, 1.0, False) for i in range(1)] + [
        (910, "late", 1.0, 2.0, True),
        (911, "late", 2.0, 2.0, True),
    ]
    frame = judged(spark.createDataFrame(some, SCHEMA), "regression", (), F.lit(0), ["kind"])
    found = {(r[0], r[1]): r[2] for r in concordances(frame, cuts_of(frame), bucket_rows=bucket_rows).collect()}
    wanted = {("", ""): known(some)}
    wanted |= {("kind", kind): known([r for r in some if r[1] == kind]) for kind in ("a", "b", "lone", "late")}
    assert set(found) == set(wanted)
    for group, value in wanted.items():
        assert found[group] == (value if value is None else pytest.approx(value, abs=1e-12)), group
    assert wanted["kind", "lone"] is None
    assert wanted["kind", "late"] is None


@pytest.mark.parametrize(("nothing", "bucket_rows"), [(None, 3), (math.nan, 20_000)])
def test_a_prediction_that_says_nothing_leaves_it_undefined(spark, nothing, bucket_rows):
    some = rows(1, 60, 40, 0, 0.3)
    some[4] = (*some[4][:3], nothing, some[4][4])
    frame = judged(spark.createDataFrame(some, SCHEMA), "regression", (), F.lit(0), ["kind"])
    found = {r[1]: r[2] for r in concordances(frame, cuts_of(frame), bucket_rows=bucket_rows).collect()}
    assert found[""] is None
    assert found[some[4][1]] is None
    other = "ab".replace(some[4][1], "")
    assert found[other] == pytest.approx(known([r for r in some if r[1] == other]))


def test_no_row_and_rows_without_a_label(spark):
    frame = spark.createDataFrame(rows(2, 30, 20, 0, 0.4), SCHEMA)
    assert math.isnan(model_metric(frame.where("false"), "regression", "concordance"))
    blank = frame.unionByName(frame.limit(5).withColumn("label", F.lit(None).cast("double")))
    assert model_metric(blank, "regression", "concordance") == model_metric(frame, "regression", "concordance")
    plain = [(*r[:4], False) for r in rows(2, 30, 20, 0, 0.4)]
    assert model_metric(frame.drop(FLAG), "regression", "concordance") == pytest.approx(known(plain))


def test_measures_and_their_intervals(spark):
    some = rows(3, 600, 4000, 0, 0.4)
    frame = spark.createDataFrame(some, SCHEMA)
    found = {m.slice_value: m for m in measure_concordance(frame, ["id"], ["kind"], 100, seed=5)}
    assert {name: m.rows for name, m in found.items()} == {None: 600, "a": 200, "b": 400}
    for name, one in found.items():
        mine = [r for r in some if name in (None, r[1])]
        assert one.value == pytest.approx(known(mine), abs=1e-12)
        assert one.lower < one.value < one.upper
        spread = np.std([known([mine[i] for i in draw]) for draw in
                         np.random.default_rng(0).integers(0, len(mine), (40, len(mine)))]) if name == "a" else None  # fmt: skip
        if spread:  # of a slow bootstrap of rows
            assert 0.6 < (one.upper - one.lower) / (2 * 1.96 * spread) < 1.6
    worse = frame.withColumn("prediction", F.lit(1.0))
    better = difference_in_concordance(frame, worse, ["id"], seed=5)
    assert better.value == pytest.approx(found[None].value - 0.5)
    assert 0 < better.lower < better.value < better.upper
    same = difference_in_concordance(frame, frame, ["id"])
    assert (same.value, same.lower, same.upper) == (0.0, 0.0, 0.0)


def test_intervals_of_few_values(spark):
    """Eight times and five predictions: as wide as they ought to be, and never a point."""
    rng = np.random.default_rng(8)
    time, late = rng.integers(1, 9, 240), rng.random(240) < 0.3
    good, poor = (np.clip(np.round(time / 2 + rng.normal(size=240) * noise), 0, 4) for noise in (1.0, 2.0))
    new, old = ([(i, "a", float(time[i]), float(said[i]), bool(late[i])) for i in range(240)] for said in (good, poor))
    frames = [spark.createDataFrame(some, SCHEMA) for some in (new, old)]
    [whole] = measure_concordance(frames[0], ["id"], seed=1)
    better = difference_in_concordance(*frames, ["id"], seed=1)
    assert whole.value == pytest.approx(known(new))
    assert better.value == pytest.approx(known(new) - known(old))
    for one, wanted in zip((whole, better), widths(new, old), strict=True):
        assert one.lower < one.value < one.upper
        assert 0.7 < (one.upper - one.lower) / wanted < 1.4


def test_buckets_that_do_not_tell_rows_apart_give_no_interval(spark):
    """The slice lies between two cuts: by its buckets all is tied, and a point would be no interval."""
    rng = np.random.default_rng(3)
    some = [(i, "near" if 2 <= i < 32 else "all", float(rng.integers(1, 900)), float(i), False) for i in range(800)]
    found = {m.slice_value: m for m in measure_concordance(spark.createDataFrame(some, SCHEMA), ["id"], ["kind"], 20)}
    near = [r for r in some if r[1] == "near"]
    assert found["near"].value == pytest.approx(known(near)) != 0.5
    assert (found["near"].lower, found["near"].upper) == (None, None)
    assert found["all"].lower < found["all"].value < found["all"].upper


def test_the_values_of_all_slices_are_counted_at_once(spark, monkeypatch):
    frame = spark.createDataFrame(rows(6, 90, 30, 9, 0.3), SCHEMA).withColumn("kind", F.col("id") % 3)
    at_once = measure_concordance(frame, ["id"], ["kind"], 10)
    calls = []
    monkeypatch.setattr(survival, "concordances", lambda *asked: calls.append(asked) or concordances(*asked))
    monkeypatch.setattr(gather, "MAX_DENSE", 1)
    assert measure_concordance(frame, ["id"], ["kind"], 10) == at_once
    assert len(at_once) == 4
    assert len(calls) == 1


def test_parts_are_as_large_as_the_cells_of_their_slices_allow():
    slices = [gather.SliceRows(("a", str(number)), 10**7) for number in range(10)]
    assert [len(part) for part in gather.chunks(slices, most=100_000)] == [10]
    assert [len(part) for part in gather.chunks(slices, most=500_000)] == [2] * 5


def test_whether_any_pair_can_be_compared(spark):
    seen = set()
    for seed in range(24):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(1, 5))
        time, late = rng.integers(1, 4, count), rng.random(count) < 0.6
        some = [(i, "a", float(time[i]), 1.0, bool(late[i])) for i in range(count)]
        wanted = known(some)
        frame = spark.createDataFrame(some, SCHEMA).drop("prediction")
        assert comparable(frame) == (wanted is not None), some
        assert wanted in (None, 0.5)
        seen.add(wanted)
    assert seen == {None, 0.5}
    assert not comparable(frame.where("false"))
    assert comparable(spark.createDataFrame([(1.0,), (2.0,)], "label double"))
    assert not comparable(spark.createDataFrame([(1.0,), (1.0,), (None,)], "label double"))
