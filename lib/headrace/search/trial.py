"""One trial: fit an estimator on the prepared training rows, judge it on the prepared validation rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pyspark import StorageLevel
from pyspark.ml import Model, PipelineModel
from pyspark.sql import DataFrame

from headrace.config.metrics import larger_is_better
from headrace.errors import HeadraceError
from headrace.metrics.evaluators import model_metric
from headrace.metrics.own import OwnMetric
from headrace.runtime.hooks import naming
from headrace.search.columns import Columns
from headrace.search.estimators import ESTIMATORS
from headrace.search.own import check_saveable
from headrace.search.preparation import fit_preparation
from headrace.search.recipe import Kind, Recipe
from headrace.search.space import Point
from headrace.search.special import Special

KEPT = ("features", "label")
"""Columns of prepared rows."""


@dataclass(frozen=True)
class Parts:
    """What a search learns from: raw feature columns and `label` (double), without nulls in `label`.

    Prepared rows have with them what prepared them.
    """

    train: DataFrame
    validation: DataFrame
    preparation: PipelineModel | None = None


@dataclass
class Prepared:
    """Prepared rows, once per kind for all trials, in executor memory until `release`.

    Args:
        parts: Raw rows.
        columns: What was learned of the training rows.
        kinds: To be prepared, in this order.
        special: How, where the task has a way of its own.
    """

    parts: Parts
    columns: Columns
    kinds: Sequence[Kind]
    special: Special | None = None
    _frames: list[DataFrame] = field(default_factory=list)
    _ready: dict[str, Future] = field(default_factory=dict)

    def start(self) -> None:
        """Begin to prepare, one kind after the other, in a thread."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self._ready = {kind: self._pool.submit(self._prepare, kind) for kind in dict.fromkeys(self.kinds)}

    def ready(self, kind: Kind) -> bool:
        """Whether `get` returns at once."""
        return self._ready[kind].done()

    def get(self, kind: Kind) -> Parts:
        """Rows with `features` and `label`, or what the task's own way keeps."""
        return self._ready[kind].result()

    def release(self) -> None:
        """Give the memory back."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for frame in self._frames:
            frame.unpersist()

    def _prepare(self, kind: Kind) -> Parts:
        prepare = self.special.prepare if self.special else fit_preparation
        model = prepare(self.parts.train, self.columns, kind)
        return Parts(self._kept(model, self.parts.train), self._kept(model, self.parts.validation), model)

    def _kept(self, model: PipelineModel, frame: DataFrame) -> DataFrame:
        kept = model.transform(frame).select(*(self.special.keep if self.special else KEPT))
        kept = kept.persist(StorageLevel.MEMORY_AND_DISK)
        self._frames.append(kept)
        kept.count()
        return kept


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
) -> Model:
    """Fit an estimator on `features` and `label`.

    Raises:
        ConfigError: If it is the user's, and gives a model that cannot be saved.
    """
    recipe = recipes[point.estimator]
    if recipe.use is None:
        return recipe.build(task, point.params, seed, slots).fit(train)
    with naming(recipe.use):
        model = recipe.build(task, point.params, seed, slots).fit(train)
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
    """
    if special and parts.preparation:
        estimator = recipes[point.estimator].build(task, point.params, seed, slots)
        made = special.fit(estimator, parts.preparation, parts.train)
        value = special.value(made, parts.preparation, parts.train, parts.validation, metric)
    else:
        model = fit(point, task, parts.train, seed, slots, recipes)
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
    seed: int,
    slots: int,
    recipes: Mapping[str, Recipe] = ESTIMATORS,
) -> PipelineModel:
    """Fit preparation and estimator on the same rows: raw feature columns in, prediction out."""
    kind = recipes[point.estimator].kind
    preparation = fit_preparation(rows, columns, kind)
    prepared = preparation.transform(rows).select("features", "label").persist(StorageLevel.MEMORY_AND_DISK)
    try:
        return PipelineModel([*preparation.stages, fit(point, task, prepared, seed, slots, recipes)])
    finally:
        prepared.unpersist()


def fit_special(
    point: Point, task: str, rows: DataFrame, columns: Columns, seed: int, slots: int, special: Special
) -> tuple[PipelineModel, Mapping[str, Any]]:
    """As `fit_whole`, in the task's own way; and what is learned besides, for the model's card."""
    recipe = ESTIMATORS[point.estimator]
    preparation = special.prepare(rows, columns, recipe.kind)
    prepared = preparation.transform(rows).select(*special.keep).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        model = special.fit(recipe.build(task, point.params, seed, slots), preparation, prepared)
        return PipelineModel([*preparation.stages, *special.stages(model)]), special.learned(model, prepared)
    finally:
        prepared.unpersist()
