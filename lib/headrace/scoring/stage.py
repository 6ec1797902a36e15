"""Score: the rows that are due and have no prediction yet, exactly once, with one pinned model version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config import hooks
from headrace.config.types import Pipeline
from headrace.engine.time import moment, span, utc
from headrace.models.admission import admitted
from headrace.models.made import Made, made
from headrace.models.store import CHAMPION, ModelStore
from headrace.models.version import Version
from headrace.runtime.step import Done, Output, Run, Step
from headrace.scoring.answers import Rows, answers, verified
from headrace.scoring.arms import others
from headrace.scoring.candidates import due, unscored
from headrace.scoring.output import no_rows, predictions
from headrace.scoring.rejected import tried

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Pick = Callable[["DataFrame"], "DataFrame"]
Spine = Callable[[Run, Pick], "DataFrame"]
"""The spine's rows with their split, chosen by key and times before any label is made; given by the flow."""
Features = Callable[..., "DataFrame"]
"""Rows of the spine, chosen by a function, with all features; given by the flow: the same path as in training."""


def steps(pipeline: Pipeline, inputs: tuple[str, ...], rows: Any, spine: Spine, features: Features) -> tuple[Step, ...]:
    """One step, where the pipeline has a training set.

    Args:
        pipeline: The configuration.
        inputs: Tables that the rows are made of.
        rows: What of the configuration decides the rows and their features.
        spine: Gives the spine.
        features: Gives the rows with their features.
    """
    if pipeline.training_set is None:
        return ()
    config = {"scoring": pipeline.scoring.model_dump(mode="json", exclude={"stream"}), **rows}
    return (
        Step(
            stage="score",
            name="score",
            inputs=inputs,
            outputs=(*_tables(pipeline), pipeline.scoring.output),
            config=config,
            state=_state,
            verified=verified(pipeline),
            run=lambda run: _score(run, spine, features, lambda: _made(run, inputs, rows)),
        ),
    )


def _tables(pipeline: Pipeline) -> tuple[str, ...]:
    recommends = pipeline.training_set is not None and pipeline.training_set.kind == "recommendation"
    return ("recommendations",) if recommends else ()


def _state(run: Run) -> list[Any]:
    """What else decides what is scored, and by whom."""
    beside = {name: _number(found) for name, found in others(run).items()}
    found = [_number(pinned(run)), str(run.since), str(run.until), run.rescore]
    return [*found, beside] if beside else found


def pinned(run: Run) -> Version | None:
    """The version that this run scores with; None where no version is champion yet."""
    store, wanted = ModelStore(run.tracking_uri), run.pipeline.scoring.model
    return store.alias(run.model_name) if wanted == CHAMPION else store.resolve(run.model_name, wanted)


def _number(version: Version | None) -> int | None:
    return None if version is None else version.number


def _made(run: Run, inputs: tuple[str, ...], rows: Any) -> Made:
    """How the rows are made that this run scores."""
    versions = {table: run.version(table) for table in inputs}
    return made(rows, versions, run.facts, hooks.meanings(run.pipeline, "training_set"))


def _score(run: Run, spine: Spine, features: Features, made_of: Callable[[], Made]) -> Done:
    version = pinned(run)
    key = key_of(run)
    if version is None:
        reason = f"no version of {run.model_name} is champion: nothing was scored"
        if not (run.exists(run.pipeline.scoring.output) or run.exists("training_set")):
            return Done(rows_in=0, notes=(reason,))  # a training tells the types of predictions
        nobody = spine(run, lambda spine_rows: spine_rows.where("false"))
        nothing = predictions(run.pipeline.scoring.output, no_rows(run, nobody, key), key)
        return Done((nothing,), rows_in=0, notes=(reason,))
    earlier = run.read(run.pipeline.scoring.output) if run.exists(run.pipeline.scoring.output) else None

    def among(spine_rows: DataFrame) -> DataFrame:
        wanted = spine_rows.where(due(run.as_of, run.since, run.until))
        if run.rescore:
            return wanted
        left = unscored(wanted, earlier, key, run.since, run.until)
        return unscored(left, tried(run, run.pipeline.scoring.output, version.number), key, run.since, run.until)

    rows, pick = spine(run, among), _parts(run)
    count, times = span(pick(rows))
    later = _next_due(run, spine, pick)
    warning, lists = None, tuple[Output, ...]()
    if count or _tables(run.pipeline):  # the version is asked
        store = ModelStore(run.tracking_uri)
        warning = admitted(store, version, store.card(version.run_id), made_of())
        lists = _lists(run, version, spine)
    if count == 0:
        nothing = predictions(run.pipeline.scoring.output, no_rows(run, rows, key), key)
        return Done((*lists, nothing), rows_in=0, notes=("nothing new to score",), expires=later)
    found = answers(run, version, Rows(pick(rows), features(run, pick, times, among), key, count), made_of)
    notes = (*found.counted, *([warning] if warning else []), *found.notes)
    return Done((*lists, *found.outputs), rows_in=count, notes=notes, expires=later, cleanup=found.release)


def _lists(run: Run, version: Version, spine: Spine) -> tuple[Output, ...]:
    """Of a recommendation: the items that each user is recommended, without those that they have had."""
    training = run.pipeline.training_set
    if training is None or not _tables(run.pipeline):
        return ()
    from headrace.models.recommend import Recommender, recommendations

    store = ModelStore(run.tracking_uri)
    had = spine(run, lambda rows: rows).where("label is not null").select(str(training.user), str(training.item))
    listed = recommendations(Recommender.whole(store.load(version.uri)), store.card(version.run_id), had)
    stamped = listed.withColumn("model_version", F.lit(version.number).cast("int"))
    told = f"The {training.top_k} best items for each user, without those they have had, as of the last scoring"
    return (Output("recommendations", stamped, description=told, facts={"model_version": version.number}),)


def key_of(run: Run) -> tuple[str, ...]:
    """Columns that tell rows of the spine apart."""
    training = run.pipeline.training_set
    assert training is not None, "the flow makes no such step without a training_set"
    return run.pipeline.tables[training.spine].key or ("row_id",)


def _parts(run: Run) -> Pick:
    """Chooses the rows of the `score` part; of a task without a label all: what cluster a row is in, nobody else knows."""
    training = run.pipeline.training_set
    labelled = training is None or training.labelled
    return (lambda rows: rows.where("split = 'score'")) if labelled else (lambda rows: rows)


def _next_due(run: Run, spine: Spine, pick: Pick) -> datetime | None:
    """When the next row is to be scored that is not due yet, or not there yet."""
    waiting = pick(spine(run, lambda rows: rows.where(F.col("predict_at") > moment(run.as_of))))
    found: Any = waiting.agg(F.unix_micros(F.min("predict_at")).alias("next")).first()
    grid = run.pipeline.training_set.grid if run.pipeline.training_set else None
    times = (None if found["next"] is None else utc(found["next"]), grid.next_after(run.as_of) if grid else None)
    return min((at for at in times if at is not None), default=None)
