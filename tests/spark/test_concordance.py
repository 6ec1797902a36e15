"""The distributed concordance, its slices and intervals, against the definition pair by pair, on awkward frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pyspark.sql import functions as F

from headrace.metrics.concordance import concordances, cuts_of
from headrace.metrics.evaluators import model_metric
from headrace.metrics.frame import FLAG, judged
from headrace.metrics.survival import difference_in_concordance, measure_concordance
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
