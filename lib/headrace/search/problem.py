"""What a search is about: label, task, features, metric, and the folds to learn from and to judge by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.config.learning import UNLABELLED, Search
from headrace.config.metrics import DEFAULT_METRIC, larger_is_better, unknown_metric
from headrace.engine.folds import Cut
from headrace.errors import ConfigError, DataError
from headrace.runtime.step import Run
from headrace.search.columns import Columns, Facts
from headrace.search.estimators import chosen
from headrace.search.fold import Fold, Known, Sight, taken, target_of
from headrace.search.own import Stage, recipes
from headrace.search.own import stages as own_stages
from headrace.search.plan import Plan, plan, with_choices
from headrace.search.recipe import Recipe
from headrace.search.space import Point
from headrace.search.special import Special
from headrace.search.target import Target
from headrace.search.wanted import BESIDE, check_segments, check_task


@dataclass(frozen=True)
class Problem:
    """What the search is about.

    Attributes:
        known: What the winner's refit goes by: of a hold-out what its training part says, of folds what all rows say.
        folds: In which each trial learns and is judged; the hold-out is one.
        rows: What the winner is refitted on: training and validation part, before any stage.
        metric: Spark ML's name.
        estimators: To try.
        facts: What the training set's commit carries.
        recipes: All estimators by name, the user's first.
        stages: The user's transformers, not fitted yet.
        search: The configuration.
        cut: How the folds were cut; None: a hold-out.
        sight: Looks at rows.
        both: Rows of the training and validation parts, as in the training set.
    """

    known: Known
    folds: tuple[Fold, ...]
    rows: DataFrame
    metric: str
    estimators: tuple[str, ...]
    facts: Mapping[str, Any]
    recipes: Mapping[str, Recipe]
    stages: tuple[Stage, ...]
    search: Search = field(default_factory=Search)
    cut: Cut | None = None
    sight: Sight | None = None
    both: DataFrame | None = None

    def plan(self, point: Point, known: Known | None = None) -> Plan:
        """How a point's features are prepared, of rows that say this; default: those of the refit."""
        seen = (known or self.known).columns
        return plan(self.recipes[point.estimator].kind, seen, self.search.preparation, point.params)

    @property
    def target(self) -> Target:
        """The label."""
        return self.known.target

    @property
    def columns(self) -> Columns:
        """What was learned of the features."""
        return self.known.columns

    @property
    def special(self) -> Special | None:
        """How the task is learned, where it has a way of its own."""
        return self.known.special

    @property
    def balance(self) -> str:
        """For rare classes, where a point does not say it."""
        return self.search.balance[0]

    @property
    def larger_is_better(self) -> bool:
        """Of the metric."""
        return self.known.own.larger_is_better if self.known.own else larger_is_better(self.metric)

    def taken(self, frame: DataFrame) -> list[str]:
        """Columns of rows that are to be prepared."""
        return taken(frame, self.columns.used or self.features)

    @property
    def features(self) -> dict[str, str]:
        """Raw feature columns that the model reads -> type: with stages of the user's all, for who knows what they need."""
        if not self.stages and self.target.task != "recommendation":
            return self.columns.used
        raw = self.known.raw
        return {one.name: one.dataType.simpleString() for one in raw.schema if one.name not in BESIDE}


def look(run: Run, judged: bool = True) -> Problem:
    """Read the training set and find label, task, features, metric and folds. Runs Spark jobs.

    Args:
        run: The run.
        judged: Whether trials will be judged; else there are no folds.
    """
    facts = run.facts("training_set").get("facts") or {}
    conf, training = run.pipeline.search, run.pipeline.training_set
    configured = training.kind if training else None
    whole = run.read("training_set")
    whole = whole if configured in UNLABELLED else whole.where("label is not null")
    train, validation = whole.where("split = 'train'"), whole.where("split = 'validation'")
    cut = Cut.of(facts.get("folds"))
    both = whole.where("split in ('train', 'validation')")
    found = target_of(both if cut else train, facts, configured)
    way = str(training.way(found.task) if training else found.task)
    metric = conf.metric or DEFAULT_METRIC[way]
    wrong = unknown_metric(metric, way, tuple(run.pipeline.metrics))
    if wrong:
        raise ConfigError(f"search.metric: {wrong}")
    check_task(conf, way)
    check_segments(
        conf, {one.name: one.dataType.simpleString() for one in whole.schema if one.name in facts["features"]}
    )
    every = with_choices(recipes(run.spark, run.pipeline), conf)
    stages = own_stages(run.spark, run.pipeline)
    names = chosen(conf.names, way, "estimators" in conf.model_fields_set, every)
    timed = cut.by == "time" if cut else bool(training and training.split.by == "time")
    sight = Sight(run, facts, training, metric, stages, timed, frozenset(every[name].kind for name in names))
    if cut is None:
        folds = [sight.fold(0, train, validation, found)] if judged else []
        known = folds[0].known if folds else sight.known(train, found)
        rows = known.raw.unionByName(sight.raw(validation, found))
    else:
        numbers = range(1, cut.count + 1) if judged else range(0)
        seen = sight.looked(both, {0: F.lit(True)} | {number: F.expr(cut.trains(number)) for number in numbers})
        folds = [_fold(sight, cut, number, both, found.task, seen.get(number)) for number in numbers]
        known = sight.known(both, found, seen.get(0))
        rows = known.raw
    return Problem(known, tuple(folds), rows, metric, names, facts, every, stages, conf, cut, sight, both)


def within(problem: Problem, number: int) -> tuple[Problem, DataFrame]:
    """The problem of the rows that train in a fold alone, and the rows that validate in it. Runs Spark jobs.

    Its folds are the others: by time those before. No row of the fold, and none that the fold must not know, is in it.

    Returns:
        The problem; and `label` with the raw features.
    """
    cut, sight, both = problem.cut, problem.sight, problem.both
    assert cut is not None, "it has folds"
    assert sight is not None, "it was looked at"
    assert both is not None, "it was looked at"
    rows = both.where(cut.trains(number))
    others = [one for one in range(1, cut.count + 1) if one != number and (cut.by != "time" or one < number)]
    parts = {0: F.lit(True)} | {one: F.expr(cut.trains(one)) for one in others}
    found, seen = target_of(rows, sight.facts, problem.target.task), sight.looked(rows, parts)
    folds = tuple(_fold(sight, cut, one, rows, found.task, seen.get(one)) for one in others)
    known = sight.known(rows, found, seen.get(0))
    cold = problem.search.model_copy(update={"warm_start": 0})  # the best of before have seen the fold
    inner = replace(problem, known=known, folds=folds, rows=known.raw, cut=replace(cut, count=len(folds)), search=cold)
    return inner, sight.raw(both.where(cut.validates(number)), found)


def _fold(sight: Sight, cut: Cut, number: int, rows: DataFrame, task: str, facts: Facts | None) -> Fold:
    """A fold: what it learns from is looked at alone, classes of the label included."""
    trains, validates = rows.where(cut.trains(number)), rows.where(cut.validates(number))
    try:
        return sight.fold(number, trains, validates, target_of(trains, sight.facts, task), facts)
    except DataError as error:
        raise DataError(
            f"fold {number} of {cut.count}: {error}. Mend training_set.split.folds: fewer of them, or by another way"
        ) from error
