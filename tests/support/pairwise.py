"""Harrell's concordance pair by pair, as its definition has it."""

from __future__ import annotations

from collections.abc import Sequence


def harrell(time: Sequence[float], predicted: Sequence[float | None], censored: Sequence[bool]) -> float | None:
    """Slow and obvious; None where no pair can be compared, or a prediction says nothing."""
    if any(one is None or one != one for one in predicted):
        return None
    right, compared = 0.0, 0
    for i in range(len(time)):
        for j in range(i + 1, len(time)):
            first, second = (i, j) if (time[i], censored[i]) < (time[j], censored[j]) else (j, i)
            tied = time[i] == time[j]
            if censored[first] or (tied and not censored[second]):
                continue
            compared += 1
            if predicted[first] == predicted[second]:
                right += 0.5
            elif predicted[first] < predicted[second]:  # type: ignore[operator]
                right += 1.0
    return right / compared if compared else None
