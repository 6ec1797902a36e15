"""Features as ranks among thresholds: how many of them a number is not at or below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.models.compiled.columns import Floats

FEW = 10
"""Thresholds with which a column is compared one after the other: faster than looking anything up."""
MANY = 48
"""From here on a search is faster than comparing."""
_MOST = 4096


@dataclass(frozen=True)
class Cuts:
    """The thresholds of one feature, and where to look for them.

    The numbers from the first to the last are divided into ranges of one width, so many that no range holds two thresholds: a
    number is then compared with one alone. Which range a number falls in rises with the number, rounded or not, so this is exact.

    Attributes:
        thresholds: Rising.
        below: Per range, how many thresholds lie in those before it; None: there are no such ranges.
        within: Per range the threshold in it, else infinity.
        factor: Ranges per unit.
    """

    thresholds: Floats
    below: Any = None
    within: Any = None
    factor: float = 0.0

    @classmethod
    def of(cls, thresholds: Floats) -> Cuts:
        """Of thresholds, rising and distinct."""
        if len(thresholds) <= FEW:
            return cls(thresholds)
        with np.errstate(all="ignore"):
            count = 256
            while count <= _MOST:
                factor = float((count - 1) / (thresholds[-1] - thresholds[0]))
                if not (np.isfinite(factor) and factor > 0):
                    return cls(thresholds)
                places = _range(thresholds, thresholds[0], factor, count)
                if len(np.unique(places)) == len(places):
                    within = np.full(count, np.inf)
                    within[places] = thresholds
                    kind = np.uint8 if len(thresholds) < 256 else np.int32
                    return cls(thresholds, np.searchsorted(places, np.arange(count)).astype(kind), within, factor)
                count *= 4
        return cls(thresholds)

    def rank(self, column: Floats) -> Any:
        """Of each number; of NaN the number of thresholds: it goes right, as in Spark."""
        if self.below is not None and not np.isnan(column.sum()):
            place = _range(column, self.thresholds[0], self.factor, len(self.below))
            rank = self.below.take(place)
            np.add(rank, column > self.within.take(place), out=rank)
            return rank
        if len(self.thresholds) > MANY:
            return np.searchsorted(self.thresholds, column, side="left")  # NaN comes last
        rank = np.full(len(column), len(self.thresholds), np.uint8)
        below = np.empty(len(column), bool)
        for threshold in self.thresholds:
            np.less_equal(column, threshold, out=below)
            np.subtract(rank, below.view(np.uint8), out=rank)
        return rank


def _range(numbers: Floats, low: float, factor: float, count: int) -> Any:
    place = numbers - low
    place *= factor
    np.clip(place, 0, count - 1, out=place)
    return place.astype(np.int32)


@dataclass(frozen=True)
class Ranks:
    """All features that trees look at.

    Attributes:
        places: Of these features, in the vector.
        cuts: Of each.
    """

    places: tuple[int, ...]
    cuts: tuple[Cuts, ...]

    @classmethod
    def of(cls, features: npt.NDArray[np.int64], thresholds: Floats) -> Ranks:
        """From the nodes that decide."""
        places = np.unique(features)
        return cls(tuple(map(int, places)), tuple(Cuts.of(np.unique(thresholds[features == one])) for one in places))

    def __call__(self, columns: list[Floats], rows: int) -> npt.NDArray[np.float32]:
        """Ranks (rows, features)."""
        small = all(len(one.thresholds) < 256 for one in self.cuts)
        ranks = np.empty((len(columns), rows), np.uint8 if small else np.int32)
        for rank, column, cuts in zip(ranks, columns, self.cuts, strict=True):
            rank[:] = cuts.rank(np.ascontiguousarray(column))
        return np.ascontiguousarray(ranks.T, dtype=np.float32)
