"""One metric of predictions that lie in memory, as Spark's evaluators have it. Needs numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.metrics.pairs import concordance
from headrace.metrics.statistics import EPSILON, Array, ClassStatistics, RegressionStatistics, areas, values

ALONE = np.ones((1, 1))


def value(task: str, metric: str, label: Array, said: Array, chosen: Array | None = None) -> float:
    """A metric.

    Args:
        task: `binary`, `multiclass` or `regression`.
        metric: Spark ML's name.
        label: (rows,): of classes their index.
        said: (rows,) of a regression, else (rows, classes): probabilities.
        chosen: (rows,): the class that is predicted; default: the one of the largest probability.
    """
    if metric == "concordance":
        return concordance(label, said)
    if task == "regression":
        return float(values(_numbers(label, said), ALONE)[metric][0])
    classes = label.astype(np.int64)
    if metric in ("areaUnderROC", "areaUnderPR"):
        score = said[:, 1] if said.shape[1] > 1 else np.zeros(len(said))  # of rows of one class
        return float(areas(_cells(classes, score))[metric][0])
    predicted = said.argmax(axis=1) if chosen is None else chosen.astype(np.int64)
    return float(values(_classes(classes, said, predicted), ALONE)[metric][0])


def _numbers(label: Array, said: Array) -> RegressionStatistics:
    error, mean = said - label, label.mean()
    sums = (len(label), (error**2).sum(), np.abs(error).sum(), mean, ((label - mean) ** 2).sum())
    return RegressionStatistics(*[np.array([float(one)]) for one in sums])


def _classes(label: npt.NDArray[np.int64], said: Array, chosen: npt.NDArray[np.int64]) -> ClassStatistics:
    count = max(said.shape[1], int(label.max(initial=0)) + 1)
    confusion = np.bincount(label * count + chosen, minlength=count * count).reshape(1, count, count)
    known = np.where(label < said.shape[1], said[np.arange(len(label)), np.minimum(label, said.shape[1] - 1)], 0.0)
    loss = -np.log(np.clip(known, EPSILON, 1 - EPSILON)).sum()
    return ClassStatistics(confusion.astype(np.float64), np.array([loss]))


def _cells(label: npt.NDArray[np.int64], score: Array) -> Any:
    """Rows by class and score, a cell for each score that there is: the areas are exact, ties included."""
    scores, cell = np.unique(score, return_inverse=True)
    counts = [np.bincount(cell[label == one], minlength=len(scores)) for one in (0, 1)]
    return np.array([counts], dtype=np.float64)
