"""Task `anomaly`: a mixture fitted to the usual rows, judged by how likely it finds those of the validation part.

What is odd must not shape what is held for usual: the mixture is fitted, the oddest share of the training rows is set
aside, and it is fitted once more (a concentration step, as in Rousseeuw and Van Driessen's fast MCD, 1999).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pyspark.ml import Model
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.models.density import ACCURACY, DENSITY, SCORE, Mixture, likely, mixture, with_density, with_score


def fit_usual(estimator: Any, train: DataFrame, contamination: float) -> Model:
    """Fit an estimator of a mixture to all rows, and again without the oddest. Runs Spark jobs.

    Args:
        estimator: Of Spark ML.
        train: `features`.
        contamination: The share of the rows that is set aside.
    """
    densities = with_density(train, mixture(estimator.fit(train)))
    bound, _ = likely(densities, contamination)
    return estimator.fit(densities.where(F.col(DENSITY) >= F.lit(bound)).select(*train.columns))


def threshold(model: Any, train: DataFrame, contamination: float) -> float:
    """The score above which the oddest share of the training rows lies. Runs a Spark job."""
    scored = with_score(train, mixture(model))
    return float(scored.agg(F.percentile_approx(SCORE, 1 - contamination, ACCURACY)).collect()[0][0])


def log_likelihood(model: Any, validation: DataFrame, contamination: float) -> float:
    """Mean logarithm of the density of the rows but for the oddest share. Runs Spark jobs."""
    return likely(with_density(validation, mixture(model)), contamination)[1]


def independent(train: DataFrame) -> Mixture:
    """The baseline: one Gaussian whose features know nothing of each other. Runs a Spark job."""
    from pyspark.ml.stat import Summarizer

    both = train.select(Summarizer.metrics("mean", "variance").summary(F.col("features")).alias("of"))
    row = both.select("of.mean", "of.variance").collect()[0]
    return Mixture.of([1.0], [row["mean"].toArray()], [np.diag(row["variance"].toArray())])
