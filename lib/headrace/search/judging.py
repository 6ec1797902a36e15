"""A trial over all folds: a fit in each, and the mean of what they are worth. Of a hold-out it is the one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from headrace.search.begun import Folded, Key, key_of
from headrace.search.brackets import Brackets
from headrace.search.fold import Fold
from headrace.search.halving import Halving
from headrace.search.prepared import Prepared
from headrace.search.problem import Problem
from headrace.search.racing import Race
from headrace.search.space import Point, lessened
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
        brackets: Say which go on to more rows, iterations or folds; None: all have all of them at once.
        tasks: Tries those that one Spark task can try; None: all are jobs.
        known: Folds that an interrupted run has finished: point -> number -> value.
        note: Told of each fold that is finished.
    """

    problem: Problem
    prepared: Prepared
    seed: int
    slots: int
    race: Race | None = None
    brackets: Brackets | None = None
    tasks: Tasks | None = None
    known: Mapping[Key, Mapping[int, float]] = field(default_factory=dict)
    note: Callable[[Folded], None] | None = None

    def ready(self, point: Point) -> bool:
        """Whether a point can be tried at once: its rows are prepared, of the first fold."""
        first = self.problem.folds[0]
        return self.prepared.ready(first.number, self.problem.plan(point, first.known))

    def result(self, point: Point, number: int = 0) -> dict[str, Any]:
        """Try a point; the result is in hyperopt's form.

        Args:
            point: What is tried.
            number: Of the trial.

        Returns:
            With `fold_values`, losses at the `rungs`, and why it was stopped (`pruned`).
        """
        halving = self.brackets.of(number, point.estimator) if self.brackets else Halving(())
        losses: list[float] = []
        try:
            found = self._climbed(point, halving, losses) or self._judged(point, halving, losses)
        except BaseException:  # raised again, also a cancelled job's
            halving.withdraw(losses)
            raise
        if losses and not found.get("pruned"):
            halving.ended(losses, found["loss"])
        return found | {"rungs": losses or None}

    def _judged(self, point: Point, halving: Halving, losses: list[float]) -> dict[str, Any]:
        """What a point is worth in the folds, until it has lost the race, or is behind at a rung of folds."""
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
            if [len(values)] == [rung.folds for rung in halving.rungs[len(losses) :][:1]]:
                stopped = _stopped(halving, losses, self._loss(fmean(values)))
                if stopped:
                    return stopped | {"fold_values": values}
        mean = fmean(values)
        return {"status": "ok", "loss": self._loss(mean), "value": mean, "fold_values": values}

    def _loss(self, value: float) -> float:
        return -value if self.problem.larger_is_better else value

    def _climbed(self, point: Point, halving: Halving, losses: list[float]) -> dict[str, Any] | None:
        """Try a point with ever more rows, or iterations, in the first fold; the result, if it goes no further."""
        recipe, first = self.problem.recipes[point.estimator], self.problem.folds[0]
        for rung in halving.rungs:
            if rung.over == "folds":
                return None
            rows = rung.over == "rows"
            some = point if rows else lessened(point, recipe, rung.share)
            loss = self._tried(some, first, rung.share if rows else None)["loss"]
            stopped = _stopped(halving, losses, loss)
            if stopped:
                return stopped
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


def _stopped(halving: Halving, losses: list[float], loss: float) -> dict[str, Any] | None:
    """Note a trial's loss at its next rung; the result, if it goes no further."""
    rung = len(losses)
    why = halving.lost(rung, loss)
    losses.append(loss)
    if why is None:
        return None
    return {"status": "ok", "loss": halving.expected(rung, loss), "pruned": why}  # hyperopt compares it with whole ones
