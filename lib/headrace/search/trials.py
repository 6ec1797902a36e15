"""The trials of one search: hyperopt over the estimators, each finished trial kept and reported."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
from hyperopt import fmin, rand, tpe

from headrace.config.durations import SECOND, microseconds
from headrace.runtime.step import Run
from headrace.search import annealing, space
from headrace.search.begun import Key, key_of
from headrace.search.brackets import Brackets, brackets
from headrace.search.by_optuna import Optuna
from headrace.search.driver_trials import DriverTrials, Trial
from headrace.search.genetic import Genetic
from headrace.search.grid import Grid
from headrace.search.judging import Judge
from headrace.search.ledger import Ledger, Row
from headrace.search.prepared import Prepared
from headrace.search.problem import Problem
from headrace.search.racing import Race
from headrace.search.space import Point
from headrace.search.starting import starting_points
from headrace.search.task_trials import Tasks, few, possible
from headrace.search.trial import workers

STARTUP = 6
"""Random points before TPE begins to learn, beside the estimators' first points."""


def run_trials(run: Run, problem: Problem, earlier: list[Row], ledger: Ledger, again: bool = False) -> list[Row]:
    """Run what is left of the search; returns the new rows.

    Args:
        run: The run.
        problem: What the search is about.
        earlier: Rows of an interrupted run.
        ledger: That writes.
        again: Whether there was one.
    """
    conf = run.pipeline.search
    left = conf.max_evals - len(earlier)
    if left <= 0:
        return []
    began, limit = time.monotonic(), _seconds(conf.timeout)
    known = ledger.interrupted(problem.metric) if again and problem.cut else {}
    points = [*_under_way(problem, known), *starting_points(run, problem, ledger.attempt)]
    first = list({key_of(point): point for point in points}.values())
    wanted = [(fold.number, problem.plan(point, fold.known)) for fold in problem.folds for point in first]
    at_once = _at_once(run, problem)
    if conf.distribute == "tasks" and not any(possible(problem, name) for name in problem.estimators):
        run.say("search.distribute: tasks is for learners of one core, and none of these is one: trials run as jobs")
    prepared = Prepared(problem.folds, wanted, most=min(conf.parallelism, at_once) + 1)
    rungs = brackets(problem, earlier, run.say)
    book = _Book(run, problem, earlier, ledger, began + limit if limit else None, rungs)
    slots = workers(run.parallelism, conf.parallelism)
    tasks = Tasks(problem, run.spark.sparkContext)
    note = ledger.fold if problem.cut else None
    judge = Judge(problem, prepared, conf.seed, slots, _race(problem, book), rungs, tasks, known, note)
    trials = DriverTrials(
        run.spark.sparkContext,
        f"headrace-{run.run_id}",
        at_once,
        _seconds(conf.trial_timeout),
        began + limit if limit else None,
        book.enter,
        ready=lambda sample: judge.ready(Point.of(sample, problem.recipes)),
        hopeful=any(row.status == "ok" for row in earlier),
        enough=book.enough,
    )
    book.open(trials, first)

    def objective(sample: Mapping[str, Any]) -> dict[str, Any]:
        return judge.result(Point.of(sample, problem.recipes), book.numbered(trials.number))

    prepared.start()
    try:
        fmin(
            objective,
            space.space(problem.estimators, problem.recipes),
            algo=_algorithm(run, problem, len(first)),
            max_evals=conf.max_evals,
            timeout=limit,
            trials=trials,
            rstate=np.random.default_rng([conf.seed, len(earlier)]),
            verbose=False,
            show_progressbar=False,
            return_argmin=False,
        )
    finally:
        prepared.release()
    return book.rows


def _under_way(problem: Problem, known: Mapping[Key, Any]) -> list[Point]:
    """Points of trials that an interrupted run did not finish: they come first, with the folds that they have."""
    found = [Point(estimator, json.loads(params)) for estimator, params in known]
    return [one for one in found if one.estimator in problem.estimators]


def _at_once(run: Run, problem: Problem) -> int:
    """Trials at once: as configured, else, where each takes one core, as many as there are cores."""
    conf = problem.search
    alone = conf.distribute != "jobs" and all(possible(problem, name) for name in problem.estimators) and few(problem)
    return (
        max(conf.parallelism, run.parallelism)
        if alone and "parallelism" not in conf.model_fields_set
        else conf.parallelism
    )


def _race(problem: Problem, book: _Book) -> Race | None:
    cut = problem.cut
    if cut is None or problem.search.pruning.kind != "racing":
        return None
    shared = 1 / (cut.count - 1) if cut.by != "time" else 1.0  # by time at least a stretch trains: rather too much
    return Race(cut.count, shared, problem.larger_is_better, book.best)


