"""Rare classes: training rows are weighted, left out or repeated; probabilities are those of the true shares again.

An estimator that sees classes with other shares than they have gives a class `weight` times the odds. Dividing by the weights
undoes it (Elkan, The foundations of cost-sensitive learning, 2001), so that a probability of 0.1 still means one row
in ten. The order of rows, and so the area under the ROC curve of two classes, does not change by that; the column `prediction`
stays what the balanced estimator says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import OneVsRest
from pyspark.ml.feature import ElementwiseProduct, Normalizer, SQLTransformer
from pyspark.ml.linalg import Vectors
from pyspark.sql import functions as F

from headrace.errors import HeadraceError
from headrace.search.tallies import ROW

if TYPE_CHECKING:
    from pyspark.ml import Model
    from pyspark.sql import DataFrame

SAMPLES = ("undersample", "oversample")
WEIGHT, BALANCED = "__weight", "__balanced"
_GRAIN = 1_000_000


def fit_balanced(estimator: Any, rows: DataFrame, how: str) -> Model:
    """Fit a classifier. Runs Spark jobs.

    Args:
        estimator: Of Spark ML.
        rows: Prepared training rows: `features`, `label`, and `ROW` where rows are left out or repeated.
        how: `none`, `weights`, `undersample` or `oversample`.

    Raises:
        HeadraceError: If weights are wanted of an estimator that takes none.
    """
    taught = rows.drop(ROW)  # a hash teaches nothing
    if how == "none":
        return estimator.fit(taught)
    counts = {int(row["label"]): row["count"] for row in rows.groupBy("label").count().collect()}  # one per class
    factors = shares(counts, how)
    if how == "weights":
        model = weighted(estimator).fit(taught.withColumn(WEIGHT, _by_label(factors)))
    else:
        model = estimator.fit(sampled(rows, factors).drop(ROW))
    return _honest(model, taught, factors)


def shares(counts: Mapping[int, int], how: str) -> dict[int, float]:
    """How much more, or less, a row of each class counts.

    >>> shares({0: 90, 1: 10}, "undersample"), shares({0: 90, 1: 10}, "oversample")
    ({0: 0.1111111111111111, 1: 1.0}, {0: 1.0, 1: 9.0})
    """
    if how == "weights":
        return {label: sum(counts.values()) / (len(counts) * count) for label, count in counts.items()}
    goal = (min if how == "undersample" else max)(counts.values())
    return {label: goal / count for label, count in counts.items()}


def _by_label(factors: Mapping[int, float]) -> Any:
    chosen: Any = F.lit(1.0)
    for label, factor in factors.items():
        chosen = F.when(F.col("label") == label, F.lit(factor)).otherwise(chosen)
    return chosen


def sampled(rows: DataFrame, factors: Mapping[int, float]) -> DataFrame:
    """Rows left out or repeated, by a hash of their key: the same in each run."""
    chance = F.pmod(F.xxhash64(F.lit("balance"), F.col(ROW)), F.lit(_GRAIN)) / F.lit(float(_GRAIN))
    wanted = _by_label(factors)
    copies = (F.floor(wanted) + (chance < wanted - F.floor(wanted)).cast("int")).cast("int")
    some = rows.withColumn("__copies", copies).where("__copies > 0")
    return some.withColumn("__copy", F.explode(F.sequence(F.lit(1), F.col("__copies")))).drop("__copies", "__copy")


def weighted(estimator: Any) -> Any:
    """The estimator, told where the weights are; of several in a row each.

    Raises:
        HeadraceError: If it takes none.
    """
    if isinstance(estimator, Pipeline):
        stages = [stage for stage in estimator.getStages() if stage.hasParam("weightCol")]
        for stage in stages:
            weighted(stage)
        if stages:
            return estimator
    elif estimator.hasParam("weightCol"):
        if isinstance(estimator, OneVsRest):
            weighted(estimator.getClassifier())
        estimator.set(estimator.getParam("weightCol"), WEIGHT)
        return estimator
    raise HeadraceError(
        f"{type(estimator).__name__} takes no weights; write search.balance: undersample, or oversample, or leave it out"
    )


def _honest(model: Any, rows: DataFrame, factors: Mapping[int, float]) -> Model:
    """The model, with probabilities as of rows that are not balanced."""
    if "probability" not in model.transform(rows.limit(0)).columns:
        return model
    undone = Vectors.dense([1 / factors.get(label, 1.0) for label in range(max(factors) + 1)])
    named = f"select * except (probability), probability as {BALANCED} from __THIS__"
    return PipelineModel(
        [
            model,
            SQLTransformer(statement=named),
            ElementwiseProduct(scalingVec=undone, inputCol=BALANCED, outputCol="__odds"),
            Normalizer(p=1.0, inputCol="__odds", outputCol="probability"),
        ]
    )
