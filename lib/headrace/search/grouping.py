"""The estimators that need no label: clusters, and the mixtures by which task `anomaly` tells how odd a row is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.search.recipe import Parameter, Recipe

if TYPE_CHECKING:
    from pyspark.ml import Estimator

MOST = 12
"""The most clusters that a search looks for."""


def _kmeans(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    from pyspark.ml.clustering import KMeans

    return KMeans(k=int(params["clusters"]), maxIter=30, seed=seed)


def _bisecting_kmeans(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    from pyspark.ml.clustering import BisectingKMeans

    return BisectingKMeans(k=int(params["clusters"]), maxIter=20, seed=seed)


def _gaussian_mixture(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    from pyspark.ml.clustering import GaussianMixture

    return GaussianMixture(k=int(params["clusters"]), maxIter=60, seed=seed)


_CLUSTERS = {"clusters": Parameter(2, MOST, "int")}

GROUPING: dict[str, Recipe] = {
    "kmeans": Recipe(("clustering",), "linear", {"clusters": 4}, _CLUSTERS, _kmeans),
    "bisecting_kmeans": Recipe(("clustering",), "linear", {"clusters": 4}, _CLUSTERS, _bisecting_kmeans),
    "gaussian_mixture": Recipe(("clustering", "anomaly"), "linear", {"clusters": 3}, _CLUSTERS, _gaussian_mixture),
}
"""In the order in which their first points are tried."""
