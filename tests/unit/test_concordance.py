"""Harrell's concordance in memory against its definition, pair by pair."""

from __future__ import annotations

import numpy as np
import pytest

from headrace.metrics import alone
from headrace.metrics.pairs import concordance
from tests.support.pairwise import harrell


@pytest.mark.parametrize("seed", range(40))
def test_it_is_that_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 60))
    time = rng.integers(1, [3, 10, 1000][seed % 3], rows).astype(float)
    predicted = rng.integers(0, [2, 8, 1000][seed % 4 % 3], rows) * 0.5
    predicted[rng.random(rows) < 0.05] = np.inf
    censored = rng.random(rows) < [0.0, 0.3, 0.9, 1.0][seed % 4]
    known = harrell(list(time), list(predicted), list(censored))
    found = concordance(time, predicted, censored)
    assert found == pytest.approx(known, abs=1e-12) if known is not None else np.isnan(found)


@pytest.mark.parametrize(
    ("time", "predicted", "censored", "value"),
    [
        ([1, 2, 3], [1, 2, 3], [0, 0, 0], 1.0),
        ([1, 2, 3], [3, 2, 1], [0, 0, 0], 0.0),
        ([1, 2, 3], [5, 5, 5], [0, 0, 0], 0.5),
        ([1, 2], [1, 2], [1, 0], None),  # the first may have had its event after the second
        ([1, 2], [1, 2], [0, 1], 1.0),
        ([2, 2], [1, 2], [0, 1], 1.0),  # the second had not had it by then
        ([2, 2], [2, 1], [0, 1], 0.0),
        ([2, 2], [1, 2], [0, 0], None),  # two events at once
        ([2, 2], [1, 1], [0, 1], 0.5),
        ([1, 2, 3], [1, 2, 3], [1, 1, 1], None),
        ([1], [1], [0], None),
        ([], [], [], None),
        ([1, 2], [np.nan, 1], [0, 0], None),
    ],
)
def test_ties_and_what_cannot_be_compared(time: list, predicted: list, censored: list, value: float | None) -> None:
    found = concordance(np.array(time, dtype=float), np.array(predicted, dtype=float), np.array(censored, dtype=bool))
    assert found == value if value is not None else np.isnan(found)
    assert harrell(time, predicted, [bool(one) for one in censored]) == value


def test_without_censoring_it_is_a_metric_of_any_regression() -> None:
    label, said = np.array([3.0, 1.0, 2.0, 2.0]), np.array([2.0, 1.0, 3.0, 1.0])
    assert alone.value("regression", "concordance", label, said) == harrell(list(label), list(said), [False] * 4)
