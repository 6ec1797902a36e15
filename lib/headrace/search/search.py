"""From a training set to the winner: what is learned, the trials, the refit."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
from hyperopt import fmin, rand, tpe

from headrace.config.durations import SECOND, microseconds
from headrace.config.metrics import DEFAULT_METRIC, larger_is_better, unknown_metric
from headrace.errors import ConfigError, DataError, HeadraceError
from headrace.models.card import ModelCard
from headrace.models.store import ModelStore
from headrace.runtime.step import Done, Output, Run
from headrace.search import annealing, space
from headrace.search.columns import Columns, columns
from headrace.search.driver_trials import DriverTrials, Trial
from headrace.search.estimators import ESTIMATORS, chosen
from headrace.search.ledger import Ledger, Row, frame, read_back
from headrace.search.space import Point
from headrace.search.target import Target, target
from headrace.search.trial import Parts, Prepared, baseline, fit_whole, run_trial, workers

STARTUP = 6
"""Random points before TPE begins to learn, beside the estimators' first points."""


@dataclass(frozen=True)
class Problem:
    """What the search is about."""

    target: Target
    columns: Columns
    metric: str
    estimators: tuple[str, ...]
    parts: Parts
    facts: Mapping[str, Any]


def search(run: Run) -> Done:
    """Run the stage: trials, the winner's refit, its log in MLflow.

    Raises:
        DataError: If there is nothing to learn from.
        HeadraceError: If every trial failed, or none finished in time.
    """
    problem = look(run)
    store = ModelStore(run.tracking_uri)
    earlier = read_back(run)
    with Ledger(run, store, {"pipeline": run.pipeline.pipeline, "task": problem.target.task}) as ledger:
        rows = earlier + _trials(run, problem, earlier, ledger)
        best = best_row(rows)
        return _winner(run, problem, best, rows, store, ledger)


def look(run: Run) -> Problem:
    """Read the training set and find label, task, features and metric. Runs Spark jobs."""
    facts = run.facts("training_set").get("facts") or {}
    whole = run.read("training_set").where("label is not null")
    train, validation = whole.where("split = 'train'"), whole.where("split = 'validation'")
    configured = run.pipeline.training_set.task if run.pipeline.training_set else None
    found = target(train, facts, configured)
    metric = run.pipeline.search.metric or DEFAULT_METRIC[found.task]
    wrong = unknown_metric(metric, found.task)
    if wrong:
        raise ConfigError(f"search.metric: {wrong}")
    explicit = "estimators" in run.pipeline.search.model_fields_set
    names = chosen(run.pipeline.search.estimators, found.task, explicit)
    known = columns(train, facts["features"], run.pipeline.search.max_categories)
    if not known.used:
        raise DataError(
            "no feature can teach anything: "
            + "; ".join(f"{name} is {why}" for name, why in known.dropped.items())
            + "; add features, or look at the split"
        )
    used = ["label", *[f"`{name}`" for name in known.used]]
    parts = Parts(found.with_index(train.select(*used)), found.with_index(validation.select(*used)))
    _check_validation(parts, found)
    return Problem(found, known, metric, names, parts, facts)


def _check_validation(parts: Parts, found: Target) -> None:
    labels = [row[0] for row in parts.validation.select("label").distinct().limit(2).collect()]
    if not labels or (found.task == "binary" and len(labels) == 1):
        what = "no row with a label" if not labels else "rows of one class only"
        raise DataError(f"the validation part has {what}; move split.validation_until, or split by hash")


