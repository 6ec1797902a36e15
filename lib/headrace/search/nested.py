"""What the search itself is worth: a search for each fold by those who know nothing of it, and its winner judged there.

The best of many trials is a little lucky on the folds that chose it. Nested, the fold that judges has chosen nothing
(Varma and Simon, Bias in error estimation when using cross-validation for model selection, 2006).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from pyspark.ml import PipelineModel

from headrace.models.store import ModelStore
from headrace.runtime.step import Run
from headrace.search.ledger import Ledger, Row, read_back
from headrace.search.own import through
from headrace.search.problem import Problem, within
from headrace.search.space import Point
from headrace.search.trial import measured
from headrace.search.trials import run_trials

INNER = "#"
"""In the name of an attempt: the fold of a search within it comes behind."""
Choose = Callable[[list[Row]], Row]
Refit = Callable[[Problem, Point], PipelineModel]


@dataclass(frozen=True)
class Nested:
    """What a search is worth.

    Attributes:
        values: Of the metric, fold by fold.
        chosen: The estimators that won.
    """

    values: tuple[float, ...]
    chosen: tuple[str, ...]

    def told(self, metric: str, own: float) -> str:
        """For people; `own`: what the search itself says of its winner."""
        each = ", ".join(f"{value:.4f}" for value in self.values)
        winners = ", ".join(self.chosen)
        return (
            f"nested: {metric} {fmean(self.values):.4f} on average ({each}; {winners}), each fold judged by a search that "
            f"has not seen it; the winner's own is {own:.4f}"
        )


def nested(run: Run, problem: Problem, attempt: str, best: Choose, refit: Refit) -> Nested:
    """A search within each fold's training rows, and its winner judged on the fold. Runs Spark jobs.

    Args:
        run: The run.
        problem: With folds.
        attempt: The search's; those within it have its name, `INNER` and the fold.
        best: Gives the best of a search's rows.
        refit: Fits a point on all rows of a problem; gives a model with `transform`.
    """
    values, chosen = [], []
    for number in _outer(problem):
        run.say(f"nested: a search that knows nothing of fold {number}")
        inner, judged = within(problem, number)
        name = f"{attempt}{INNER}{number}"
        earlier = read_back(run, name)
        tags = {"pipeline": run.pipeline.pipeline, "task": problem.target.task, "nested": str(number)}
        store = ModelStore(run.tracking_uri)
        with Ledger(run, name, store, tags) as ledger:
            winner = best(earlier + run_trials(run, inner, earlier, ledger, again=True))
            store.client.set_terminated(ledger.wait_for_parent())
        model = refit(inner, winner.point)
        stages, own = model.stages, len(inner.stages)
        output = PipelineModel(stages[own:]).transform(through(PipelineModel(stages[:own]), judged))
        values.append(measured(output, inner.target.task, problem.metric, inner.known.own))
        chosen.append(winner.estimator)
    return Nested(tuple(values), tuple(chosen))


def _outer(problem: Problem) -> range:
    """Folds that others come before, or stand beside: by time the first has none to choose by."""
    assert problem.cut is not None, "it is asked for with folds only"
    return range(2 if problem.cut.by == "time" else 1, problem.cut.count + 1)
