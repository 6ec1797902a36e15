"""Fewer features: some are left out, or principal components take their place; learned on training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml import Transformer
from pyspark.ml.feature import PCA, UnivariateFeatureSelector, VectorSlicer
from pyspark.ml.stat import Correlation, Summarizer
from pyspark.sql import functions as F

from headrace.errors import DataError
from headrace.search.plan import Plan
from headrace.search.tallies import Goal

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ALL, SELECTED = "__all", "__selected"
WIDEST = 4_000
"""Features among which correlations and components are looked for: their square comes to the driver."""
SEED = 42


def fit_selection(train: DataFrame, plan: Plan, goal: Goal) -> list[Transformer]:
    """Learn which features stay, and components. Runs a few Spark jobs, whatever the number of features.

    Args:
        train: Prepared training rows: `ALL`, `label`.
        plan: What is left out.
        goal: What is learned.

    Returns:
        Stages from `ALL` to `features`.

    Raises:
        DataError: If nothing stays, or there are too many features to compare each with each.
    """
    stages: list[Transformer] = []
    column = ALL
    if plan.selects:
        column = SELECTED if plan.pca else "features"
        kept = _kept(train, plan, goal)
        stages.append(VectorSlicer(inputCol=ALL, outputCol=column, indices=kept))
        train = stages[0].transform(train)
    if plan.pca:
        width = _width(train, column)
        _narrow(width, "reduce.pca")
        stages.append(PCA(k=min(plan.pca, width), inputCol=column, outputCol="features").fit(train))
    return stages


def _kept(train: DataFrame, plan: Plan, goal: Goal) -> list[int]:
    kept = list(range(_width(train, ALL)))
    if plan.variance is not None:
        spread: Any = train.select(Summarizer.variance(F.col(ALL)).alias("v")).collect()[0]["v"]
        kept = [place for place in kept if spread[place] > plan.variance]
        if not kept:
            raise DataError(
                f"search.preparation.select.variance: no feature has more than {plan.variance:g}; write less, or leave "
                "it out"
            )
    if plan.correlation < 1:
        kept = _unlike(train, kept, plan.correlation)
    if 0 < plan.top < len(kept):
        rows = _sliced(train, kept)
        best = _tested(rows, plan.top, goal) if plan.test == "f" else _important(rows, plan.top, goal)
        kept = [kept[place] for place in sorted(best)]
    return kept


def _sliced(train: DataFrame, kept: list[int]) -> DataFrame:
    return VectorSlicer(inputCol=ALL, outputCol="features", indices=kept).transform(train).select("features", "label")


def _width(train: DataFrame, column: str) -> int:
    found = train.select(column).first()
    if found is None:
        raise DataError("the training part has no rows to choose features by")
    return int(found[0].size)


def _narrow(width: int, key: str) -> None:
    if width > WIDEST:
        raise DataError(
            f"search.preparation.{key} compares each feature with each, and there are {width:,}; allowed: {WIDEST:,}. "
            "Make texts.size or categories.size smaller, or write select: {top: 1000}"
        )


def _unlike(train: DataFrame, kept: list[int], most: float) -> list[int]:
    """Without the later of two that correlate more; what does not vary correlates with nothing."""
    _narrow(len(kept), "select.correlation")
    if len(kept) < 2:
        return kept
    found: Any = Correlation.corr(_sliced(train, kept), "features").collect()[0][0]
    matrix = np.nan_to_num(np.abs(found.toArray()))
    stay: list[int] = []
    for place in range(len(kept)):
        if not any(matrix[place, other] > most for other in stay):
            stay.append(place)
    return [kept[place] for place in stay]


def _tested(rows: DataFrame, top: int, goal: Goal) -> list[int]:
    """By F: of an analysis of variance, of a number's linear regression."""
    kind = "categorical" if goal.classes else "continuous"
    selector = UnivariateFeatureSelector(
        featuresCol="features", labelCol="label", outputCol="__best", selectionMode="numTopFeatures"
    )
    selector.setFeatureType("continuous").setLabelType(kind).setSelectionThreshold(top)
    return list(selector.fit(rows).selectedFeatures)


def _important(rows: DataFrame, top: int, goal: Goal) -> list[int]:
    """By the impurity that they take away in a small forest; of equals the first."""
    from pyspark.ml.classification import RandomForestClassifier
    from pyspark.ml.regression import RandomForestRegressor

    made = RandomForestClassifier if goal.classes else RandomForestRegressor
    forest = made(numTrees=20, maxDepth=6, subsamplingRate=0.7, maxMemoryInMB=512, seed=SEED).fit(rows)
    weights = forest.featureImportances.toArray()
    return [int(place) for place in np.argsort(-weights, kind="stable")[:top]]
