"""Harrell's concordance in memory against its definition, pair by pair."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from headrace.metrics import alone
from headrace.metrics.concordance import CUTS, Cuts
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


@pytest.mark.parametrize("most", [0, 1, 7, 20, CUTS])
@pytest.mark.parametrize("count", [0, 1, 5, 20, 21, 40, 199, CUTS])
def test_of_few_cuts_all_are_taken_and_of_many_evenly_as_many_as_are_wanted(count: int, most: int) -> None:
    every = tuple(float(one) for one in range(count))
    few = Cuts(every, every[:8], 1000).of(most)
    if most >= 8:  # each is thinned by its own number
        assert few.predictions == every[:8]
    if count <= most:
        assert few.times == every
    else:
        assert most / 2 <= len(few.times) <= most
        assert set(few.times) <= set(every)
        assert len({after - before for before, after in pairwise(few.times)}) <= 1
