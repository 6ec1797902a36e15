"""Successive halving: a trial learns from little first, and from more only while it is among the best that did so.

Jamieson and Talwalkar (Non-stochastic best arm identification and hyperparameter optimization, AISTATS 2016), in the
asynchronous way of Li et al. (A system for massively parallel hyperparameter tuning, MLSys 2020): nobody waits for the others,
each is held against those that were at the same rung before it, and stops for good if it is not in the best third of them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from headrace.config.pruning import Over

SHARES = (1 / 9, 1 / 3)
"""Of the training rows of the first fold, or of the iterations, or of the folds; after the last of them there is all."""
KEPT = 3
"""One of so many goes on."""
LEAST, LEAST_OF_CLASS = 2_000, 20
"""Rows, and rows of the rarest class, of which a share says something."""


@dataclass(frozen=True)
class Rung:
    """How much a trial has before it is held against others.

    Attributes:
        over: Of what.
        share: How much of it.
        folds: In how many it is judged; 0 where these are not what there is more and more of.
        told: For people.
    """

    over: Over
    share: float
    folds: int = 0
    told: str = ""


def over_rows(rows: Sequence[int]) -> tuple[Rung, ...]:
    """Rungs of rows that train, ascending; none where there are too few rows.

    Args:
        rows: Training rows per class, or of all.
    """
    shares = [s for s in SHARES if sum(rows) * s >= LEAST and min(rows) * s >= LEAST_OF_CLASS]
    return tuple(Rung("rows", share, told=f"{share:.0%} of the rows") for share in shares)


def over_iterations() -> tuple[Rung, ...]:
    """Rungs of iterations, ascending."""
    return tuple(Rung("iterations", share, told=f"{share:.0%} of the iterations") for share in SHARES)


def over_folds(count: int) -> tuple[Rung, ...]:
    """Rungs of folds that judge, ascending.

    >>> [[rung.folds for rung in over_folds(count)] for count in (1, 2, 3, 5, 9)]
    [[], [1], [1], [1, 2], [1, 3]]
    """
    numbers = sorted({max(1, round(count * share)) for share in SHARES})
    return tuple(Rung("folds", one / count, one, f"{one} of {count} folds") for one in numbers if one < count)


class Halving:
    """Who was at which rung.

    Args:
        rungs: Ascending.

    Attributes:
        rungs: As given.
    """

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self.rungs = tuple(rungs)
        self._lock = threading.Lock()
        self._seen: list[list[float]] = [[] for _ in self.rungs]
        self._gains: list[list[float]] = [[] for _ in self.rungs]

    def remember(self, losses: Sequence[float], end: float | None) -> None:
        """Note a trial of an earlier run: its losses at the rungs, and its loss in the end; None of one that was stopped."""
        with self._lock:
            for seen, loss in zip(self._seen, losses, strict=False):
                seen.append(loss)
        if end is not None:
            self.ended(losses, end)

    def ended(self, losses: Sequence[float], end: float) -> None:
        """Note what a trial with these losses at the rungs came to with all there is."""
        with self._lock:
            for gains, loss in zip(self._gains, losses, strict=False):
                gains.append(loss - end)

    def expected(self, rung: int, loss: float) -> float:
        """What a loss at a rung would have come to, by what more has brought the others; else as it is.

        >>> halving = Halving(over_iterations())
        >>> halving.remember((0.5, 0.4), 0.3)
        >>> halving.remember((0.6, 0.5), 0.5)
        >>> round(halving.expected(0, 0.7), 6)
        0.55
        """
        with self._lock:
            gains = self._gains[rung]
            return loss - median(gains) if gains else loss

    def withdraw(self, losses: Sequence[float]) -> None:
        """Forget a trial that failed after these rungs: what it promised holds nobody back."""
        with self._lock:
            for seen, loss in zip(self._seen, losses, strict=False):
                seen.remove(loss)

    def lost(self, rung: int, loss: float) -> str | None:
        """Note what a trial's loss is at a rung; why it is stopped there, or None: it goes on.

        >>> halving = Halving(over_iterations())
        >>> [halving.lost(0, loss) is None for loss in (0.5, 0.4, 0.6, 0.3, 0.45)]
        [True, True, False, True, False]
        """
        if loss != loss:
            return "halving: its loss is no number"
        with self._lock:
            seen = self._seen[rung]
            seen.append(loss)
            before, better = len(seen), sum(other < loss for other in seen)
        allowed = -(-before // KEPT)
        if before < KEPT or better < allowed:
            return None
        return (
            f"halving: with {self.rungs[rung].told} {better} of {before} trials were better; the best {allowed} go on"
        )
