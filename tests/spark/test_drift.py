"""Drift on whole frames, against pandas and what is known by construction."""

from __future__ import annotations

import uuid

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from headrace.monitoring import bins, drift, rows
from tests.spark.monitored import NOW, a_training_set, features_of, pipeline, scored, to_spark


def measured(spark: SparkSession, frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    both = rows.sides(to_spark(spark, frame), scored(spark, frame), ["id"], names)
    stamp = drift.Stamp("churn", "run-1", NOW, None, None)
    return pd.DataFrame(drift.records(drift.measure(both, names), pipeline().monitoring.alarms, stamp)).set_index(
        "feature"
    )


@pytest.mark.parametrize(("n", "m"), [(2_000, 200), (4_000, 2_000)])
def test_what_moved_alarms_and_what_did_not_is_silent(spark, n, m):
    frame = a_training_set(n, m)
    names = features_of(frame)
    found = measured(spark, frame, names)
    assert list(found.index) == names
    assert found.alarm.to_dict() == {name: name.startswith("moved") for name in names}
    assert (found.baseline_rows == n).all()
    assert (found.current_rows == m).all()


def test_without_drift_two_hundred_rows_raise_no_alarm_whatever_the_seed(spark):
    frames = [a_training_set(1_500, 200, seed).filter(regex="^(id|split|predict_at|same)") for seed in range(8)]
    wide = pd.concat([frames[0][["id", "split", "predict_at"]], *[f.filter(like="same").add_suffix(f"_{i}")
                      for i, f in enumerate(frames)]], axis=1)  # fmt: skip
    found = measured(spark, wide, features_of(wide))
    assert len(found) == 40
    assert not found.alarm.any()


def test_histograms_are_those_of_pandas(spark):
    frame = a_training_set(1_000, 500)
    names = features_of(frame)
    both = rows.sides(to_spark(spark, frame), scored(spark, frame), ["id"], names)
    for d in drift.measure(both, names):
        for side, histogram in ((frame.split != "score", d.baseline), (frame.split == "score", d.current)):
            values = frame.loc[side, d.bins.column]
            null = values.isna()
            if d.bins.kind == "numeric":
                number = values[~null].astype(float)
                good = number.dropna()
                index = [sum(edge < v for edge in d.bins.edges) for v in good]
                expected = [index.count(i) for i in range(len(d.bins.edges) + 1)] + [int(number.isna().sum())]
                assert histogram.mean == (pytest.approx(good.mean()) if len(good) else None)
            else:
                text = [str(v).lower() if isinstance(v, bool | np.bool_) else v for v in values[~null]]
                expected = [text.count(c) for c in d.bins.categories]
                expected.append(len(text) - sum(expected))
            assert list(histogram.rows) == [*expected, int(null.sum())], d.bins.column


def test_the_fifty_most_frequent_categories_are_kept_ties_by_name(spark):
    values = [f"v{i:03d}" for i in range(80) for _ in range(2 if i < 49 else 1)]
    frame = spark.createDataFrame([(v,) for v in values], "x string")
    (found,) = bins.learn(frame, ["x"])
    assert found.categories == tuple(f"v{i:03d}" for i in range(50))


def test_only_scored_rows_of_the_score_part_are_current_and_null_keys_are_equal(spark):
    training = spark.sql(
        """select * from values (1, 'train', 1.0), (2, 'test', 2.0), (3, 'score', 3.0), (null, 'score', 4.0),
        (5, 'score', 5.0), (6, 'purged', 6.0), (7, 'validation', 7.0) as t(id, split, x)"""
    ).selectExpr("*", "timestamp'2024-01-01' as predict_at")
    predictions = spark.sql("select * from values (1), (2), (3), (3), (null) as t(id)").selectExpr(
        "*", "timestamp'2024-01-01' as predict_at"
    )
    found = rows.sides(training, predictions, ["id"], ["x"])
    assert found.columns == ["predict_at", "x", "_current"]
    assert sorted((float(r.x), r._current) for r in found.collect()) == [(1, False), (3, True), (4, True), (7, False)]


def jobs_of(spark: SparkSession, work) -> int:
    group = f"count-{uuid.uuid4()}"
    spark.sparkContext.setJobGroup(group, group)
    work()
    spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
    return len(spark.sparkContext.statusTracker().getJobIdsForGroup(group))


def test_the_number_of_jobs_does_not_depend_on_the_number_of_features(spark):
    def frame(features):
        columns = [f"{'cast(id % 7 as string)' if i % 2 else 'rand(1)'} as f{i}" for i in range(features)]
        return spark.range(200).selectExpr("id % 2 = 1 as _current", *columns).coalesce(1)

    few = jobs_of(spark, lambda: drift.measure(frame(2), ["f0", "f1"]))
    many = jobs_of(spark, lambda: drift.measure(frame(80), [f"f{i}" for i in range(80)]))
    assert 0 < many == few <= 8
