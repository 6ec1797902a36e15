"""Score: the rows that are due and have no prediction yet, exactly once, with one pinned model version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config import hooks
from headrace.config.learning import Scoring
from headrace.config.types import Pipeline
from headrace.engine.time import moment, span, utc
from headrace.errors import DataError
from headrace.models.admission import admitted
from headrace.models.made import Made, made
from headrace.models.predict import PREDICTION_TYPE, PROBABILITY_TYPE
from headrace.models.store import CHAMPION, ModelStore
from headrace.models.version import Version
from headrace.runtime.step import Done, Output, Run, Step
from headrace.runtime.transforms import TRANSFORM, proven
from headrace.scoring.candidates import changed, due, unscored
from headrace.scoring.ways import Way, chosen, withdraw

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
    config = {"scoring": pipeline.scoring.model_dump(mode="json"), **rows}
    return (
        Step(
            stage="score",
            name="score",
            inputs=inputs,
            outputs=(*_tables(pipeline), pipeline.scoring.output),
            config=config,
            state=lambda run: [_number(_version(run)), str(run.since), str(run.until), run.rescore],
            run=lambda run: _score(run, spine, features, lambda: _made(run, inputs, rows)),
        ),
    )


def _tables(pipeline: Pipeline) -> tuple[str, ...]:
    recommends = pipeline.training_set is not None and pipeline.training_set.kind == "recommendation"
    return ("recommendations",) if recommends else ()


def _version(run: Run) -> Version | None:
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
    version = _version(run)
    key = _key(run)
    if version is None:
        reason = f"no version of {run.model_name} is champion: nothing was scored"
        if not (run.exists(run.pipeline.scoring.output) or run.exists("training_set")):
            return Done(rows_in=0, notes=(reason,))  # a training tells the types of predictions
        nobody = spine(run, lambda spine_rows: spine_rows.where("false"))
        return Done((_output(run.pipeline.scoring, _no_rows(run, nobody, key), key),), rows_in=0, notes=(reason,))
    earlier = run.read(run.pipeline.scoring.output) if run.exists(run.pipeline.scoring.output) else None

    def among(spine_rows: DataFrame) -> DataFrame:
        wanted = spine_rows.where(due(run.as_of, run.since, run.until))
        return wanted if run.rescore else unscored(wanted, earlier, key, run.since, run.until)

    rows, pick = spine(run, among), _parts(run)
    count, times = span(pick(rows))
    later = _next_due(run, spine, pick)
    warning, lists = None, tuple[Output, ...]()
    if count or _tables(run.pipeline):  # the version is asked
        store = ModelStore(run.tracking_uri)
        warning = admitted(store, version, store.card(version.run_id), made_of())
        lists = _lists(run, version, spine)
    if count == 0:
        nothing = _output(run.pipeline.scoring, _no_rows(run, rows, key), key)
        return Done((*lists, nothing), rows_in=0, notes=("nothing new to score",), expires=later)
    frame, release = features(run, pick, times, among), None
    if run.pipeline.training_set and run.pipeline.training_set.transform:
        frame, release = proven(run.pipeline, TRANSFORM, pick(rows), frame, (*key, "predict_at"))
    try:
        way = chosen(run, version, frame, (*key, "predict_at"), count)
        scored = _stamped(run, version, way.scored, key)
    except BaseException:
        if release:
            release()
        raise
    if run.pipeline.search.transformers:
        _check_kept(scored, count)
    scored = _revised(run, scored, earlier, key)
    notes = [f"{count:,} rows scored by {version.name} version {version.number}"]
    notes += [one for one in (warning, way.warning) if one]
    output = replace(
        _output(run.pipeline.scoring, scored, key, version), verify=_verified(run, version, way, key, earlier)
    )
    return Done((*lists, output), rows_in=count, notes=tuple(notes), expires=later, cleanup=release)


def _revised(run: Run, scored: DataFrame, earlier: DataFrame | None, key: tuple[str, ...]) -> DataFrame:
    return changed(scored, earlier, key) if run.rescore and earlier is not None else scored


def _verified(
    run: Run, version: Version, way: Way, key: tuple[str, ...], earlier: DataFrame | None
) -> Callable[[], Output | None]:
    """Compares some of the rows that were written with `transform`, and writes them all by it where they differ."""

    def verify() -> Output | None:
        wrong = way.wrong()
        if wrong is None:
            return None
        withdraw(run, version, wrong)
        scored = _revised(run, _stamped(run, version, way.transformed(), key), earlier, key)
        return _output(run.pipeline.scoring, scored, key, version)

    return verify


def _check_kept(scored: DataFrame, count: int) -> None:
    """Stop where Python of the user's has dropped or doubled rows. Runs a Spark job."""
    left = scored.count()
    if left != count:
        raise DataError(
            f"search.transformers: {count:,} rows were to be scored and {left:,} came back; a transformer keeps rows. "
            "Nothing was written"
        )


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


def _key(run: Run) -> tuple[str, ...]:
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


def _stamped(run: Run, version: Version, scored: DataFrame, key: tuple[str, ...]) -> DataFrame:
    return scored.select(
        *key,
        "predict_at",
        F.lit(1).alias("revision"),
        "prediction",
        "probability",
        F.lit(version.name).alias("model_name"),
        F.lit(version.number).cast("int").alias("model_version"),
        F.lit(run.run_id).alias("run_id"),
        F.current_timestamp().alias("scored_at"),
    )


def _no_rows(run: Run, rows: DataFrame, key: tuple[str, ...]) -> DataFrame:
    """No prediction, with the columns of predictions."""
    if run.exists(run.pipeline.scoring.output):
        return run.read(run.pipeline.scoring.output).where("false")
    none = F.lit(None)
    task = run.facts("training_set")["facts"]["task"] if run.exists("training_set") else "binary"
    label = F.col("label").cast(PREDICTION_TYPE[task]) if task in PREDICTION_TYPE else F.col("label")
    return rows.where("false").select(
        *key, "predict_at", F.lit(1).alias("revision"), label.alias("prediction"),
        none.cast(PROBABILITY_TYPE.get(task, "double")).alias("probability"), none.cast("string").alias("model_name"),
        none.cast("int").alias("model_version"), none.cast("string").alias("run_id"),
        F.current_timestamp().alias("scored_at"),
    )  # fmt: skip


def _output(scoring: Scoring, frame: DataFrame, key: tuple[str, ...], version: Version | None = None) -> Output:
    table = scoring.output
    keys = (*key, "predict_at", "revision")
    newest = ", ".join((*key, "predict_at"))
    view = (
        f"SELECT * EXCEPT (_rank) FROM (SELECT *, row_number() OVER (PARTITION BY {newest} ORDER BY revision DESC) "
        f"AS _rank FROM {{schema}}.{table}) WHERE _rank = 1"
    )
    return Output(
        table,
        frame,
        mode="insert",
        keys=keys,
        serializable=True,
        facts={"model_version": _number(version), "key": list(key)},
        description="One row per spine row and revision; revision 1 is what was acted on",
        views={f"latest_{table}": view},
    )