def _trials(run: Run, problem: Problem, earlier: list[Row], ledger: Ledger) -> list[Row]:
    """Run what is left of the search; returns the new rows."""
    conf = run.pipeline.search
    left = conf.max_evals - len(earlier)
    if left <= 0:
        return []
    began, limit = time.monotonic(), _seconds(conf.timeout)
    kinds = [ESTIMATORS[name].kind for name in problem.estimators]
    prepared = Prepared(problem.parts, problem.columns, kinds)
    slots = workers(run.parallelism, conf.parallelism)
    book = _Book(run, problem, earlier, ledger)
    trials = DriverTrials(
        run.spark.sparkContext,
        f"headrace-{run.run_id}",
        conf.parallelism,
        _seconds(conf.trial_timeout),
        began + limit if limit else None,
        book.enter,
        ready=lambda sample: prepared.ready(ESTIMATORS[sample[space.CHOICE]].kind),
    )
    book.open(trials)

    def objective(sample: Mapping[str, Any]) -> dict[str, Any]:
        point = Point.of(sample)
        parts = prepared.get(ESTIMATORS[point.estimator].kind)
        return run_trial(point, problem.target.task, problem.metric, parts, conf.seed, slots)

    prepared.start()
    try:
        fmin(
            objective,
            space.space(problem.estimators),
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
        docs: list[dict[str, Any]] = []
        for row in self._earlier:
            result = {"status": "ok", "loss": row.loss} if row.status == "ok" else {"status": "fail"}
            docs.append(space.document(len(docs), row.point, names, result))
        tried = [(row.point.estimator, dict(row.point.params)) for row in self._earlier]
        for point in space.first_points(names, conf.max_evals):
            if (point.estimator, dict(point.params)) not in tried and len(docs) < conf.max_evals:
                docs.append(space.document(len(docs), point, names))
        trials.insert_trial_docs(docs)
        trials.refresh()
        if self._earlier:
            self._run.say(f"{len(self._earlier)} finished trials of an earlier run are kept")

    def enter(self, trial: Trial) -> None:
        """A trial is over."""
        point, ok = Point.of(trial.sample), trial.status == "ok"
        row = Row(
            run_id=self._run.run_id,
            fingerprint=self._run.fingerprint,
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


def best_row(rows: list[Row]) -> Row:
    """The finished trial with the least loss; of equals the first.

    Raises:
        HeadraceError: If none finished, with the reasons.
    """
    finished = [row for row in rows if row.status == "ok" and row.loss is not None]
    if finished:
        return min(finished, key=lambda row: (row.loss, row.trial))
    reasons = sorted({f"{row.estimator} {row.status}: {row.error}" for row in rows})[:5]
    raise HeadraceError(
        f"none of {len(rows)} trials finished:\n  "
        + "\n  ".join(reasons)
        + "\nGive search.timeout and search.trial_timeout more time, or choose other search.estimators."
    )


def _winner(run: Run, problem: Problem, best: Row, rows: list[Row], store: ModelStore, ledger: Ledger) -> Done:
    began, clock = datetime.now(UTC), time.monotonic()
    conf, task = run.pipeline.search, problem.target.task
    both = problem.parts.train.unionByName(problem.parts.validation)
    model = fit_whole(best.point, task, both, problem.columns, conf.seed, max(1, run.parallelism))
    card = ModelCard(
        task=task,
        features=problem.columns.used,
        label_type=problem.target.label_type,
        labels=problem.target.labels,
        key=tuple(problem.facts.get("key") or ()),
        estimator=best.estimator,
        params=dict(best.point.params),
        validation={best.metric: float(best.value or 0.0)},
    )
    parent = ledger.wait_for_parent()
    uri = store.log_model(parent, model, card, packages(best.estimator))
    store.client.log_metric(parent, f"validation_{best.metric}", float(best.value or 0.0))
    store.client.set_terminated(parent)
    ended = datetime.now(UTC)
    row = Row(
        **{
            **best.__dict__,
            "run_id": run.run_id,
            "status": "winner",
            "model_uri": uri,
            "started_at": began,
            "finished_at": ended,
            "seconds": round(time.monotonic() - clock, 3),
        }
    )
    facts = {"model_uri": uri, "mlflow_run_id": parent, "trial": best.trial, "trials": len(rows)} | card.as_dict()
    guess = baseline(task, best.metric, problem.target.rows, problem.parts)
    return Done(
        outputs=(Output("trials", frame(run, [row]), mode="append", serializable=True, facts=facts),),
        rows_in=sum(problem.target.rows),
        notes=tuple(_notes(problem, best, rows, guess)),
    )


def packages(estimator: str) -> tuple[str, ...]:
    """Requirements of a reader of the model, with the versions here."""
    from importlib.metadata import version

    needed = ("pyspark", "mlflow", "numpy", "pandas", "pyarrow", *ESTIMATORS[estimator].packages)
    return tuple(f"{name}=={version(name)}" for name in needed)


def _notes(problem: Problem, best: Row, rows: list[Row], guess: float) -> list[str]:
    better = "larger" if larger_is_better(best.metric) else "smaller"
    notes = [
        f"{best.estimator} wins of {len(rows)} trials: validation {best.metric} {best.value:.4f} "
        f"({better} is better; {guess:.4f} without any feature)",
    ]
    bad = {status: sum(row.status == status for row in rows) for status in ("failed", "timed_out", "cancelled")}
    if any(bad.values()):
        notes.append("trials without a result: " + ", ".join(f"{n} {status}" for status, n in bad.items() if n))
    if problem.columns.dropped:
        dropped = ", ".join(f"{name} ({why})" for name, why in list(problem.columns.dropped.items())[:10])
        notes.append(f"{len(problem.columns.dropped)} columns are no features: {dropped}")
    return notes


def _algorithm(name: str, first: int) -> Any:
    if name == "tpe":
        return partial(tpe.suggest, n_startup_jobs=first + STARTUP, verbose=False)
    return {"random": rand.suggest, "anneal": annealing.suggest}[name]


def _seconds(duration: str | None) -> float | None:
    return microseconds(duration) / SECOND if duration else None
