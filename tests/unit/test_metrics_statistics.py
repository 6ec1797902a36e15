"""Metrics from bounded statistics against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from headrace.config.metrics import DEFAULT_METRIC, METRICS, larger_is_better, unknown_metric
from headrace.metrics.statistics import (
    GRID,
    ClassStatistics,
    RegressionStatistics,
    interval,
    values,
    weights,
)

RNG = np.random.default_rng(7)
GROUPS = 50


def _classes(rows: int = 4000):
    y = RNG.integers(0, 2, rows)
    cell = np.clip(RNG.normal(250 + 25 * y, 30).astype(int), 0, GRID - 1)
    guess = (cell > 262).astype(int)
    unit = RNG.integers(0, GROUPS, rows)
    confusion, histogram = np.zeros((GROUPS, 3, 3)), np.zeros((GROUPS, 2, GRID))
    np.add.at(confusion, (unit, y, guess), 1.0)
    np.add.at(histogram, (unit, y, cell), 1.0)
    return y, cell, guess, unit, ClassStatistics(confusion, np.zeros(GROUPS), histogram)


def test_classification_metrics_agree_with_scikit_learn():
    y, cell, guess, _, statistics = _classes()
    found = {name: v[0] for name, v in values(statistics, np.ones((1, GROUPS))).items()}
    precision, recall, f1, _ = reference.precision_recall_fscore_support(y, guess, average="weighted")
    assert found["areaUnderROC"] == pytest.approx(reference.roc_auc_score(y, cell), abs=1e-12)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(y, guess))
    assert found["weightedPrecision"] == pytest.approx(precision)
    assert found["weightedRecall"] == pytest.approx(recall)
    assert found["f1"] == pytest.approx(f1)


def test_a_replicate_is_the_metric_of_the_rows_it_draws():
    y, cell, guess, unit, statistics = _classes()
    drawn = weights(GROUPS, seed=3, replicates=2)
    found = values(statistics, drawn)
    for index, row in enumerate(drawn):
        rows = np.repeat(np.arange(len(y)), row[unit].astype(int))
        assert found["areaUnderROC"][index] == pytest.approx(reference.roc_auc_score(y[rows], cell[rows]), abs=1e-12)
        assert found["f1"][index] == pytest.approx(reference.f1_score(y[rows], guess[rows], average="weighted"))


def test_regression_metrics_agree_with_scikit_learn():
    y = RNG.normal(1e6, 3.0, 3000)
    guess = y + RNG.normal(0, 1.5, 3000)
    unit = RNG.integers(0, GROUPS, 3000)
    parts = [
        np.array([f(y[unit == g], guess[unit == g]) for g in range(GROUPS)])
        for f in (
            lambda a, b: float(len(a)),
            lambda a, b: ((a - b) ** 2).sum(),
            lambda a, b: np.abs(a - b).sum(),
            lambda a, b: a.mean(),
            lambda a, b: a.var() * len(a),
        )
    ]
    found = values(RegressionStatistics(*parts), np.ones((1, GROUPS)))
    assert found["rmse"][0] == pytest.approx(reference.root_mean_squared_error(y, guess))
    assert found["mae"][0] == pytest.approx(reference.mean_absolute_error(y, guess))
    assert found["r2"][0] == pytest.approx(reference.r2_score(y, guess))


def test_the_interval_covers_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        hit = rng.random(2000) < 0.8
        unit = rng.integers(0, GROUPS, 2000)
        confusion = np.zeros((GROUPS, 2, 2))
        np.add.at(confusion, (unit, np.ones(2000, int), hit.astype(int)), 1.0)
        statistics = ClassStatistics(confusion, np.zeros(GROUPS))
        lower, upper = interval(hit.mean(), hit.mean(), values(statistics, weights(GROUPS, seed))["accuracy"])
        covered += lower <= 0.8 <= upper
    assert 180 <= covered <= 199


def test_an_area_of_one_class_is_not_defined():
    confusion, histogram = np.zeros((1, 2, 2)), np.zeros((1, 2, GRID))
    confusion[0, 1, 1] = histogram[0, 1, 3] = 5.0
    found = values(ClassStatistics(confusion, np.zeros(1), histogram), np.ones((1, 1)))
    assert np.isnan(found["areaUnderROC"][0])
    assert np.isnan(found["areaUnderPR"][0])


def test_names_and_directions():
    assert all(DEFAULT_METRIC[task] in METRICS[task] for task in METRICS)
    assert not larger_is_better("logLoss")
    assert larger_is_better("r2")
    with pytest.raises(KeyError):
        larger_is_better("gini")
    assert unknown_metric("rmse", "regression") is None
    assert "did you mean 'areaUnderROC'" in str(unknown_metric("area_under_roc", "binary"))
