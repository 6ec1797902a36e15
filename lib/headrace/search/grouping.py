"""The estimators that need no label: clusters, the mixtures by which task `anomaly` tells how odd a row is, topics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.search.recipe import Parameter, Recipe

if TYPE_CHECKING:
    from pyspark.ml import Estimator, Model
    from pyspark.sql import DataFrame

MOST = 12
"""The most clusters that a search looks for."""
MOST_TOPICS = 40
"""The most topics, likewise."""


def _kmeans(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    from pyspark.ml.clustering import KMeans

    return KMeans(k=int(params["clusters"]), maxIter=30, seed=seed)


def _bisecting_kmeans(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    from pyspark.ml.clustering import BisectingKMeans

    return BisectingKMeans(k=int(params["clusters"]), maxIter=20, seed=seed)


def _gaussian_mixture(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    from pyspark.ml.clustering import GaussianMixture

    return GaussianMixture(k=int(params["clusters"]), maxIter=60, seed=seed)


def _lda(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    """By variational inference in batches; how much of each topic a text is expected to have is learned as well.

    Spark's other way, `em`, keeps counts of words that are not smoothed, by which held-out texts cannot be judged.
    """
    from pyspark.ml.clustering import LDA

    topics = int(params["topics"])
    return LDA(
        k=topics,
        maxIter=25,
        seed=seed,
        optimizer="online",
        learningOffset=1.0,  # with Spark's 1024 so few iterations would hardly leave the first guess
        docConcentration=[float(params["doc_concentration"])] * topics,
        topicConcentration=float(params["topic_concentration"]),
    )


RESTARTS = 3
"""Mixtures end where they began: the likeliest of so many is taken."""


def fit_clusters(estimator: Any, train: DataFrame) -> Model:
    """Fit clusters to `features`; a mixture from several seeds. Runs Spark jobs."""
    from pyspark.ml.clustering import GaussianMixture

    if not isinstance(estimator, GaussianMixture):
        return estimator.fit(train)
    seed = estimator.getSeed()
    found: list[Any] = [estimator.copy().setSeed(seed + step).fit(train) for step in range(RESTARTS)]
    return max(found, key=lambda model: model.summary.logLikelihood)


_CLUSTERS = {"clusters": Parameter(2, MOST, "int")}

GROUPING: dict[str, Recipe] = {
    "kmeans": Recipe(("clustering",), "linear", {"clusters": 4}, _CLUSTERS, _kmeans),
    "bisecting_kmeans": Recipe(("clustering",), "linear", {"clusters": 4}, _CLUSTERS, _bisecting_kmeans),
    "gaussian_mixture": Recipe(("clustering", "anomaly"), "linear", {"clusters": 3}, _CLUSTERS, _gaussian_mixture),
    "lda": Recipe(
        ("topics",),
        "words",
        {"topics": 10, "doc_concentration": 0.1, "topic_concentration": 0.1},
        {
            "topics": Parameter(2, MOST_TOPICS, "int"),
            "doc_concentration": Parameter(0.01, 1.0, "log"),
            "topic_concentration": Parameter(0.005, 1.0, "log"),
        },
        _lda,
    ),
}
"""In the order in which their first points are tried."""
