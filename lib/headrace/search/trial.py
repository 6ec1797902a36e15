"""One trial: fit an estimator on the prepared training rows, judge it on the prepared validation rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark import StorageLevel
from pyspark.ml import Model, PipelineModel
from pyspark.sql import DataFrame

from headrace.config.metrics import larger_is_better
from headrace.errors import HeadraceError
from headrace.metrics.evaluators import model_metric
from headrace.metrics.own import OwnMetric
from headrace.runtime.hooks import naming
from headrace.search.balance import fit_balanced
from headrace.search.columns import Columns
from headrace.search.estimators import ESTIMATORS
from headrace.search.own import check_saveable
from headrace.search.plan import BALANCE, Plan, of_estimator
from headrace.search.preparation import fit_preparation
from headrace.search.prepared import KEPT, Parts
from headrace.search.recipe import Recipe
from headrace.search.space import Point
from headrace.search.special import Special
from headrace.search.tallies import Goal
from headrace.search.wanted import with_beside


def workers(slots: int, parallelism: int) -> int:
    """XGBoost's workers must all run at once, so that several trials have to share the slots."""
    return max(1, slots // parallelism)


def fit(
    point: Point,
    task: str,
    train: DataFrame,
    seed: int,
    slots: int,
    recipes: Mapping[str, Recipe] = ESTIMATORS,
    balance: str = "none",
) -> Model:
    """Fit an estimator on `features` and `label`; `balance` is for rare classes, where the point does not say it.

    Raises:
        ConfigError: If it is the user's, and gives a model that cannot be saved.
    """
    recipe = recipes[point.estimator]
    how = str(point.params.get(BALANCE, balance))
    if recipe.use is None:
        return fit_balanced(recipe.build(task, of_estimator(point.params), seed, slots), train, how)
    with naming(recipe.use):
        model = fit_balanced(recipe.build(task, of_estimator(point.params), seed, slots), train, how)
    check_saveable(recipe.use, model)
    return model


def run_trial(
    point: Point,
    task: str,
    metric: str,
    parts: Parts,
    seed: int,
    slots: int,
    recipes: Mapping[str, Recipe] = ESTIMATORS,
    own: OwnMetric | None = None,
    special: Special | None = None,
    balance: str = "none",
) -> dict[str, Any]:
    """Try a point; the result is in hyperopt's form.

    Args:
        point: What to try.
        task: `binary`, `multiclass` or `regression`.
        metric: Spark ML's name.
        parts: Prepared for the estimator's kind.
        seed: Of the estimator.
        slots: Task slots that it may hold at once.
        recipes: Of all estimators.
        own: The metric, where it is the user's: of what models give as Spark ML has it.
        special: How to fit and to judge, where the task has a way of its own.
        balance: For rare classes, where the point does not say it.
    """
    if special and parts.preparation:
        estimator = recipes[point.estimator].build(task, of_estimator(point.params), seed, slots)
        made = special.fit(estimator, parts.preparation, parts.train)
        value = special.value(made, parts.preparation, parts.train, parts.validation, metric)
    else:
        model = fit(point, task, parts.train, seed, slots, recipes, balance)
        value = measured(model.transform(parts.validation), task, metric, own)
    if value != value:
        raise HeadraceError(f"{metric} is not a number on the validation part")
    larger = own.larger_is_better if own else larger_is_better(metric)
    return {"status": "ok", "loss": -value if larger else value, "value": value}


def measured(output: DataFrame, task: str, metric: str, own: OwnMetric | None) -> float:
    """The metric of what a model gave. Runs Spark jobs."""
    return own.of(output) if own else model_metric(output, task, metric)


def fit_whole(
    point: Point,
    task: str,
    rows: DataFrame,
    columns: Columns,
    plan: Plan,
    goal: Goal,
    seed: int,
    slots: int,
    recipes: Mapping[str, Recipe] = ESTIMATORS,
    balance: str = "none",
) -> PipelineModel:
    """Fit preparation and estimator on the same rows: raw feature columns in, prediction out."""
    made = fit_preparation(rows, columns, plan, goal)
    prepared = made.training.transform(rows).select(*with_beside(KEPT, rows)).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        return PipelineModel([*made.model.stages, fit(point, task, prepared, seed, slots, recipes, balance)])
    finally:
        prepared.unpersist()


def fit_special(
    point: Point, task: str, rows: DataFrame, columns: Columns, plan: Plan, seed: int, slots: int, special: Special
) -> tuple[PipelineModel, Mapping[str, Any]]:
    """As `fit_whole`, in the task's own way; and what is learned besides, for the model's card."""
    recipe = ESTIMATORS[point.estimator]
    preparation = special.prepare(rows, columns, plan)
    prepared = preparation.transform(rows).select(*special.keep).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        model = special.fit(recipe.build(task, of_estimator(point.params), seed, slots), preparation, prepared)
        return PipelineModel([*preparation.stages, *special.stages(model)]), special.learned(
            model, preparation, prepared
        )
    finally:
        prepared.unpersist()
