"""Metrics on frames against Spark's evaluators and scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from sklearn import metrics as reference

from headrace.config.metrics import METRICS
from headrace.metrics.measure import difference, measure

RNG = np.random.default_rng(5)


def _binary(rows: int = 3000) -> pd.DataFrame:
    late = RNG.random(rows) < 0.3
    p = np.round(1 / (1 + np.exp(-RNG.normal(np.where(late, 0.2, -1.2), 1.0))), 2)  # rounded: many ties
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "label": late,
            "probability": p,
            "prediction": p > 0.5,
            "carrier": RNG.choice(list("AB"), rows),
        }
    )


def _overall(found) -> dict[str, float]:
    return {one.metric: one.value for one in found if one.slice_column is None}


def test_binary_metrics_are_exact(spark):
    rows = _binary()
    frame = spark.createDataFrame(rows).cache()
    found = measure(frame, "binary", [False, True], ["id"], ["carrier"], min_rows=10)
    mine = _overall(found)
    y, p = rows["label"], rows["probability"]
    assert mine["areaUnderROC"] == pytest.approx(reference.roc_auc_score(y, p), abs=1e-12)
    assert mine["logLoss"] == pytest.approx(reference.log_loss(y, p), abs=1e-12)
    assert mine["f1"] == pytest.approx(reference.f1_score(y, p > 0.5, average="weighted"))
    theirs = BinaryClassificationEvaluator(rawPredictionCol="probability", numBins=0)
    as_double = frame.selectExpr("cast(label as double) label", "probability")
    for name in ("areaUnderROC", "areaUnderPR"):
        assert mine[name] == pytest.approx(theirs.setMetricName(name).evaluate(as_double), abs=1e-12)
    part = rows[rows["carrier"] == "A"]
    of_a = {one.metric: one for one in found if one.slice_value == "A"}
    assert of_a["areaUnderROC"].value == pytest.approx(reference.roc_auc_score(part["label"], part["probability"]))
    assert of_a["areaUnderROC"].rows == len(part)
    assert set(mine) == set(METRICS["binary"])
    assert all(one.lower < one.value < one.upper for one in found)
    frame.unpersist()


def test_intervals_are_the_same_on_other_partitions(spark):
    rows = _binary(500)
    first = measure(spark.createDataFrame(rows).repartition(1), "binary", [False, True], ["id"])
    again = measure(spark.createDataFrame(rows).repartition(3), "binary", [False, True], ["id"])
    assert [(one.metric, pytest.approx(one.lower), pytest.approx(one.upper)) for one in again] == [
        (one.metric, one.lower, one.upper) for one in first
    ]


def test_multiclass_metrics_are_exact_and_unknown_classes_count_as_wrong(spark):
    rows = [(i, "abcx"[i % 4] if i % 20 == 3 else "abc"[i % 3], "abc"[(i * i) % 3]) for i in range(300)]
    frame = spark.createDataFrame(rows, "id int, label string, prediction string").selectExpr(
        "*", "map('a', 0.5D, 'b', 0.3D, 'c', 0.2D) probability"
    )
    mine = _overall(measure(frame, "multiclass", ["a", "b", "c"], ["id"]))
    y, guess = [row[1] for row in rows], [row[2] for row in rows]
    assert mine["accuracy"] == pytest.approx(reference.accuracy_score(y, guess))
    expected = reference.precision_recall_fscore_support(y, guess, average="weighted", zero_division=0)
    assert (mine["weightedPrecision"], mine["weightedRecall"], mine["f1"]) == pytest.approx(expected[:3])
    given = np.array([{"a": 0.5, "b": 0.3, "c": 0.2}.get(one, 1e-15) for one in y])
    assert mine["logLoss"] == pytest.approx(-np.log(given).mean())


def test_regression_metrics_are_exact(spark):
    y = RNG.normal(100, 5, 800)
    guess = y + RNG.normal(0, 2, 800)
    frame = spark.createDataFrame(pd.DataFrame({"id": range(800), "label": y, "prediction": guess}))
    mine = _overall(measure(frame, "regression", [], ["id"]))
    assert mine["rmse"] == pytest.approx(reference.root_mean_squared_error(y, guess))
    assert mine["mae"] == pytest.approx(reference.mean_absolute_error(y, guess))
    assert mine["r2"] == pytest.approx(reference.r2_score(y, guess))


def test_a_paired_difference_is_sharper_than_two_intervals(spark):
    rows = _binary(2000)
    worse = rows.assign(probability=(rows["probability"] + RNG.uniform(0, 0.15, len(rows))).clip(0, 1))
    new, old = spark.createDataFrame(rows), spark.createDataFrame(worse)
    found = difference(new, old, "binary", [False, True], ["id"], "areaUnderROC")
    expected = reference.roc_auc_score(rows["label"], rows["probability"]) - reference.roc_auc_score(
        worse["label"], worse["probability"]
    )
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert 0 < found.lower < found.value < found.upper
    same = difference(new, new, "binary", [False, True], ["id"], "areaUnderROC")
    assert (same.value, same.lower, same.upper) == (0, 0, 0)
