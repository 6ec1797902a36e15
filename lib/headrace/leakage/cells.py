"""A column's values as few cells, and how many rows of each class lie in each: all that is measured comes from these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MOST_BINS = 1024
ROWS_PER_BIN = 20
LEAST_BINS = 16
MOST_CELLS = 5_000_000
"""Cells times classes of a text column; the rarer values share one cell."""
MOST_STUMPS = 20
"""Classes that get an edge of their own each."""


@dataclass(frozen=True)
class Cells:
    """Where each row lies.

    Attributes:
        codes: The cell of each row; the last cell is that of rows without a value.
        size: How many cells there are.
        ordered: Whether the cells but the last follow each other as the values do.
    """

    codes: Ints
    size: int
    ordered: bool

    @property
    def filled(self) -> Bools:
        """Whether a row has a value."""
        return np.asarray(self.codes != self.size - 1)


def of_numbers(values: Floats, known: Bools, classes: Ints | None = None, count: int = 0) -> Cells:
    """Cells of numbers: up to a thousand quantiles of the known rows, cut also where a threshold parts classes best.

    Args:
        values: NaN: none.
        known: Rows to learn the edges from.
        classes: The class of each row; None for a regression.
        count: How many classes there are.
    """
    filled = ~np.isnan(values)
    order = np.argsort(values[known & filled], kind="stable")
    ordered = values[known & filled][order]
    edges = _quantiles(ordered)
    if classes is not None and len(ordered):
        edges = np.union1d(edges, _parting(ordered, classes[known & filled][order], count))
    codes = np.searchsorted(edges, values, side="right").astype(np.int64)
    codes[~filled] = len(edges) + 1
    return Cells(codes, len(edges) + 2, True)


def of_text(codes: Ints, classes: int = 1) -> Cells:
    """Cells of text: one per value that is there twice; all that is there once, or too rare, is one more.

    Args:
        codes: The number of each row's value; -1: none.
        classes: How many classes there are: the more, the fewer values have a cell of their own.
    """
    rows = np.bincount(codes[codes >= 0])
    kept = np.flatnonzero(rows > 1)
    most = MOST_CELLS // max(1, classes)
    if len(kept) > most:
        kept = np.sort(kept[np.argsort(-rows[kept], kind="stable")[:most]])
    place = np.full(len(rows) + 1, len(kept), dtype=np.int64)
    place[kept] = np.arange(len(kept))
    place[-1] = len(kept) + 1  # what -1 points to
    return Cells(place[codes], len(kept) + 2, False)


def counted(cells: Cells, classes: Ints, count: int, rows: Bools) -> Ints:
    """Rows per cell and class."""
    flat = np.bincount(cells.codes[rows] * count + classes[rows], minlength=cells.size * count)
    return flat.reshape(cells.size, count).astype(np.int64)


def _quantiles(ordered: Floats) -> Floats:
    """Edges of cells: of few values between each two, else at quantiles."""
    most = int(np.clip(len(ordered) // ROWS_PER_BIN, LEAST_BINS, MOST_BINS))
    different = ordered[np.flatnonzero(np.diff(ordered, prepend=-np.inf))]
    if len(different) <= most:
        return different[1:]
    places = (np.arange(1, most) * len(ordered)) // most
    return np.unique(ordered[places])


def _parting(ordered: Floats, classes: Ints, count: int) -> Floats:
    """Where a threshold parts one class from the others with the fewest errors; where few runs of one class end."""
    steps = np.flatnonzero(np.diff(ordered)) + 1  # a cell begins at such a row
    if not len(steps):
        return np.empty(0)
    turns = np.flatnonzero(np.diff(classes)) + 1
    found = list(np.intersect1d(turns, steps)) if len(turns) <= 4 * count else []
    for one in range(count if count <= MOST_STUMPS else 0):
        mine = np.cumsum(classes == one)
        below, before = mine[steps - 1], steps
        wrong = before - below + mine[-1] - below  # saying this class below, another above
        found += [steps[np.argmin(wrong)], steps[np.argmax(wrong)]]
    return np.unique(ordered[np.asarray(found, dtype=np.int64)])
