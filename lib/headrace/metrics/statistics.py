"""Bounded statistics of judged rows, and metrics from them with 95 % intervals by bootstrap. Needs numpy only.

Rows lie in random groups; a replicate draws groups with replacement. So that only aggregates reach the driver,
a group is known by its counts: a confusion matrix, sums, and a histogram of the scores on a fine log-odds grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

EPSILON = 1e-15
"""Least probability of which a logarithm is taken, as in Spark's evaluator."""
REPLICATES = 400
GRID = 512
"""Cells of the score histogram: log-odds from -16 to 16 in steps of 1/16."""


@dataclass(frozen=True)
class ClassStatistics:
    """Of a classification, per group.

    Attributes:
        confusion: (groups, classes, classes): rows by true and predicted class.
        log_loss: (groups,): sum of -log(probability of the true class).
        histogram: (groups, 2, GRID): rows by class and score cell; None unless binary.
    """

    confusion: Array
    log_loss: Array
    histogram: Array | None = None


@dataclass(frozen=True)
class RegressionStatistics:
    """Of a regression, per group; every array is (groups,).

    Attributes:
        rows: How many.
        squared: Sum of squared errors.
        absolute: Sum of absolute errors.
        mean: Of the label.
        deviation: Sum of the label's squared deviations from the group's mean.
    """

    rows: Array
    squared: Array
    absolute: Array
    mean: Array
    deviation: Array


Statistics = ClassStatistics | RegressionStatistics


def weights(groups: int, seed: int, replicates: int = REPLICATES) -> Array:
    """How often each replicate draws each group: (replicates, groups)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(groups, np.full(groups, 1.0 / groups), size=replicates).astype(np.float64)


def values(statistics: Statistics, drawn: Array) -> dict[str, Array]:
    """Each metric for each replicate.

    Args:
        statistics: Of the groups.
        drawn: (replicates, groups): how often a group is drawn; a row of ones is the sample itself.
    """
    if isinstance(statistics, RegressionStatistics):
        return _regression(statistics, drawn)
    confusion = np.einsum("rg,gij->rij", drawn, statistics.confusion)
    found = _classification(confusion, drawn @ statistics.log_loss)
    if statistics.histogram is not None:
        found |= areas(np.einsum("rg,gcb->rcb", drawn, statistics.histogram))
    return found


def interval(sample: float, binned: float, replicates: Array) -> tuple[float, float]:
    """95 % percentile interval, shifted by what binning cost.

    Args:
        sample: The exact value.
        binned: The value from the binned statistics.
        replicates: Values of the replicates.
    """
    finite = replicates[np.isfinite(replicates)]
    if not finite.size:
        return float("nan"), float("nan")
    lower, upper = np.quantile(finite, [0.025, 0.975]) + (sample - binned)
    return float(lower), float(upper)


def real(value: float) -> float | None:
    """The number; None where it is none."""
    return float(value) if np.isfinite(value) else None


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _classification(confusion: Array, log_loss: Array) -> dict[str, Array]:
    hits = np.einsum("rii->ri", confusion)
    true, said = confusion.sum(axis=2), confusion.sum(axis=1)
    rows = confusion.sum(axis=(1, 2))
    precision, recall = _ratio(hits, said), _ratio(hits, true)
    f1 = _ratio(2 * precision * recall, precision + recall)
    share = np.divide(true, rows[:, None], out=np.full_like(true, np.nan), where=rows[:, None] > 0)
    return {
        "accuracy": _nan_ratio(hits.sum(axis=1), rows),
        "f1": (share * f1).sum(axis=1),
        "logLoss": _nan_ratio(log_loss, rows),
        "weightedPrecision": (share * precision).sum(axis=1),
        "weightedRecall": (share * recall).sum(axis=1),
    }


def _nan_ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def areas(histogram: Array) -> dict[str, Array]:
    """Areas under both curves from histograms (replicates, 2, cells), classes negative, positive."""
    neg, pos = histogram[:, 0, ::-1], histogram[:, 1, ::-1]
    tp, fp = pos.cumsum(axis=1), neg.cumsum(axis=1)
    tp0, fp0 = tp - pos, fp - neg
    precision = _ratio(tp, tp + fp)
    before = np.where(tp0 + fp0 > 0, _ratio(tp0, tp0 + fp0), precision)
    both = np.where((tp[:, -1] > 0) & (fp[:, -1] > 0), 1.0, np.nan)
    roc = _nan_ratio((neg * (tp0 + pos / 2)).sum(axis=1), tp[:, -1] * fp[:, -1])
    pr = _nan_ratio((pos * (before + precision) / 2).sum(axis=1), tp[:, -1])
    return {"areaUnderROC": roc, "areaUnderPR": both * pr}


def _regression(of: RegressionStatistics, drawn: Array) -> dict[str, Array]:
    rows = drawn @ of.rows
    mean = _nan_ratio(drawn @ (of.rows * of.mean), rows)
    spread = drawn @ of.deviation + np.einsum("rg,rg->r", drawn * of.rows, (of.mean[None, :] - mean[:, None]) ** 2)
    mse = _nan_ratio(drawn @ of.squared, rows)
    return {
        "rmse": np.sqrt(mse),
        "mae": _nan_ratio(drawn @ of.absolute, rows),
        "r2": 1.0 - _nan_ratio(drawn @ of.squared, spread),
        "mse": mse,
    }
