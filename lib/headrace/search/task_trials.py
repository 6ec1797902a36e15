"""Trials of learners of one core: each is one Spark task, on rows that its executor has already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from headrace.config.metrics import larger_is_better
from headrace.errors import HeadraceError
from headrace.metrics.alone import value
from headrace.models.learner import Learner
from headrace.search.handed import Handle, Rows
from headrace.search.plan import BALANCE, of_estimator

if TYPE_CHECKING:
    from pyspark import SparkContext

    from headrace.search.prepared import Parts
    from headrace.search.problem import Problem
    from headrace.search.space import Point

T = TypeVar("T")
SMALL, MOST = 64 * 2**20, 2**30
"""Bytes of a fold's prepared rows up to which tasks are taken (see `benchmarks/search.py`), and up to which they can be."""
WEIGHED = ("none", "weights")
"""What a task can do for rare classes."""


def in_task(context: SparkContext, function: Callable[[], T]) -> T:
    """Call a function in one Spark task, wherever there is a core; what it returns comes back."""
    return context.parallelize([0], 1).map(lambda _: function()).collect()[0]


@dataclass(frozen=True)
class Trial:
    """What a task does: fit a learner, and measure it.

    Attributes:
        handle: The rows.
        learner: Not fitted.
        task: What is learned.
        metric: Spark ML's name.
        weighted: Whether rows of rare classes weigh more.
        share: Of the rows that train; None: all.
        seed: Of the choice of these.
    """

    handle: Handle
    learner: Any
    task: str
    metric: str
    weighted: bool = False
    share: float | None = None
    seed: int = 0

    def __call__(self) -> float:
        """The metric on the rows that validate."""
        from threadpoolctl import threadpool_limits

        train, validation = self.handle.rows()
        if self.share is not None:
            some = np.random.default_rng(self.seed).random(len(train.label)) < self.share
            train = Rows(train.features[some], train.label[some])
        if not len(train.label):
            raise HeadraceError("there are no rows to learn from")
        classes = self.task != "regression"
        factors = _factors(train.label) if self.weighted else None
        weight = None if factors is None else factors[train.label.astype(np.int64)]
        with threadpool_limits(limits=1):  # a task has one core
            said = Learner.fit(self.learner, train.features, train.label, classes, weight).said(validation.features)
        chosen = said.argmax(axis=1) if classes else None
        if factors is not None:  # as `search.balance` sets probabilities right
            honest = said / factors[: said.shape[1]]
            said = honest / honest.sum(axis=1, keepdims=True)
        return value(self.task, self.metric, validation.label, said, chosen)


def _factors(label: Any) -> Any:
    """The weight of each class, by its index; 1 of one without rows."""
    counts = np.bincount(label.astype(np.int64)).astype(np.float64)
    present = np.count_nonzero(counts)
    return np.where(counts > 0, counts.sum() / (present * np.maximum(counts, 1)), 1.0)


@dataclass(frozen=True)
class Tasks:
    """Which trials are tasks.

    Attributes:
        problem: What the search is about.
        context: Spark's.
    """

    problem: Problem
    context: SparkContext

    def suits(self, point: Point, parts: Parts) -> bool:
        """Whether a point's trial is a task: its learner has one core's interface, and the rows are few enough."""
        how = self.problem.search.distribute
        if how == "jobs" or not possible(self.problem, point.estimator) or parts.handed is None:
            return False
        weighed = str(point.params.get(BALANCE, self.problem.balance)) in WEIGHED
        return weighed and parts.handed.size <= (SMALL if how == "auto" else MOST)

    def tried(self, point: Point, parts: Parts, share: float | None, seed: int) -> dict[str, Any]:
        """Try a point in a task; the result is in hyperopt's form."""
        problem, recipe = self.problem, self.problem.recipes[point.estimator]
        assert recipe.alone is not None, "it suits"
        assert parts.handed is not None, "it suits"
        learner = recipe.alone(problem.target.task, of_estimator(point.params), seed)
        weighted = str(point.params.get(BALANCE, problem.balance)) == "weights"
        trial = Trial(parts.handed.handle(), learner, problem.target.task, problem.metric, weighted, share, seed)
        found = in_task(self.context, trial)
        if found != found:
            raise HeadraceError(f"{problem.metric} is not a number on the validation part")
        return {"status": "ok", "loss": -found if larger_is_better(problem.metric) else found, "value": found}


def few(problem: Problem) -> bool:
    """Whether all trials are tasks, as far as rows, their features and the balance tell before they are prepared."""
    rows, features = sum(problem.target.rows), len(problem.columns.used)
    most = SMALL if problem.search.distribute == "auto" else MOST
    return 8 * rows * features <= most and set(problem.search.balance) <= set(WEIGHED)


def possible(problem: Problem, estimator: str) -> bool:
    """Whether an estimator's trials can be tasks in this search."""
    learns = problem.recipes[estimator].alone is not None and problem.special is None and problem.known.own is None
    return learns and problem.target.task in ("binary", "multiclass", "regression")
