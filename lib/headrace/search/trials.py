"""The trials of one search: hyperopt over the estimators, each finished trial kept and reported."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from hyperopt import fmin, rand, tpe

from headrace.config.durations import SECOND, microseconds
from headrace.runtime.step import Run
from headrace.search import annealing, space
from headrace.search.begun import Key, key_of
from headrace.search.book import Book
from headrace.search.brackets import brackets
from headrace.search.by_optuna import Optuna
from headrace.search.driver_trials import DriverTrials
from headrace.search.ending import Ending
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
    left = conf.most_evals - len(earlier)
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
    slots = workers(run.parallelism, conf.parallelism)
    prepared = Prepared(problem.folds, wanted, most=min(conf.parallelism, at_once) + 1, slots=slots)
    rungs = brackets(problem, earlier, run.say)
    ending = Ending(conf, problem.estimators, problem.recipes, len(first))
    book = Book(run, problem, earlier, ledger, began + limit if limit else None, rungs, ending)
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
        ready=lambda sample: ready(Point.of(sample, problem.recipes)),
        hopeful=any(row.status == "ok" for row in earlier),
        enough=book.enough,
    )
    book.open(trials, first)

    def ready(point: Point) -> bool:
        return book.known(point) is not None or judge.ready(point)

    def objective(sample: Mapping[str, Any]) -> dict[str, Any]:
        point = Point.of(sample, problem.recipes)
        return book.known(point) or judge.result(point, book.numbered(trials.number))

    prepared.start()
    try:
        fmin(
            objective,
            space.space(problem.estimators, problem.recipes),
            algo=_algorithm(run, problem, len(first)),
            max_evals=conf.most_evals,
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


def _race(problem: Problem, book: Book) -> Race | None:
    cut = problem.cut
    if cut is None or problem.search.pruning.kind != "racing":
        return None
    shared = 1 / (cut.count - 1) if cut.by != "time" else 1.0  # by time at least a stretch trains: rather too much
    return Race(cut.count, shared, problem.larger_is_better, book.best)


def _algorithm(run: Run, problem: Problem, starting: int) -> Any:
    name, most = problem.search.algorithm, problem.search.most_evals
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
