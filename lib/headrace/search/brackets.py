"""Hyperband: some trials begin with little, some with more, some with all, each held against those that began alike.

Li et al. (Hyperband: a novel bandit-based approach to hyperparameter optimization, JMLR 18, 2018): nobody knows how much a
trial must have before its rank says something, so all answers share the trials. In the asynchronous way of Li et al. (A
system for massively parallel hyperparameter tuning, MLSys 2020) brackets take turns rather than come one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from headrace.search.halving import KEPT, Halving, Rung, over_folds, over_iterations, over_rows

if TYPE_CHECKING:
    from headrace.search.ledger import Row
    from headrace.search.problem import Problem

Past = tuple[int, str, Sequence[float], float | None]
"""A trial of an earlier run: number, estimator, losses at the rungs, and in the end (None: it was stopped)."""


def turns(most: int) -> tuple[int, ...]:
    """Brackets in the order in which trials take them, over and over: a bracket is how many rungs its trials go through.

    Of a bracket with s rungs there are ceil((most + 1) / (s + 1) * 3^s) trials, as published: so each costs about the
    same. They are spread evenly: the next is the one that is furthest behind its share.

    >>> turns(1)
    (1, 0, 1, 0, 1)
    >>> [turns(2).count(bracket) for bracket in (2, 1, 0)]
    [9, 5, 3]
    """
    weights = {s: -(-(most + 1) * KEPT**s // (s + 1)) for s in range(most, -1, -1)}
    every, behind, found = sum(weights.values()), dict.fromkeys(weights, 0), []
    for _ in range(every):
        behind = {s: lag + weights[s] for s, lag in behind.items()}
        chosen = max(behind, key=lambda s: behind[s])  # of equals the one with most rungs
        behind[chosen] -= every
        found.append(chosen)
    return tuple(found)


class Brackets:
    """Which rungs a trial goes through, and who was there before.

    Trials of one bracket are held against each other, those over rows and those over iterations apart: a third of the
    trees says another thing than a third of the rows.

    Args:
        rungs: Of each estimator, all of them.
        hyperband: Whether there are several brackets; else all trials go through all rungs.
        earlier: Trials of an earlier run, in their order.
    """

    def __init__(self, rungs: Mapping[str, Sequence[Rung]], hyperband: bool, earlier: Iterable[Past] = ()) -> None:
        self._rungs = {name: tuple(those) for name, those in rungs.items()}
        self._most = max(map(len, self._rungs.values()), default=0)
        self._turns = turns(self._most) if hyperband else (self._most,)
        self._made = {
            (those, bracket): Halving(those[max(0, len(those) - bracket) :])
            for those in self._rungs.values()
            for bracket in set(self._turns)
        }
        for number, estimator, losses, end in earlier:
            self.of(number, estimator).remember(losses, end)

    @property
    def several(self) -> bool:
        """Whether trials begin with more or less."""
        return len(self._turns) > 1

    @property
    def stops(self) -> bool:
        """Whether there is any rung."""
        return self._most > 0

    def bracket(self, number: int) -> int:
        """How many rungs a trial has: by its number alone, so that it is the same whenever one asks."""
        return self._turns[number % len(self._turns)]

    def of(self, number: int, estimator: str) -> Halving:
        """The rungs of a trial."""
        return self._made[self._rungs[estimator], self.bracket(number)]


def brackets(problem: Problem, earlier: Sequence[Row], say: Callable[[str], None]) -> Brackets | None:
    """As `search.pruning` has them; None: nothing is said of any, or the task has none.

    An estimator without iterations has rungs of rows where others have those of iterations.

    Args:
        problem: What the search is about.
        earlier: Trials of an interrupted run.
        say: Told where there are no rungs.
    """
    pruning, cut = problem.search.pruning, problem.cut
    if pruning.over is None or problem.special or (pruning.over == "folds" and cut is None):
        return None
    rows = over_rows(problem.folds[0].known.target.rows)
    rungs = dict.fromkeys(problem.estimators, rows)
    if cut and pruning.over == "folds":
        rungs = dict.fromkeys(problem.estimators, over_folds(cut.count))
    elif pruning.over == "iterations":
        able = [name for name in problem.estimators if problem.recipes[name].iterations]
        rungs |= dict.fromkeys(able, over_iterations())
    past = [(one.trial, one.estimator, one.rungs, one.loss if one.status == "ok" else None) for one in earlier]
    made = Brackets(rungs, pruning.kind == "hyperband", [(n, name, r, end) for n, name, r, end in past if r])
    if not made.stops:
        say(
            f"search.pruning: {pruning.kind} stops no trial here: a share of the {pruning.over} is too few to learn from"
        )
    return made
