"""Racing: after a fold a trial is stopped that cannot plausibly win any more.

Maron and Moore (Hoeffding races, NIPS 1993) stop a model when it is worse than another beyond chance on what both have
seen. Here the difference to the best finished trial is taken fold by fold, and held against the corrected resampled t-test
of Nadeau and Bengio (Inference for the generalization error, Machine Learning 52, 2003): folds share rows, so that
their differences scatter less than they would if all were drawn anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.stats import t

LEAST = 2
"""Folds before which no trial is stopped."""
ERROR = 0.05
"""Chance that a trial as good as the best is stopped at a fold."""


@dataclass(frozen=True)
class Lost:
    """A trial that is stopped.

    Attributes:
        why: For people.
        loss: Of the best trial in all folds, and by how much this one was worse so far: folds differ in how hard they are.
    """

    why: str
    loss: float


@dataclass(frozen=True)
class Race:
    """Holds trials against the best that has finished.

    Attributes:
        folds: Of a trial that goes to its end.
        shared: Rows that validate per row that trains: the more, the less folds say of each other.
        larger: Whether a larger value is better.
        best: Gives number and values per fold of the best finished trial, or None.
    """

    folds: int
    shared: float
    larger: bool
    best: Callable[[], tuple[int, Sequence[float]] | None]

    def lost(self, values: Sequence[float]) -> Lost | None:
        """Why a trial with these values cannot win; None: it goes on."""
        seen, found = len(values), self.best()
        if not LEAST <= seen < self.folds or found is None:
            return None
        number, best = found
        sign = -1.0 if self.larger else 1.0
        worse = [sign * (mine - other) for mine, other in zip(values, best[:seen], strict=True)]
        if not behind(worse, self.shared):
            return None
        mean = fmean(worse)
        why = (
            f"racing: after {seen} of {self.folds} folds {mean:.4g} worse than trial {number} on average, beyond chance "
            f"(p < {ERROR:g})"
        )
        return Lost(why, sign * fmean(best) + mean)


def behind(worse: Sequence[float], shared: float) -> bool:
    """Whether differences are above 0 beyond chance, by the corrected resampled t-test, one-sided.

    >>> behind([0.10, 0.11], 0.25), behind([0.10, 0.30], 0.25), behind([-0.10, -0.11], 0.25)
    (True, False, False)
    """
    seen = len(worse)
    error = stdev(worse) * math.sqrt(1 / seen + shared)
    return fmean(worse) > float(t.ppf(1 - ERROR, seen - 1)) * error
