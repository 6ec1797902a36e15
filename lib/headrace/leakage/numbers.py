"""How well a column's cells, or its order, tell a label that is a number."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from headrace.leakage.cells import Bools, Cells, Floats

LEAST = 50
"""Rows below which nothing is said of numbers."""


def means(cells: Cells, label: Floats, known: Bools) -> Floats:
    """What the cells of some rows say of each row; of an unknown cell the mean of all of them."""
    overall = float(label[known].mean())
    rows = np.bincount(cells.codes[known], minlength=cells.size)
    sums = np.bincount(cells.codes[known], weights=label[known] - overall, minlength=cells.size)
    said = overall + sums / np.maximum(rows, 1)
    return np.asarray(said[cells.codes])


def line(values: Floats, label: Floats, known: Bools) -> Floats:
    """What the straight line through some rows says of each row; without a value, or a line, their mean."""
    overall = float(label[known].mean())
    fits = known & np.isfinite(values)
    if fits.sum() < 2 or not values[fits].std():
        return np.full(len(values), overall)
    x, y = values[fits] - values[fits].mean(), label[fits] - label[fits].mean()
    slope = float((x * y).sum() / (x * x).sum())
    said = label[fits].mean() + slope * (values - values[fits].mean())
    return np.where(np.isfinite(said), said, overall)


def r2(said: Floats, label: Floats) -> float:
    """The share of the label's variance that is told; at least 0."""
    spread = float(((label - label.mean()) ** 2).sum())
    return max(0.0, 1 - float(((label - said) ** 2).sum()) / spread) if spread else 0.0


def correlation(one: Floats, other: Floats) -> float:
    """Pearson's; 0 where one of them does not vary."""
    x, y = one - one.mean(), other - other.mean()
    length = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum() / length) if length else 0.0


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's, ties at their mean rank."""
    return correlation(rankdata(one), rankdata(other))
