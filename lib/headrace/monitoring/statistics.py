"""Distances and tests between two histograms over the same bins. NumPy and SciPy only, no Spark.

`baseline` and `current` are row counts per bin throughout: non-negative, of equal length, in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

SMALLEST_EXPECTED = 5.0
"""Cochran's rule for the chi-squared approximation: Cochran (1954), Biometrics 10(4)."""


@dataclass(frozen=True)
class TestResult:
    """A test statistic and its p-value."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    statistic: float
    p_value: float


def edges(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Inner bin edges from a sample's quantiles; a bin is `(previous edge, edge]`.

    Equal quantiles are merged. A value that takes up several quantiles (a constant, many zeros) gets a bin of its
    own: without it, values just below would hide in the same bin.

    >>> edges([1.0, 2.0, 3.0])
    (1.0, 2.0, 3.0)
    >>> [bool(low < 7.0) for low in edges([7.0, 7.0])]
    [True, False]
    """
    values, counts = np.unique(np.asarray(quantiles, dtype=float), return_counts=True)
    below = np.nextafter(values[counts > 1], -np.inf)
    return tuple(float(edge) for edge in np.unique(np.concatenate([values, below])))


def shares(baseline: ArrayLike, current: ArrayLike) -> tuple[Floats, Floats]:
    """Smoothed shares of the bins, for measures that cannot stand an empty bin.

    Each count is raised by half a row (Krichevsky and Trofimov, 1981), but never by more than the rows expected there
    if both samples came from one distribution. Plain half rows would see drift in every category that is rare in a
    large baseline and, as it must be, absent from a small sample. Bins that are empty on both sides are dropped.
    """
    b, c = _counts(baseline, current)
    used = (b + c) > 0
    b, c = b[used], c[used]
    pooled = (b + c) / (b + c).sum()
    raised = [x + np.minimum(0.5, x.sum() * pooled) for x in (b, c)]
    return raised[0] / raised[0].sum(), raised[1] / raised[1].sum()


def psi(baseline: ArrayLike, current: ArrayLike) -> float:
    """Population stability index: sum of (q - p) ln(q / p) over bins, with the smoothing of `shares`.

    The symmetric Kullback-Leibler divergence (Jeffreys, 1946), named so in credit scoring (Siddiqi, Credit Risk
    Scorecards, 2006). Zero when either side has no rows.
    """
    if not _both(baseline, current):
        return 0.0
    p, q = shares(baseline, current)
    return float(np.sum((q - p) * np.log(q / p)))


def psi_bias(baseline: ArrayLike, current: ArrayLike) -> float:
    """The PSI to be expected of two samples of one distribution.

    With n and m rows, PSI is then distributed as (1/n + 1/m) times chi-squared with B - 1 degrees of freedom (Yurdakul
    and Naranjo, Journal of Risk Model Validation 14(4), 2020), so its mean is (B - 1)(1/n + 1/m): 0.095 for 20 bins and
    200 rows. Bins in which less than one row is expected contribute that much less.
    """
    if not _both(baseline, current):
        return 0.0
    b, c = _counts(baseline, current)
    pooled = (b + c) / (b + c).sum()
    expected = pooled * min(b.sum(), c.sum())
    return float(np.sum((1 - pooled) * np.minimum(1.0, expected)) * (1 / b.sum() + 1 / c.sum()))


def unbiased_psi(baseline: ArrayLike, current: ArrayLike) -> float:
    """PSI less its bias, at least zero: the effect size that alarms look at."""
    return max(0.0, psi(baseline, current) - psi_bias(baseline, current))


def js(baseline: ArrayLike, current: ArrayLike) -> float:
    """Jensen-Shannon distance, base 2: between 0 (equal) and 1 (nothing in common). Needs no smoothing.

    Endres and Schindelin, IEEE Transactions on Information Theory 49(7), 2003. Zero when either side has no rows.
    """
    if not _both(baseline, current):
        return 0.0
    b, c = _counts(baseline, current)
    p, q = b / b.sum(), c / c.sum()
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return float(np.sqrt(max(0.0, divergence / np.log(2))))


def unbiased_js(baseline: ArrayLike, current: ArrayLike) -> float:
    """Jensen-Shannon distance without what sampling alone brings: near equality the divergence is PSI / 8 (in nats)."""
    return float(np.sqrt(max(0.0, js(baseline, current) ** 2 - psi_bias(baseline, current) / (8 * np.log(2)))))


def chi2(baseline: ArrayLike, current: ArrayLike) -> TestResult:
    """Chi-squared test that both samples come from one distribution (homogeneity), on bins that are full enough.

    The smallest bins are pooled until every bin expects `SMALLEST_EXPECTED` rows on both sides. With fewer than two
    bins left there is nothing to test: statistic 0, p-value 1.
    """
    if not _both(baseline, current):
        return TestResult(0.0, 1.0)
    table = _pooled(*_counts(baseline, current))
    if table.shape[1] < 2:
        return TestResult(0.0, 1.0)
    from scipy import stats  # half a second, which a job with nothing to measure need not wait for

    result = stats.chi2_contingency(table, correction=False)
    return TestResult(float(result.statistic), float(result.pvalue))


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for the number of tests, controlling the false-discovery rate.

    Benjamini and Hochberg, Journal of the Royal Statistical Society B 57(1), 1995.
    """
    from scipy import stats

    return [float(p) for p in stats.false_discovery_control(p_values, method="bh")] if len(p_values) else []


def _pooled(b: Floats, c: Floats) -> Floats:
    order = np.argsort(b + c, kind="stable")
    order = order[(b + c)[order] > 0]
    table = np.stack([b[order], c[order]])
    expected = table.sum(axis=0) * min(b.sum(), c.sum()) / table.sum()
    if expected[0] >= SMALLEST_EXPECTED:
        return table
    small = max(
        int(np.sum(expected < SMALLEST_EXPECTED)),
        int(np.searchsorted(np.cumsum(expected), SMALLEST_EXPECTED)) + 1,
    )
    return np.concatenate([table[:, :small].sum(axis=1, keepdims=True), table[:, small:]], axis=1)


def _relative_entropy(p: Floats, q: Floats) -> float:
    used = p > 0
    return float(np.sum(p[used] * np.log(p[used] / q[used])))


def _both(baseline: ArrayLike, current: ArrayLike) -> bool:
    b, c = _counts(baseline, current)
    return bool(b.sum() > 0 and c.sum() > 0)


def _counts(baseline: ArrayLike, current: ArrayLike) -> tuple[Floats, Floats]:
    b, c = np.asarray(baseline, dtype=float), np.asarray(current, dtype=float)
    if b.shape != c.shape or b.ndim != 1:
        raise ValueError(f"two histograms over the same bins are needed; these have shapes {b.shape} and {c.shape}")
    if (b < 0).any() or (c < 0).any():
        raise ValueError("a histogram counts rows; these counts include negative ones")
    return b, c
