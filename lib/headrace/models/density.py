"""How likely a row is under a Gaussian mixture, and so how odd it is: the score of task `anomaly`.

Spark ML's mixture says to which component a row belongs, not how likely it is; and where features depend on each other
its covariances are singular, so that it would not see what lies off their plane. Here each covariance gets a ridge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from headrace.runtime.vectorised import vectorised

if TYPE_CHECKING:
    from pyspark.ml.clustering import GaussianMixtureModel

Array = npt.NDArray[np.float64]
RIDGE = 0.01
LEAST = -1e300
"""The logarithm of the density where no number can tell it."""
"""Added to each variance; features are scaled to a variance of 1."""
ACCURACY = 10_000
"""Of quantiles: the rank is right to one part in this many."""
DENSITY, SCORE = "__density", "__score"


@dataclass(frozen=True)
class Mixture:
    """Gaussians with weights.

    Attributes:
        weights: (components,), their sum is 1.
        means: (components, features).
        factors: (components, features, features): inverses of the covariances' Cholesky factors.
    """

    weights: Array
    means: Array
    factors: Array

    @classmethod
    def of(cls, weights: Any, means: Any, covariances: Any) -> Mixture:
        """From weights, means and covariances, which get the ridge."""
        whole = np.asarray(covariances, dtype=np.float64)
        ridged = whole + RIDGE * np.eye(whole.shape[1])
        factors = np.linalg.inv(np.linalg.cholesky(ridged))
        return cls(np.asarray(weights, dtype=np.float64), np.asarray(means, dtype=np.float64), factors)

    def log_density(self, rows: Array) -> Array:
        """Natural logarithm of the density of each row (rows, features)."""
        parts = np.empty((len(self.weights), len(rows)))
        for number, (weight, mean, factor) in enumerate(zip(self.weights, self.means, self.factors, strict=True)):
            with np.errstate(over="ignore"):  # so far away that its square is no number
                distance = np.square((rows - mean) @ factor.T).sum(axis=1)
            volume = np.log(np.diag(factor)).sum() - 0.5 * rows.shape[1] * np.log(2 * np.pi)
            parts[number] = np.log(max(weight, 1e-300)) + volume - 0.5 * distance
        top = np.maximum(parts.max(axis=0), LEAST)
        with np.errstate(divide="ignore"):
            return np.maximum(top + np.log(np.exp(parts - top).sum(axis=0)), LEAST)

    @property
    def peak(self) -> float:
        """The greatest density at any component's mean."""
        return float(self.log_density(self.means).max())


def mixture(model: GaussianMixtureModel) -> Mixture:
    """The mixture that Spark ML has fitted; components times features squared numbers, on the driver."""
    gaussians: list[Any] = list(model.gaussians)
    means = [one.mean.toArray() for one in gaussians]
    return Mixture.of(model.weights, means, [one.cov.toArray() for one in gaussians])


def with_density(frame: DataFrame, of: Mixture) -> DataFrame:
    """`__density` (double), the logarithm of the density of the vector `features`, added."""
    import pandas as pd
    from pyspark.ml.functions import vector_to_array

    def density(vectors: Any) -> Any:
        rows = np.stack(list(vectors)) if len(vectors) else None
        return pd.Series([] if rows is None else of.log_density(rows), dtype="float64")

    udf = vectorised(density, ("vectors",), "double")
    return frame.withColumn(DENSITY, udf(vector_to_array(F.col("features"))))


def likely(densities: DataFrame, contamination: float) -> tuple[float, float]:
    """The density below which the oddest share of the rows lies, and the mean of the others. Runs two Spark jobs.

    Args:
        densities: With `__density`.
        contamination: The share.
    """
    bound = densities.agg(F.percentile_approx(DENSITY, contamination, ACCURACY)).collect()[0][0]
    mean = densities.where(F.col(DENSITY) >= F.lit(bound)).agg(F.avg(DENSITY)).collect()[0][0]
    return float(bound), float(mean)


def with_score(frame: DataFrame, of: Mixture) -> DataFrame:
    """`__score` (double) added: how much less likely than the likeliest a row is, in natural logarithms; 0 or more."""
    scored = with_density(frame, of)
    return scored.withColumn(SCORE, F.greatest(F.lit(0.0), F.lit(of.peak) - F.col(DENSITY)))


def odd(learned: Mapping[str, Any]) -> tuple[Column, Column]:
    """Whether a row is odd, and how odd from 0 to 1, of its `__score`.

    Args:
        learned: `threshold`: the score above which a row is odd; `contamination`: the share of the training rows that
            were to lie above it.

    Returns:
        boolean, and double: `1 - contamination ** (score / threshold)`. It is 0 for the likeliest row,
        1 - contamination at the threshold, and orders rows as the score does.
    """
    threshold, share = float(learned["threshold"]), float(learned["contamination"])
    score = F.col(SCORE)
    return score > threshold, F.lit(1.0) - F.pow(F.lit(share), score / F.lit(max(threshold, 1e-12)))
