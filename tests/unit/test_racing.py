"""When a trial is stopped: never early, never for chance, and what hyperopt is told of it."""

from __future__ import annotations

import numpy as np
import pytest

from headrace.search.racing import LEAST, Race, behind

BEST = (3, (0.80, 0.70, 0.90, 0.75, 0.85))


def race(larger: bool = True, best: tuple[int, tuple[float, ...]] | None = BEST) -> Race:
    return Race(5, 0.25, larger, lambda: best)


def test_a_trial_that_is_steadily_worse_is_stopped_and_told_how_much() -> None:
    lost = race().lost([0.70, 0.595])
    assert lost is not None
    assert lost.why == "racing: after 2 of 5 folds 0.1025 worse than trial 3 on average, beyond chance (p < 0.05)"
    assert lost.loss == pytest.approx(-(0.80 - 0.1025))  # of the best over all folds, and so much worse
    errors = race(larger=False, best=(3, tuple(-value for value in BEST[1])))
    assert errors.lost([-0.70, -0.595]) == lost


@pytest.mark.parametrize(
    "values",
    [
        [0.1],  # one fold says nothing
        [0.10, 0.69],  # so far apart that it may be chance
        [0.80, 0.70],  # equal
        [0.90, 0.80, 0.99],  # better
        [0.70, 0.60, 0.80, 0.65, 0.75],  # over: there is nothing to save
    ],
)
def test_else_it_goes_on(values: list[float]) -> None:
    assert race().lost(values) is None


def test_nothing_is_stopped_before_a_first_has_finished() -> None:
    assert race(best=None).lost([0.1, 0.1]) is None


def test_equally_good_trials_are_seldom_stopped() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(4000, 4))
    for seen in range(LEAST, 5):
        assert np.mean([behind(list(row[:seen]), 0.25) for row in draws]) < 0.05
    assert np.mean([behind(list(row + 3), 0.25) for row in draws]) > 0.8
