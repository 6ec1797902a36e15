"""The silhouette of each row by squared Euclidean distance, as Spark's ClusteringEvaluator averages it.

The sum of squared distances from a row to a cluster needs of the cluster only its size, its sum and its sum of squared
lengths: one pass over the rows, and a few numbers per cluster on the driver.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.runtime.vectorised import vectorised

SILHOUETTE = "__silhouette"


def with_silhouette(frame: DataFrame) -> DataFrame:
    """Add `__silhouette` (double, -1 to 1). Runs a Spark job.

    A row alone in its cluster has 0. Where all rows are in one cluster it is null: it is not defined.

    Args:
        frame: `features` (vector of finite numbers) and `prediction` (the cluster).
    """
    from pyspark.ml.functions import vector_to_array

    clusters = _clusters(frame)
    if len(clusters) < 2:
        return frame.withColumn(SILHOUETTE, F.lit(None).cast("double"))
    import pandas as pd

    def silhouette(vectors: Any, own: Any) -> Any:
        rows = np.stack(list(vectors)) if len(vectors) else None
        return pd.Series([] if rows is None else _silhouettes(rows, own.to_numpy(), clusters), dtype="float64")

    udf = vectorised(silhouette, ("vectors", "own"), "double")
    return frame.withColumn(SILHOUETTE, udf(vector_to_array(F.col("features")), F.col("prediction").cast("int")))


Clusters = dict[int, tuple[float, np.ndarray, float]]
"""Cluster -> rows, sum of the rows, sum of their squared lengths."""


def _clusters(frame: DataFrame) -> Clusters:
    from pyspark.ml.functions import vector_to_array
    from pyspark.ml.stat import Summarizer

    length = F.aggregate(vector_to_array(F.col("features")), F.lit(0.0), lambda total, x: total + x * x)
    found = (
        frame.groupBy(F.col("prediction").cast("int").alias("cluster"))
        .agg(F.count("*").alias("rows"), Summarizer.sum(F.col("features")).alias("sum"), F.sum(length).alias("length"))
        .collect()  # a row per cluster
    )
    return {row["cluster"]: (float(row["rows"]), row["sum"].toArray(), float(row["length"])) for row in found}


def _silhouettes(rows: np.ndarray, own: np.ndarray, clusters: Clusters) -> np.ndarray:
    names = np.array(sorted(clusters))
    sizes = np.array([clusters[name][0] for name in names])
    sums = np.array([clusters[name][1] for name in names])
    lengths = np.array([clusters[name][2] for name in names])
    square = np.square(rows).sum(axis=1)
    # sum over the cluster's rows y of |x - y|^2 = n |x|^2 - 2 x . sum(y) + sum(|y|^2)
    total = np.maximum(sizes * square[:, None] - 2.0 * rows @ sums.T + lengths, 0.0)
    mine = np.searchsorted(names, own)
    place = np.arange(len(rows))
    size = sizes[mine]
    inside = total[place, mine] / np.maximum(size - 1.0, 1.0)
    away = total / sizes
    away[place, mine] = np.inf
    outside = away.min(axis=1)
    larger = np.maximum(inside, outside)
    score = np.divide(outside - inside, larger, out=np.zeros(len(rows)), where=larger > 0)
    return np.asarray(np.where(size == 1.0, 0.0, score))
