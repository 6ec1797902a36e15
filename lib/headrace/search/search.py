"""From a training set to the winner: what is learned, the trials, the refit."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from headrace.config import modules
from headrace.errors import HeadraceError
from headrace.models.card import ModelCard
from headrace.models.segmented import SEGMENTS
from headrace.models.store import ModelStore
from headrace.runtime.checkpoints import checkpoints
from headrace.runtime.settings import held
from headrace.runtime.step import Done, Output, Run
from headrace.search.attempt import attempt
from headrace.search.baseline import Guess, first
from headrace.search.deciding import Decided, decided
from headrace.search.driver_trials import reason
from headrace.search.ensemble import ENSEMBLE, fit_together, points
from headrace.search.improved import with_ensemble, with_segments
from headrace.search.ledger import Ledger, Row, begun_before, frame, read_back
from headrace.search.nested import Nested, nested
from headrace.search.own import fit_stages, through
from headrace.search.problem import Problem, look
from headrace.search.recipe import Recipe
from headrace.search.segment_fits import Fitted, fit_segmented
from headrace.search.space import Point
from headrace.search.topics import told
from headrace.search.trial import fit_special, fit_whole
from headrace.search.trials import run_trials
from headrace.search.vectors.finite import quickly_checked

WIDE = 5000
"""Columns up to which Spark compiles a step as a whole; by itself it does so up to a hundred, which is soon too few."""


def search(run: Run) -> Done:
    """Run the stage: trials, the winner's refit, its log in MLflow.

    Raises:
        DataError: If there is nothing to learn from.
        HeadraceError: If every trial failed, or none finished in time.
    """
    with learning(run.spark):
        return _searched(run, look(run))


def _searched(run: Run, problem: Problem) -> Done:
    store = ModelStore(run.tracking_uri)
    name = attempt(run)
    again, earlier = begun_before(run, name), read_back(run, name)
    task = problem.target.task
    with rounds(run.spark, task), Ledger(run, name, store, {"pipeline": run.pipeline.pipeline, "task": task}) as ledger:
        guess = first(run, problem, ledger)
        rows = earlier + run_trials(run, problem, earlier, ledger, again)
        worth = _worth(run, problem, name) if problem.search.nested and problem.cut else None
        return _winner(run, problem, rows, guess, store, ledger, worth)


def _worth(run: Run, problem: Problem, name: str) -> Nested | str:
    """What the search is worth, by searches within it; or why nobody knows."""
    slots = max(1, run.parallelism)

    def refit(inner: Problem, point: Point) -> PipelineModel:
        plain = replace(inner, search=inner.search.model_copy(update={"calibration": "none", "threshold": None}))
        return refitted(plain, point, problem.search.seed, slots).model

    try:
        return nested(run, problem, name, best_row, refit)
    except Exception as error:  # noqa: BLE001 (whatever it is, the best trial is there)
        return f"nested: what the search is worth could not be measured ({reason(error)})"


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
        + "\nGive search.timeout and search.trial_timeout more time, or choose other search.estimators; "
        "--force search tries these once more."
    )


def _winner(
    run: Run,
    problem: Problem,
    rows: list[Row],
    guess: Guess,
    store: ModelStore,
    ledger: Ledger,
    worth: Nested | str | None = None,
) -> Done:
    best = best_row(rows)
    best, said = with_ensemble(run, problem, rows, best)
    best, segments, more = with_segments(run, problem, best)
    began, clock = datetime.now(UTC), time.monotonic()
    conf, task = run.pipeline.search, problem.target.task
    slots = max(1, run.parallelism)
    again = refitted(problem, best.point, conf.seed, slots)
    card = ModelCard(
        task=task,
        features=problem.features,
        label_type=problem.target.label_type,
        labels=problem.target.labels,
        key=tuple(problem.facts.get("key") or ()),
        estimator=best.estimator,
        params=dict(best.point.params),
        validation={best.metric: float(best.value or 0.0)},
        learned={**(again.learned or {}), **segments} or None,
        trained={"seed": conf.seed, "slots": slots, "parallelism": run.parallelism, "partitions": again.partitions},
    )
    parent = ledger.wait_for_parent()
    recipes = [problem.recipes[one.estimator] for one in points(best.point)]
    uri = store.log_model(parent, again.model, card, packages(recipes), _code(run, problem, recipes))
    store.client.log_metric(parent, f"validation_{best.metric}", float(best.value or 0.0))
    _log_decided(store, parent, again.learned or {})
    if isinstance(worth, str):
        said = (*said, worth)
    elif worth:
        store.client.log_metric(parent, f"nested_{best.metric}", fmean(worth.values))
        said = (*said, worth.told(best.metric, float(best.value or 0.0)))
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
    return Done(
        outputs=(
            Output("trials", frame(run, [row]), mode="append", serializable=True, facts=facts, merge_schema=True),
        ),
        rows_in=sum(problem.target.rows),
        notes=(*_notes(problem, best, rows, guess), *said, *more, *again.notes),
        metrics={"validation": {best.metric: _against(problem, best, guess)}},
    )


def _log_decided(store: ModelStore, run_id: str, learned: Mapping[str, Any]) -> None:
    """Calibration and threshold, where there are any."""
    if "calibration" in learned:
        store.client.set_tag(run_id, "calibration", learned["calibration"])
        store.client.log_metric(run_id, "threshold", learned["threshold"])
        store.client.log_metric(run_id, "held_out_rows", learned["held_out_rows"])


@dataclass(frozen=True)
class Refit:
    """A point fitted on the training and validation parts.

    Attributes:
        model: The user's stages first.
        learned: What is learned beside the model: by tasks without a label, of calibration and threshold; else None.
        partitions: In how many its rows came: what draws rows by chance draws others in others.
        notes: What people should know of calibration and threshold, or of topics.
    """

    model: PipelineModel
    learned: Mapping[str, Any] | None
    partitions: int
    notes: tuple[str, ...] = ()


def refitted(problem: Problem, point: Point, seed: int, slots: int) -> Refit:
    """Fit a point on the training and validation parts; runs Spark jobs.

    It needs `learning` and `rounds` around it, and around all that is done with the model.
    """
    both, task = problem.rows, problem.target.task
    own = PipelineModel(fit_stages(problem.stages, both))
    used = through(own, both).select(*problem.taken(both))
    if point.estimator == ENSEMBLE:
        after = decided(problem, point, seed, slots) or Decided((), None)
        model = PipelineModel([*own.stages, *fit_together(problem, point, used, seed, slots), *after.stages])
        return Refit(model, after.learned, used.rdd.getNumPartitions(), after.notes)
    if point.estimator == SEGMENTS:
        after = decided(problem, point, seed, slots) or Decided((), None)
        made = fit_segmented(problem, point, used, problem.known, seed, slots)
        model = PipelineModel([*own.stages, made.model, *after.stages])
        notes = (*after.notes, *Fitted.told(made.failed))
        return Refit(model, after.learned, used.rdd.getNumPartitions(), notes)
    known, plan = problem.columns, problem.plan(point)
    if problem.special:
        fitted, learned = fit_special(point, task, used, known, plan, seed, slots, problem.special)
        model = PipelineModel([*own.stages, *fitted.stages])
        return Refit(model, learned, used.rdd.getNumPartitions(), told(learned))
    balance = problem.balance
    fitted = fit_whole(point, task, used, known, plan, problem.known.goal, seed, slots, problem.recipes, balance)
    after = decided(problem, point, seed, slots) or Decided((), None)
    model = PipelineModel([*own.stages, *fitted.stages, *after.stages])
    return Refit(model, after.learned, used.rdd.getNumPartitions(), after.notes)


@contextmanager
def learning(spark: SparkSession) -> Iterator[None]:
    """Where many columns and vectors go quickly."""
    quickly_checked(spark)
    with held(spark, {"spark.sql.codegen.maxFields": WIDE}):
        yield


def rounds(spark: SparkSession, task: str) -> AbstractContextManager[None]:
    """Where the many rounds of a task are cut short by checkpoints, if it needs that."""
    return checkpoints(spark) if task == "recommendation" else nullcontext()


def _code(run: Run, problem: Problem, recipes: Sequence[Recipe]) -> dict[str, bytes]:
    """The user's modules that the model's own classes need: a model without them could not be read."""
    classes = [*(one.use for one in recipes if one.use), *(stage.use for stage in problem.stages)]
    folders = modules.folders_beside(run.pipeline.folders)
    return modules.archive_of(modules.with_imports([one.module for one in classes], folders))


def packages(recipes: Sequence[Recipe]) -> tuple[str, ...]:
    """Requirements of a reader of the model, with the versions here."""
    from importlib.metadata import version

    needed = ("pyspark", "mlflow", "numpy", "pandas", "pyarrow", *(name for one in recipes for name in one.packages))
    return tuple(f"{name}=={version(name)}" for name in dict.fromkeys(needed))


def _against(problem: Problem, best: Row, guess: Guess) -> dict[str, float | None]:
    """The winner's metric on the validation part, and by how much it beats the baseline; null where not defined."""
    value, larger = float(best.value or 0.0), problem.larger_is_better
    found = {"value": value, "baseline": guess.value, "better_by": guess.beaten_by(value, larger)}
    return {name: one if one == one else None for name, one in found.items()}


