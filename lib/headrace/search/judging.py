"""A trial over all folds: a fit in each, and the mean of what they are worth. Of a hold-out it is the one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from headrace.search.begun import Folded, Key, key_of
from headrace.search.fold import Fold
from headrace.search.halving import Halving
from headrace.search.prepared import Prepared
from headrace.search.problem import Problem
from headrace.search.racing import Race
from headrace.search.space import Point
from headrace.search.task_trials import Tasks
from headrace.search.trial import run_trial


@dataclass(frozen=True)
class Judge:
    """Tries points.

    Attributes:
        problem: With the folds.
        prepared: Their rows.
        seed: Of estimators.
        slots: Task slots that a trial may hold at once.
        race: Says which trials cannot win; None: all go to their end.
        halving: Says which go on to more rows; None: all learn from all rows at once.
        tasks: Tries those that one Spark task can try; None: all are jobs.
        known: Folds that an interrupted run has finished: point -> number -> value.
        note: Told of each fold that is finished.
    """

    problem: Problem
    prepared: Prepared
    seed: int
    slots: int
    race: Race | None = None
    halving: Halving | None = None
    tasks: Tasks | None = None
    known: Mapping[Key, Mapping[int, float]] = field(default_factory=dict)
    note: Callable[[Folded], None] | None = None

    def ready(self, point: Point) -> bool:
        """Whether a point can be tried at once: its rows are prepared, of the first fold."""
        first = self.problem.folds[0]
        return self.prepared.ready(first.number, self.problem.plan(point, first.known))

    def result(self, point: Point) -> dict[str, Any]:
        """Try a point; the result is in hyperopt's form, with `fold_values`, and why it was stopped (`pruned`)."""
        rungs: list[float] = []
        try:
            found = self._pruned_early(point, rungs) or self._judged(point, rungs)
        except BaseException:  # raised again, also a cancelled job's
            if self.halving:
                self.halving.withdraw(rungs)
            raise
        if self.halving and rungs and not found.get("pruned"):
            self.halving.ended(rungs, found["loss"])
        return found

    def _judged(self, point: Point, rungs: list[float]) -> dict[str, Any]:
        """What a point is worth in the folds, until it has lost the race."""
        problem, values = self.problem, list[float]()
        there = self.known.get(key_of(point), {})
        for fold in problem.folds:
            value = there[fold.number] if fold.number in there else self._tried(point, fold)["value"]
            values.append(value)
            if self.note:
                self.note(Folded(point, problem.metric, fold.number, value))
            lost = self.race.lost(values) if self.race else None
            if lost:
                return {"status": "ok", "loss": lost.loss, "fold_values": values, "pruned": lost.why}
        mean = fmean(values)
        loss = -mean if problem.larger_is_better else mean
        return {"status": "ok", "loss": loss, "value": mean, "fold_values": values, "rungs": rungs or None}

    def _pruned_early(self, point: Point, rungs: list[float]) -> dict[str, Any] | None:
        """Try a point with ever more rows of the first fold, noting its losses; the result, if it goes no further."""
        for rung, share in enumerate(self.halving.shares if self.halving else ()):
            assert self.halving is not None
            loss = self._tried(point, self.problem.folds[0], share)["loss"]
            lost = self.halving.lost(rung, loss)
            rungs.append(loss)
            if lost:
                told = self.halving.expected(rung, loss)  # hyperopt compares it with those of all rows
                return {"status": "ok", "loss": told, "rungs": rungs, "pruned": lost}
        return None

    def _tried(self, point: Point, fold: Fold, share: float | None = None) -> dict[str, Any]:
        """Fit a point on a share of the rows that train (None: on all), and measure it on those that validate."""
        problem, known = self.problem, fold.known
        of = (problem.recipes, known.own, known.special, problem.balance)
        with self.prepared.using(fold.number, problem.plan(point, known)) as parts:
            if self.tasks and self.tasks.suits(point, parts):
                return self.tasks.tried(point, parts, share, self.seed)
            some = parts if share is None else replace(parts, train=parts.train.sample(share, seed=self.seed))
            return run_trial(point, known.target.task, problem.metric, some, self.seed, self.slots, *of)
