"""From a training set to the winner: what is learned, the trials, the refit."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from pyspark.ml import PipelineModel

from headrace.config import modules
from headrace.config.metrics import larger_is_better
from headrace.errors import HeadraceError
from headrace.models.card import ModelCard
from headrace.models.store import ModelStore
from headrace.runtime.step import Done, Output, Run
from headrace.search.attempt import attempt
from headrace.search.estimators import Recipe
from headrace.search.ledger import Ledger, Row, frame, read_back
from headrace.search.own import fit_stages
from headrace.search.problem import Problem, look
from headrace.search.space import Point
from headrace.search.trial import baseline, fit_whole
from headrace.search.trials import run_trials


def search(run: Run) -> Done:
    """Run the stage: trials, the winner's refit, its log in MLflow.

    Raises:
        DataError: If there is nothing to learn from.
        HeadraceError: If every trial failed, or none finished in time.
    """
    problem = look(run)
    store = ModelStore(run.tracking_uri)
    name = attempt(run)
    earlier = read_back(run, name)
    with Ledger(run, name, store, {"pipeline": run.pipeline.pipeline, "task": problem.target.task}) as ledger:
        rows = earlier + run_trials(run, problem, earlier, ledger)
        best = best_row(rows)
        return _winner(run, problem, best, rows, store, ledger)


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


def _winner(run: Run, problem: Problem, best: Row, rows: list[Row], store: ModelStore, ledger: Ledger) -> Done:
    began, clock = datetime.now(UTC), time.monotonic()
    conf, task = run.pipeline.search, problem.target.task
    slots = max(1, run.parallelism)
    model, partitions = refitted(problem, best.point, conf.seed, slots)
    card = ModelCard(
        task=task,
        features=problem.features,
        label_type=problem.target.label_type,
        labels=problem.target.labels,
        key=tuple(problem.facts.get("key") or ()),
        estimator=best.estimator,
        params=dict(best.point.params),
        validation={best.metric: float(best.value or 0.0)},
        trained={"seed": conf.seed, "slots": slots, "parallelism": run.parallelism, "partitions": partitions},
    )
    parent = ledger.wait_for_parent()
    recipe = problem.recipes[best.estimator]
    uri = store.log_model(parent, model, card, packages(recipe), _code(run, problem, recipe))
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
    guess = baseline(task, best.metric, problem.target.rows, problem.parts, problem.own)
    return Done(
        outputs=(Output("trials", frame(run, [row]), mode="append", serializable=True, facts=facts),),
        rows_in=sum(problem.target.rows),
        notes=tuple(_notes(problem, best, rows, guess)),
    )


def refitted(problem: Problem, point: Point, seed: int, slots: int) -> tuple[PipelineModel, int]:
    """A point fitted on the training and validation parts, the user's stages first; runs Spark jobs.

    Returns:
        The model, and in how many partitions its rows came: what draws rows by chance draws others in others.
    """
    both = problem.raw.train.unionByName(problem.raw.validation)
    own = PipelineModel(fit_stages(problem.stages, both))
    used = own.transform(both).select("label", *[f"`{name}`" for name in problem.columns.used])
    fitted = fit_whole(point, problem.target.task, used, problem.columns, seed, slots, problem.recipes)
    return PipelineModel([*own.stages, *fitted.stages]), used.rdd.getNumPartitions()


def _code(run: Run, problem: Problem, recipe: Recipe) -> dict[str, bytes]:
    """The user's modules that the model's own classes need: a model without them could not be read."""
    classes = [*([recipe.use] if recipe.use else []), *(stage.use for stage in problem.stages)]
    folders = modules.folders_beside(run.pipeline.folders)
    return modules.archive_of(modules.with_imports([one.module for one in classes], folders))


def packages(recipe: Recipe) -> tuple[str, ...]:
    """Requirements of a reader of the model, with the versions here."""
    from importlib.metadata import version

    needed = ("pyspark", "mlflow", "numpy", "pandas", "pyarrow", *recipe.packages)
    return tuple(f"{name}=={version(name)}" for name in dict.fromkeys(needed))


def _notes(problem: Problem, best: Row, rows: list[Row], guess: float) -> list[str]:
    larger = problem.own.larger_is_better if problem.own else larger_is_better(best.metric)
    better = "larger" if larger else "smaller"
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
