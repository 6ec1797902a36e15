"""The trials of one search: hyperopt over the estimators, each finished trial kept and reported."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
from hyperopt import fmin, rand, tpe

from headrace.config.durations import SECOND, microseconds
from headrace.runtime.step import Run
from headrace.search import annealing, space
from headrace.search.driver_trials import DriverTrials, Trial
from headrace.search.ledger import Ledger, Row
from headrace.search.prepared import Prepared
from headrace.search.problem import Problem
from headrace.search.space import Point
from headrace.search.trial import run_trial, workers

STARTUP = 6
"""Random points before TPE begins to learn, beside the estimators' first points."""


def run_trials(run: Run, problem: Problem, earlier: list[Row], ledger: Ledger) -> list[Row]:
    """Run what is left of the search; returns the new rows."""
    conf = run.pipeline.search
    left = conf.max_evals - len(earlier)
    if left <= 0:
        return []
    began, limit = time.monotonic(), _seconds(conf.timeout)
    prepared = Prepared(
        problem.parts,
        problem.columns,
        [problem.plan(point) for point in space.first_points(problem.estimators, conf.max_evals, problem.recipes)],
        problem.goal,
        problem.special,
        most=conf.parallelism + 1,
    )
    slots = workers(run.parallelism, conf.parallelism)
    book = _Book(run, problem, earlier, ledger)
    trials = DriverTrials(
        run.spark.sparkContext,
        f"headrace-{run.run_id}",
        conf.parallelism,
        _seconds(conf.trial_timeout),
        began + limit if limit else None,
        book.enter,
        ready=lambda sample: prepared.ready(problem.plan(Point.of(sample, problem.recipes))),
        hopeful=any(row.status == "ok" for row in earlier),
    )
    book.open(trials)

    def objective(sample: Mapping[str, Any]) -> dict[str, Any]:
        point = Point.of(sample, problem.recipes)
        of = (problem.recipes, problem.own, problem.special, problem.balance)
        with prepared.using(problem.plan(point)) as parts:
            return run_trial(point, problem.target.task, problem.metric, parts, conf.seed, slots, *of)

    prepared.start()
    try:
        fmin(
            objective,
            space.space(problem.estimators, problem.recipes),
            algo=_algorithm(conf.algorithm, len(problem.estimators)),
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


class _Book:
    """Numbers trials, keeps and reports their rows."""

    def __init__(self, run: Run, problem: Problem, earlier: list[Row], ledger: Ledger) -> None:
        self._run, self._problem, self._earlier, self._ledger = run, problem, earlier, ledger
        self._lock = threading.Lock()
        self._offset = max((row.trial for row in earlier), default=-1) + 1 - len(earlier)
        self.rows: list[Row] = []

    def open(self, trials: DriverTrials) -> None:
        """Put earlier trials into hyperopt's history, then the first points that are not among them."""
        names, conf = self._problem.estimators, self._run.pipeline.search
        recipes = self._problem.recipes
        docs: list[dict[str, Any]] = []
        for row in self._earlier:
            result = {"status": "ok", "loss": row.loss} if row.status == "ok" else {"status": "fail"}
            docs.append(space.document(len(docs), row.point, names, result, recipes))
        tried = [(row.point.estimator, dict(row.point.params)) for row in self._earlier]
        for point in space.first_points(names, conf.max_evals, recipes):
            if (point.estimator, dict(point.params)) not in tried and len(docs) < conf.max_evals:
                docs.append(space.document(len(docs), point, names, recipes=recipes))
        trials.insert_trial_docs(docs)
        trials.refresh()
        if self._earlier:
            self._run.say(f"{len(self._earlier)} finished trials of an earlier run are kept")

    def enter(self, trial: Trial) -> None:
        """A trial is over."""
        point, ok = Point.of(trial.sample, self._problem.recipes), trial.status == "ok"
        row = Row(
            run_id=self._run.run_id,
            fingerprint=self._ledger.attempt,
            trial=trial.tid + self._offset,
            estimator=point.estimator,
            params=json.dumps(dict(point.params), sort_keys=True),
            status=trial.status,
            metric=self._problem.metric,
            value=float(trial.result["value"]) if ok else None,
            loss=float(trial.result["loss"]) if ok else None,
            seconds=round(trial.seconds, 3),
            error=None if ok else trial.error,
            started_at=trial.started_at,
            finished_at=datetime.now(UTC),
        )
        with self._lock:
            self.rows.append(row)
        self._ledger.put(row)
        told = f"{row.metric} {row.value:.4f}" if row.value is not None else f"{row.status}: {row.error}"
        self._run.say(f"trial {row.trial} {row.estimator}: {told} ({row.seconds:.0f} s)")


def _algorithm(name: str, first: int) -> Any:
    if name == "tpe":
        return partial(tpe.suggest, n_startup_jobs=first + STARTUP, verbose=False)
    return {"random": rand.suggest, "anneal": annealing.suggest}[name]


def _seconds(duration: str | None) -> float | None:
    return microseconds(duration) / SECOND if duration else None
