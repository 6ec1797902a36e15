"""The best trials together: the mean of what they say, or a model of it, held against the best one alone.

Averaging needs nothing more; stacking (Wolpert, Stacked generalization, 1992) learns how far to trust whom, from what the
members say of rows that they have not learned from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from statistics import fmean
from typing import Any

from pyspark import StorageLevel
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.models.blend import SAID, Blend
from headrace.models.segmented import SEGMENTS
from headrace.runtime.step import Run
from headrace.search.fold import Known
from headrace.search.ledger import Row
from headrace.search.problem import Problem
from headrace.search.space import Point
from headrace.search.trial import fit_whole, measured

ENSEMBLE = "ensemble"
"""Estimator of a point that is several: `by`, and `members` with `estimator` and `params` each."""
_FOLD = "__fold"
_RIDGE = 0.001
"""Of the model over the members, which say much the same."""


@dataclass(frozen=True)
class Together:
    """Members that beat the best alone.

    Attributes:
        point: That is several.
        value: The metric, as trials have it.
    """

    point: Point
    value: float


def members(point: Point) -> tuple[Point, ...]:
    """The points that an ensemble is of."""
    return tuple(Point(one["estimator"], one["params"]) for one in point.params["members"])


def inner(point: Point) -> Point:
    """The point that the models of all segments are fitted with; of any other point itself."""
    if point.estimator != SEGMENTS:
        return point
    of = point.params["of"]
    return Point(of["estimator"], of["params"])


def points(point: Point) -> tuple[Point, ...]:
    """The members of an ensemble; of any other point itself."""
    one = inner(point)
    return members(one) if one.estimator == ENSEMBLE else (one,)


def together(run: Run, problem: Problem, rows: Sequence[Row], best: Row, slots: int) -> tuple[Together | None, str]:
    """The best trials together, if that is better than the best alone; and what people should know. Runs Spark jobs."""
    wanted = problem.search.ensemble
    assert wanted is not None, "it is asked for"
    finished = sorted((row for row in rows if row.status == "ok" and row.loss is not None), key=_place)
    points = {(row.estimator, row.params): row.point for row in finished}  # one that was tried twice is one
    chosen = list(points.values())[: wanted.best]
    if len(chosen) < 2:
        return None, "search.ensemble: a single trial has finished; it goes alone"
    if wanted.by == "stacking" and any(fold.known.target.labels != problem.target.labels for fold in problem.folds):
        return (
            None,
            "search.ensemble: not every fold has every class, so that nothing can be stacked; the best goes alone",
        )
    told = [{"estimator": one.estimator, "params": dict(one.params)} for one in chosen]
    point = Point(ENSEMBLE, {"by": wanted.by, "members": told})
    run.say(f"the best {len(chosen)} trials learn together ({wanted.by})")
    with heard(problem, point, problem.search.seed, slots) as said:
        value = _value(problem, point, said)
    alone = float(best.value or 0.0)
    better = value > alone if problem.larger_is_better else value < alone
    note = f"the best {len(chosen)} trials together ({wanted.by}): {problem.metric} {value:.4f}, the best alone {alone:.4f}"
    return (Together(point, value), note) if better else (None, f"{note}; it goes alone")


def _place(row: Row) -> tuple[float, int]:
    return float(row.loss or 0.0), row.trial


@contextmanager
def heard(problem: Problem, point: Point, seed: int, slots: int) -> Iterator[DataFrame]:
    """What the members of an ensemble say of the rows that validate, in memory.

    Yields:
        `label`, `prediction`, of classes `probability`, `SAID`, and the number of the fold.
    """
    frames: list[DataFrame] = []
    try:
        for fold in problem.folds:
            blend = blended(problem, point, fold.parts.train, fold.known, seed, slots)
            kept = ["label", "prediction", *(["probability"] if blend.classes else []), SAID]
            said = blend.transform(fold.parts.validation).select(*kept, F.lit(fold.number).alias(_FOLD))
            frames.append(said.persist(StorageLevel.MEMORY_AND_DISK))
            frames[-1].count()
        yield reduce(DataFrame.unionByName, frames)
    finally:
        for frame in frames:
            frame.unpersist()


def blended(problem: Problem, point: Point, rows: DataFrame, known: Known, seed: int, slots: int) -> Blend:
    """The members, fitted on the same rows."""
    task, recipes, balance = known.target.task, problem.recipes, problem.balance
    fitted = [
        fit_whole(one, task, rows, known.columns, problem.plan(one, known), known.goal, seed, slots, recipes, balance)
        for one in members(point)
    ]
    return Blend(fitted, len(known.target.labels) if task != "regression" else 0)


def fit_together(problem: Problem, point: Point, rows: DataFrame, seed: int, slots: int) -> list[Any]:
    """Stages of an ensemble: members fitted on these rows; of a stack what is learned of those that validate. Runs jobs."""
    blend = blended(problem, point, rows, problem.known, seed, slots)
    if point.params["by"] == "average":
        return [blend]
    with heard(problem, point, seed, slots) as said:
        return [blend, *_stack(problem, said).stages]


def _stack(problem: Problem, said: DataFrame) -> PipelineModel:
    """A linear model of what members say, in place of their mean."""
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.regression import LinearRegression

    classes = problem.target.task != "regression"
    learner: Any = LogisticRegression if classes else LinearRegression
    model = learner(featuresCol=SAID, regParam=_RIDGE, maxIter=100).fit(said.select("label", SAID))
    gone = "prediction, probability" if classes else "prediction"
    return PipelineModel([SQLTransformer(statement=f"select * except ({gone}) from __THIS__"), model])


def decided_by(problem: Problem, point: Point, said: DataFrame) -> DataFrame:
    """What an ensemble says of the rows that were heard, as the model that is made of it will."""
    return said if point.params["by"] == "average" else _stack(problem, said).transform(said)


def _value(problem: Problem, point: Point, said: DataFrame) -> float:
    """The metric in each fold, and the mean of it. A stack learns from the other folds; of one fold from its other half."""
    halves = len(problem.folds) == 1
    by_content = F.pmod(F.xxhash64(vector_to_array(F.col(SAID))), F.lit(2))
    rows = said.withColumn(_FOLD, by_content) if halves and point.params["by"] == "stacking" else said
    folds = [row[0] for row in rows.select(_FOLD).distinct().orderBy(_FOLD).collect()]  # a few
    own = {fold.number: fold.known.own for fold in problem.folds}
    found = []
    for number in folds:
        judged, others = rows.where(F.col(_FOLD) == number), rows.where(F.col(_FOLD) != number)
        if point.params["by"] == "stacking":
            judged = _stack(problem, others).transform(judged)
        metric_of = own.get(number, problem.known.own)
        found.append(measured(judged, problem.target.task, problem.metric, metric_of))
    return fmean(found)
