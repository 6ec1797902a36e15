"""Pairs of rows that are in the right order: Harrell's concordance of times in memory. Needs numpy only.

A pair can be compared where it is sure which of the two had its event first: one had it before the other's time, or at
the other's time while the other is censored then. Two events at the same time cannot be compared, nor can two censored
rows, nor a row with one that was censored before. Of those that can, the share of which the row with the earlier event
has the smaller prediction; equal predictions count half (Harrell, Califf, Pryor, Lee and Rosati, Evaluating the yield
of medical tests, JAMA 247(18), 1982; ties in time as in lifelines).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace.metrics.statistics import Array


def concordance(time: Array, predicted: Array, censored: Any = None) -> float:
    """Harrell's C; NaN where no pair can be compared, or a prediction is NaN.

    Args:
        time: (rows,): of the event, or until when there was none.
        predicted: (rows,): the larger, the later is the event expected.
        censored: (rows,): whether there was no event by then; default: there always was.
    """
    if np.isnan(predicted).any():
        return float("nan")
    late = np.zeros(len(time), dtype=bool) if censored is None else np.asarray(censored, dtype=bool)
    cells = np.column_stack([time, late, predicted])
    unique, count = np.unique(cells, axis=0, return_counts=True)
    rows = count.astype(np.float64)
    right, compared = pairs(unique[:, 0], unique[:, 1], unique[:, 2], np.where(unique[:, 1] == 0, rows, 0.0), rows, 0.5)
    return right / compared if compared else float("nan")


def pairs(time: Array, later: Array, predicted: Array, events: Array, rows: Array, tie: float) -> tuple[float, float]:
    """Pairs in the right order, and pairs that can be compared, of an event and a row later than it.

    Args:
        time: (cells,): what comes first.
        later: (cells,): what comes first of equal times.
        predicted: (cells,): of a time and `later` each value stands once.
        events: (cells,): how many rows of the cell had the event.
        rows: (cells,): how many there are.
        tie: What a pair counts of which the predictions are equal.
    """
    order = np.lexsort((-predicted, later, time))  # of equal times no later cell has a larger prediction
    events, rows = events[order], rows[order]
    first = np.r_[np.ones(len(order[:1]), dtype=bool), (np.diff(time[order]) != 0) | (np.diff(later[order]) != 0)]
    group = np.cumsum(first) - 1
    until = np.cumsum(np.bincount(group, weights=rows))[group]
    compared = float((events * (rows.sum() - until)).sum())
    rank = np.unique(predicted[order], return_inverse=True)[1].astype(np.int64)
    above, same = _behind(rank, events, rows)
    return above + tie * same, compared


def _behind(rank: np.ndarray, events: Array, rows: Array) -> tuple[float, float]:
    """Events times rows behind them of a larger rank, and of the same: halves are merged, as a merge sort does it."""
    place, width = np.arange(len(rank)), 1
    above = same = 0.0
    ranks = int(rank.max(initial=0)) + 1
    while width < len(rank):
        block, right = place // (2 * width), (place // width) % 2 == 1
        key = block * ranks + rank
        order = np.argsort(key, kind="stable")
        sorted_key, before = key[order], np.r_[0.0, np.cumsum(np.where(right, rows, 0.0)[order])]
        asking = ~right & (events > 0)
        low, high, end = (
            before[np.searchsorted(sorted_key, wanted)]
            for wanted in (key[asking], key[asking] + 1, (block[asking] + 1) * ranks)
        )
        above += float((events[asking] * (end - high)).sum())
        same += float((events[asking] * (high - low)).sum())
        width *= 2
    return above, same