def _notes(problem: Problem, best: Row, rows: list[Row], guess: Guess) -> list[str]:
    larger = problem.larger_is_better
    judged = f"mean of {len(problem.folds)} folds, " if problem.cut else "validation "
    better = guess.beaten_by(float(best.value or 0.0), larger)
    beaten = f"better by {better:.4f}" if better > 0 else "no better than that: it has learned nothing of use"
    notes = [
        f"{best.estimator} wins of {len(rows)} trials: {judged}{best.metric} {best.value:.4f} "
        f"({'larger' if larger else 'smaller'} is better; {guess.value:.4f} without any feature ({guess.name}): {beaten})",
    ]
    bad = {status: sum(row.status == status for row in rows) for status in ("failed", "timed_out", "cancelled")}
    if any(bad.values()):
        notes.append("trials without a result: " + ", ".join(f"{n} {status}" for status, n in bad.items() if n))
    stopped = sum(row.status == "pruned" for row in rows)
    if stopped:
        notes.append(f"{stopped} trials were behind, and stopped before their end")
    if problem.columns.dropped:
        dropped = ", ".join(f"{name} ({why})" for name, why in list(problem.columns.dropped.items())[:10])
        notes.append(f"{len(problem.columns.dropped)} columns are no features: {dropped}")
    return notes
