"""How well what was learned of some rows' cells tells the label of other rows. Pure functions of tables of counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headrace.leakage.cells import Floats, Ints

FEW = 5
"""Rows of a class below which nothing is said of it."""


def rates(learned: Ints) -> Floats:
    """The share of each class in each cell; a cell that nothing is known of has the shares of all rows."""
    rows = learned.sum(axis=1, keepdims=True)
    return np.asarray((learned + shares(learned)) / (rows + 1))


def shares(learned: Ints) -> Floats:
    """The share of each class in all rows."""
    return np.asarray(learned.sum(axis=0) / max(1, learned.sum()), dtype=float)


def area(scores: Floats, positive: NDArray, negative: NDArray) -> float:
    """Area under the ROC curve of cells with a score, of which so many rows are positive, so many negative."""
    _, place = np.unique(scores, return_inverse=True)
    up, down = np.bincount(place, positive), np.bincount(place, negative)
    below = np.concatenate([[0.0], np.cumsum(down)[:-1]])
    return float((up * (below + down / 2)).sum() / (up.sum() * down.sum()))


def enough(judged: Ints) -> NDArray[np.intp]:
    """Classes that have rows enough, and are not all there is."""
    rows = judged.sum(axis=0)
    return np.flatnonzero((rows >= FEW) & (judged.sum() - rows >= FEW))


def power(pairs: list[tuple[Ints, Ints]], ordered: bool) -> float | None:
    """Area under the ROC curve, of several classes the mean of each against the rest; None: too few rows.

    Args:
        pairs: What was learned, and the rows to judge by it; several are judged together.
        ordered: The cells are numbers in their order, the last one without a value: their order is a score as well.
    """
    judged = np.concatenate([one for _, one in pairs])
    classes = enough(judged)
    if len(classes) < 2:
        return None
    scores = [np.concatenate([rates(learned) for learned, _ in pairs])]
    if ordered:
        scores.append(np.concatenate([_ranks(learned) for learned, _ in pairs]))
    rows = judged.sum(axis=1)
    wanted = classes[-1:] if judged.shape[1] == 2 else classes
    areas = [[area(s[:, k], judged[:, k], rows - judged[:, k]) for k in wanted] for s in scores]
    return max(float(np.mean(one)) for one in areas)


def told(pairs: list[tuple[Ints, Ints]], ordered: bool) -> float | None:
    """The share of the errors of always saying the most frequent class that saying each cell's class removes.

    None: too few rows. With two classes of ordered cells one threshold is tried as well. 0 where nothing is removed.
    """
    judged = np.concatenate([one for _, one in pairs])
    if len(enough(judged)) < 2:
        return None
    wrong_at_first = judged.sum() - judged.sum(axis=0).max()
    said = [[_most(learned) for learned, _ in pairs]]
    if ordered and judged.shape[1] == 2:
        said.append([_threshold(learned) for learned, _ in pairs])
    wrong = []
    for one in said:
        guess = np.concatenate(one)
        wrong.append(judged.sum() - judged[np.arange(len(guess)), guess].sum())
    return max(0.0, 1 - float(min(wrong)) / float(wrong_at_first))


def deviation(value: float, judged: Ints) -> float:
    """Standard deviation of an area under the ROC curve, of the rarest class that counts (Hanley and McNeil)."""
    rows = judged.sum(axis=0)[enough(judged)]
    few = float(rows.min())
    many = float(judged.sum()) - few
    mine = max(value, 1 - value)
    first, second = mine / (2 - mine), 2 * mine**2 / (1 + mine)
    variance = mine * (1 - mine) + (few - 1) * (first - mine**2) + (many - 1) * (second - mine**2)
    return float(np.sqrt(max(0.0, variance) / (few * many)))


def _ranks(learned: Ints) -> Floats:
    """Per class the place of a cell in the order that has more of it above; no value: at the end that it is like."""
    values, rows = learned[:-1], learned.sum(axis=1)
    place, found = np.arange(len(values), dtype=float), np.zeros(learned.shape)
    for k in range(learned.shape[1]):
        up = values[:, k]
        down = values.sum(axis=1) - up
        rising = not (up.sum() and down.sum()) or area(place, up, down) >= 0.5
        share = (learned[-1, k] + shares(learned)[k]) / (rows[-1] + 1)
        found[:-1, k] = place if rising else -place
        found[-1, k] = np.inf if share > shares(learned)[k] else -np.inf
    return found


def _most(learned: Ints) -> NDArray[np.intp]:
    """The most frequent class of each cell, of an unknown one that of all rows."""
    guess = np.argmax(learned, axis=1)
    guess[learned.sum(axis=1) == 0] = np.argmax(learned.sum(axis=0))
    return guess


def _threshold(learned: Ints) -> NDArray[np.intp]:
    """One class below a threshold, the other from it on; without a value the most frequent class."""
    guess = _most(learned)
    values = learned[:-1]
    lower = np.concatenate([np.zeros((1, 2), dtype=np.int64), np.cumsum(values, axis=0)])
    upper = lower[-1] - lower
    wrong = np.stack([lower[:, 1] + upper[:, 0], lower[:, 0] + upper[:, 1]])  # 0 below, 1 above; and the other way
    way, cut = np.unravel_index(np.argmin(wrong), wrong.shape)
    guess[:-1] = np.where(np.arange(len(values)) < cut, way, 1 - way)
    return guess
