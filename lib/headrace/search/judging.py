"""A trial over all folds: a fit in each, and the mean of what they are worth. Of a hold-out it is the one value."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from headrace.search.prepared import Prepared
from headrace.search.problem import Problem
from headrace.search.racing import Race
from headrace.search.space import Point
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
    """

    problem: Problem
    prepared: Prepared
    seed: int
    slots: int
    race: Race | None = None

    def ready(self, point: Point) -> bool:
        """Whether a point can be tried at once: its rows are prepared, of the first fold."""
        first = self.problem.folds[0]
        return self.prepared.ready(first.number, self.problem.plan(point, first.known))

    def result(self, point: Point) -> dict[str, Any]:
        """Try a point; the result is in hyperopt's form, with `fold_values`, and why it was stopped (`pruned`)."""
        problem, values = self.problem, list[float]()
        for fold in problem.folds:
            known = fold.known
            of = (problem.recipes, known.own, known.special, problem.balance)
            with self.prepared.using(fold.number, problem.plan(point, known)) as parts:
                tried = run_trial(point, known.target.task, problem.metric, parts, self.seed, self.slots, *of)
            values.append(tried["value"])
            lost = self.race.lost(values) if self.race else None
            if lost:
                return {"status": "ok", "loss": lost.loss, "fold_values": values, "pruned": lost.why}
        value = fmean(values)
        loss = -value if problem.larger_is_better else value
        return {"status": "ok", "loss": loss, "value": value, "fold_values": values}
