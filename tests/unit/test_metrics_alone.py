"""Metrics of predictions in memory, against scikit-learn and against what is counted by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from headrace.metrics.alone import value

SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])
ROWS = st.lists(st.tuples(st.integers(0, 1), SCORES), min_size=1, max_size=40)


@settings(max_examples=200, deadline=None)
@given(ROWS)
def test_areas_count_pairs_and_ties(rows):
    label, score = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    said = np.column_stack([1 - score, score])
    found = value("binary", "areaUnderROC", label, said)
    yes, no = score[label == 1], score[label == 0]
    if not len(yes) or not len(no):
        assert np.isnan(found)
        assert np.isnan(value("binary", "areaUnderPR", label, said))
        return
    pairs = np.subtract.outer(yes, no)
    assert found == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    points = [((score >= cut) & (label == 1)).sum() for cut in np.unique(score)[::-1]]
    counts = [(score >= cut).sum() for cut in np.unique(score)[::-1]]
    curve = [(right / len(yes), right / said_yes) for right, said_yes in zip(points, counts, strict=True)]
    curve.insert(0, (0.0, curve[0][1]))
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(curve))
    assert value("binary", "areaUnderPR", label, said) == pytest.approx(area)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 999)), min_size=1, max_size=40))
def test_classes_are_measured_as_scikit_learn_does(rows):
    label = np.array([row[0] for row in rows], dtype=float)
    said = np.random.default_rng([row[1] for row in rows]).dirichlet([0.5] * 3, len(rows))
    chosen = said.argmax(axis=1)
    average = {"average": "weighted", "zero_division": 0}
    wanted = {
        "accuracy": theirs.accuracy_score(label, chosen),
        "f1": theirs.f1_score(label, chosen, **average),
        "weightedPrecision": theirs.precision_score(label, chosen, **average),
        "weightedRecall": theirs.recall_score(label, chosen, **average),
        "logLoss": -np.log(np.clip(said[np.arange(len(rows)), label.astype(int)], 1e-15, 1 - 1e-15)).mean(),
    }
    assert {name: value("multiclass", name, label, said) for name in wanted} == pytest.approx(wanted)


def test_a_class_that_no_probability_was_told_of_is_certainly_wrong():
    said = np.array([[0.9, 0.1], [0.2, 0.8]])
    label = np.array([0.0, 2.0])
    assert value("multiclass", "accuracy", label, said) == 0.5
    assert value("multiclass", "logLoss", label, said) == pytest.approx((-np.log(0.9) - np.log(1e-15)) / 2)


def test_rows_of_one_class_have_no_area() -> None:
    assert np.isnan(value("binary", "areaUnderROC", np.zeros(3), np.ones((3, 1))))


def test_numbers_are_measured_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    label, said = rng.normal(size=50), rng.normal(size=50)
    mse = theirs.mean_squared_error(label, said)
    wanted = {"mse": mse, "rmse": mse**0.5, "r2": theirs.r2_score(label, said)}
    wanted["mae"] = theirs.mean_absolute_error(label, said)
    assert {name: value("regression", name, label, said) for name in wanted} == pytest.approx(wanted)
    assert np.isnan(value("regression", "r2", np.ones(3), np.array([1.0, 2.0, 3.0])))