class _Book:
    """Numbers trials, keeps and reports their rows."""

    def __init__(
        self,
        run: Run,
        problem: Problem,
        earlier: list[Row],
        ledger: Ledger,
        deadline: float | None,
        rungs: Brackets | None,
    ) -> None:
        self._run, self._problem, self._earlier, self._ledger = run, problem, earlier, ledger
        self._deadline, self._brackets, self._starting = deadline, rungs, 0
        self._lock = threading.Lock()
        self._offset = max((row.trial for row in earlier), default=-1) + 1 - len(earlier)
        self.rows: list[Row] = []

    def numbered(self, tid: int) -> int:
        """The number of a trial in the table, of hyperopt's."""
        return tid + self._offset

    def open(self, trials: DriverTrials, first: Sequence[Point]) -> None:
        """Put earlier trials into hyperopt's history, then the points to start with that are not among them."""
        names, conf = self._problem.estimators, self._run.pipeline.search
        recipes = self._problem.recipes
        docs: list[dict[str, Any]] = []
        for row in self._earlier:
            result = {"status": "fail"} if row.loss is None else {"status": "ok", "loss": row.loss}
            docs.append(space.document(len(docs), row.point, names, result, recipes))
        tried = [(row.point.estimator, dict(row.point.params)) for row in self._earlier]
        self._starting = len(first)
        for point in first:
            if (point.estimator, dict(point.params)) not in tried and len(docs) < conf.max_evals:
                docs.append(space.document(len(docs), point, names, recipes=recipes))
        trials.insert_trial_docs(docs)
        trials.refresh()
        if self._earlier:
            self._run.say(f"{len(self._earlier)} finished trials of an earlier run are kept")

    def best(self) -> tuple[int, Sequence[float]] | None:
        """Number and values per fold of the best trial that has finished."""
        with self._lock:
            finished = [row for row in (*self._earlier, *self.rows) if row.status == "ok" and row.fold_values]
        found = min(finished, key=lambda row: (row.loss, row.trial), default=None)
        return None if found is None else (found.trial, found.fold_values or ())

    def enter(self, trial: Trial) -> None:
        """A trial is over."""
        point, number = Point.of(trial.sample, self._problem.recipes), self.numbered(trial.tid)
        result = trial.result if trial.status in ("ok", "pruned") else {}
        row = Row(
            run_id=self._run.run_id,
            fingerprint=self._ledger.attempt,
            trial=number,
            estimator=point.estimator,
            params=json.dumps(dict(point.params), sort_keys=True),
            status=trial.status,
            metric=self._problem.metric,
            value=result.get("value"),
            loss=result.get("loss"),
            seconds=round(trial.seconds, 3),
            error=trial.error,
            started_at=trial.started_at,
            finished_at=datetime.now(UTC),
            fold_values=result.get("fold_values") if self._problem.cut else None,
            rungs=result.get("rungs"),
            bracket=self._brackets.bracket(number) if self._brackets and self._brackets.several else None,
        )
        with self._lock:
            self.rows.append(row)
        self._ledger.put(row)
        told = f"{row.metric} {row.value:.4f}" if row.value is not None else f"{row.status}: {row.error}"
        self._run.say(f"trial {row.trial} {row.estimator}: {told} ({row.seconds:.0f} s); {self._progress()}")

    def _progress(self) -> str:
        """Trials done, the best so far, the time left."""
        every = [*self._earlier, *self.rows]
        said = [f"{len(every)} of at most {self._problem.search.max_evals} done"]
        good = [row for row in every if row.status == "ok"]
        if good:
            best = min(good, key=lambda row: (row.loss, row.trial))
            said.append(f"best {best.value:.4f} (trial {best.trial})")
        if self._deadline is not None:
            said.append(f"{max(0.0, self._deadline - time.monotonic()):.0f} s left")
        return ", ".join(said)

    def enough(self) -> bool:
        """Whether `search.patience` is at its end; not before all points to start with are tried."""
        patience = self._problem.search.patience
        if patience is None:
            return False
        with self._lock:
            losses = [row.loss if row.status == "ok" else None for row in (*self._earlier, *self.rows)]
        best = min((loss for loss in losses if loss is not None), default=None)
        since = len(losses) - 1 - losses.index(best) if best is not None else 0
        return since >= patience and len(losses) >= self._starting


def _algorithm(run: Run, problem: Problem, starting: int) -> Any:
    name, most = problem.search.algorithm, problem.search.max_evals
    if name == "tpe":
        return partial(tpe.suggest, n_startup_jobs=starting + STARTUP, verbose=False)
    if name == "grid":
        grid = Grid(problem.estimators, problem.recipes)
        if grid.size > most:
            run.say(f"the grid has {grid.size:,} points; search.max_evals lets {most:,} of them be tried")
        return grid.suggest
    if name == "genetic":
        return Genetic(problem.estimators, problem.recipes).suggest
    if name == "optuna":
        return Optuna(problem.estimators, problem.recipes, starting).suggest
    return {"random": rand.suggest, "anneal": annealing.suggest}[name]


def _seconds(duration: str | None) -> float | None:
    return microseconds(duration) / SECOND if duration else None
