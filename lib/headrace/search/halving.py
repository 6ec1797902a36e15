"""Successive halving: a trial learns from few rows first, and from more only while it is among the best that did so.

Jamieson and Talwalkar (Non-stochastic best arm identification and hyperparameter optimization, AISTATS 2016), in the
asynchronous way of Li et al. (A system for massively parallel hyperparameter tuning, MLSys 2020): nobody waits for the others,
each is held against those that were at the same rung before it, and stops for good if it is not in the best third of them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from statistics import median

SHARES = (1 / 9, 1 / 3)
"""Of the training rows of the first fold; after the last of them all rows are learned from."""
KEPT = 3
"""One of so many goes on."""
LEAST, LEAST_OF_CLASS = 2_000, 20
"""Rows, and rows of the rarest class, of which a share says something."""


class Halving:
    """Who was at which rung.

    Args:
        rows: Training rows per class, or of all.
        earlier: Losses at the rungs, of trials of an earlier run, and their loss in the end; None of one that was stopped.

    Attributes:
        shares: Of the training rows, ascending; none where there are too few rows.
    """

    def __init__(self, rows: Sequence[int], earlier: Sequence[tuple[Sequence[float], float | None]] = ()) -> None:
        self.shares = tuple(s for s in SHARES if sum(rows) * s >= LEAST and min(rows) * s >= LEAST_OF_CLASS)
        self._lock = threading.Lock()
        self._rungs: list[list[float]] = [[] for _ in self.shares]
        self._gains: list[list[float]] = [[] for _ in self.shares]
        for losses, end in earlier:
            for rung, loss in zip(self._rungs, losses, strict=False):
                rung.append(loss)
            if end is not None:
                self.ended(losses, end)

    def ended(self, losses: Sequence[float], end: float) -> None:
        """Note what a trial with these losses at the rungs came to with all rows."""
        with self._lock:
            for gains, loss in zip(self._gains, losses, strict=False):
                gains.append(loss - end)

    def expected(self, rung: int, loss: float) -> float:
        """What a loss at a rung would have come to, by what more rows have brought the others; else as it is.

        >>> halving = Halving([90_000], [((0.5, 0.4), 0.3), ((0.6, 0.5), 0.5)])
        >>> round(halving.expected(0, 0.7), 6)
        0.55
        """
        with self._lock:
            gains = self._gains[rung]
            return loss - median(gains) if gains else loss

    def withdraw(self, losses: Sequence[float]) -> None:
        """Forget a trial that failed after these rungs: what it promised holds nobody back."""
        with self._lock:
            for rung, loss in zip(self._rungs, losses, strict=False):
                rung.remove(loss)

    def lost(self, rung: int, loss: float) -> str | None:
        """Note what a trial's loss is at a rung; why it is stopped there, or None: it goes on.

        >>> halving = Halving([90_000])
        >>> [halving.lost(0, loss) is None for loss in (0.5, 0.4, 0.6, 0.3, 0.45)]
        [True, True, False, True, False]
        """
        with self._lock:
            seen = self._rungs[rung]
            seen.append(loss)
            before, better = len(seen), sum(other < loss for other in seen)
        allowed = -(-before // KEPT)
        if before < KEPT or better < allowed:
            return None
        return (
            f"halving: with {self.shares[rung]:.0%} of the rows {better} of {before} trials were better; the best "
            f"{allowed} go on"
        )
