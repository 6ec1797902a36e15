"""The stage `monitor`: reads predictions and labels as they come; writes `drift_metrics` and `quality_metrics`.

Both tables are written whole: they say how things stand. How they stood is in the tables' earlier versions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import functions as F

from headrace.config.durations import microseconds
from headrace.config.learning import CENSORED, NAMING, REJECTED
from headrace.config.metrics import DEFAULT_METRIC
from headrace.config.strategies import CHAMPION
from headrace.engine.time import moment
from headrace.models.store import ModelStore
from headrace.monitoring import arms, drift, later, quality, rows, verdicts, versions
from headrace.monitoring.bins import CURRENT
from headrace.runtime.step import Done, Output, Step

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from headrace.config.types import Pipeline
    from headrace.runtime.step import Run


_UNJUDGED = "quality: the task has no label that comes true later; what is measured is drift"

Pick = Callable[["DataFrame"], "DataFrame"]
Spine = Callable[["Run", Pick], "DataFrame"]
"""The spine's rows with label and split, as known now, chosen by key and times; given by the flow."""
Features = Callable[..., "DataFrame"]
"""Rows of the spine, chosen by a function, with all features; given by the flow: the same path as in training."""


def steps(
    pipeline: Pipeline, tables: tuple[str, ...], made: Mapping[str, Any], spine: Spine, features: Features
) -> tuple[Step, ...]:
    """The step `monitor`; none without a training set.

    Args:
        pipeline: The configuration.
        tables: Those that labels and features are made of.
        made: What of the configuration decides them.
        spine: Gives the labels: those that came after the training set was built count as well.
        features: Gives rows with their features, for those that were scored after the training set was built.
    """
    if pipeline.training_set is None:
        return ()
    measured = {"monitoring": pipeline.monitoring.model_dump(mode="json"), "search": {"metric": pipeline.search.metric}}
    return (
        Step(
            stage="monitor",
            name="monitor",
            inputs=("training_set", "test_predictions", pipeline.scoring.output, *tables),
            outputs=("quality_metrics", "drift_metrics"),
            config={**measured, **made},
            run=lambda run: monitor(run, spine, features),
        ),
    )


def monitor(run: Run, spine: Spine, features: Features) -> Done:
    """Measure drift and quality of what was scored."""
    facts = run.facts("training_set")["facts"]
    predictions = run.read(run.pipeline.scoring.output)
    now = datetime.now(UTC)
    found = _quality(run, facts, predictions, spine) if _judged(run) else []
    tested = versions.tested(run.tracking_uri, run.model_name) if found or not _judged(run) else {}
    judged = verdicts.records(found, tested, run.model_name, run.run_id, now)
    whole = [r for r in judged if r["granularity"] == "all"]
    latest = _latest(whole, tested) if _judged(run) else _last_used(predictions, tested)
    drifted = _drift(run, facts, rows.acted_on(predictions), latest, now, features)
    metric = run.pipeline.search.metric or DEFAULT_METRIC.get(_way(run, facts))
    drift_note = drift.sentence(drifted) if drifted else "drift: nothing scored yet"
    return Done(
        outputs=(
            Output(
                "quality_metrics",
                _table(run.spark, judged, verdicts.SCHEMA),
                comments=verdicts.COMMENTS,
                description="What was predicted against what came true, per model version, over all and by day",
            ),
            Output(
                "drift_metrics",
                _table(run.spark, drifted, drift.SCHEMA),
                comments=drift.COMMENTS,
                description="How far scored rows lie from the rows trained on, one row per feature",
            ),
        ),
        rows_in=sum({r["model_version"]: r["rows"] for r in whole}.values())
        if _judged(run)
        else next((r["current_rows"] for r in drifted), 0),
        notes=(
            drift_note,
            verdicts.sentence(judged, metric) if _judged(run) else _UNJUDGED,
            *verdicts.unsaid(found),
            *_arms(run, judged, metric, lambda since: _quality(run, facts, predictions.where(since), spine)),
        ),
        expires=verdicts.next_due(found),
    )


def _arms(
    run: Run,
    judged: list[dict[str, Any]],
    metric: str | None,
    measured: Callable[[Column], list[dict[str, Any]]],
) -> list[str]:
    """What versions that score side by side have shown, from when on all of them do.

    Args:
        run: The run.
        judged: Of all rows that each has scored.
        metric: The pipeline's own.
        measured: Measures the predictions that meet a condition.
    """
    strategy, store = run.pipeline.scoring.strategy, ModelStore(run.tracking_uri)
    if strategy.kind not in ("ab", "canary"):
        return []
    named = {one: None if one.isdigit() else store.alias(run.model_name, one) for one in (CHAMPION, *strategy.others)}
    numbers = {one: int(one) if one.isdigit() else (found.number if found else 0) for one, found in named.items()}
    champion, others = numbers.pop(CHAMPION), set(numbers.values())
    began = arms.began(judged, {champion, *others})
    if began is not None:
        together = measured(F.col("predict_at") >= moment(began))
        judged = verdicts.records(together, {}, run.model_name, run.run_id, datetime.now(UTC))
    return arms.compared(judged, metric, champion, others, began)


def _drift(
    run: Run,
    facts: Mapping[str, Any],
    predictions: DataFrame,
    tested: Mapping[str, versions.Tested],
    now: datetime,
    made: Features,
) -> list[dict[str, Any]]:
    """Rows of `drift_metrics`; none when nothing is scored.

    Args:
        run: The run.
        facts: What the training set's commit carries.
        predictions: First revisions.
        tested: The version that predicted last, and its test; empty when nothing is scored.
        now: UTC.
        made: Gives rows with their features.
    """
    features = [] if facts["task"] == "recommendation" else facts["features"]  # ids are names, whatever their type
    predictions = rows.to_come(predictions, _learned_until(run))
    current = rows.untaught(run.pipeline.training_set)
    training_set = later.with_rows_since(run, run.read("training_set"), predictions, (facts["key"], features), made)
    frame = rows.sides(training_set, predictions, facts["key"], features, current)
    scored, trained = _windows(frame)
    if not scored["rows"]:
        return []
    drifts = drift.measure(frame, features, trained["rows"])
    for version, test in tested.items():
        before = None if test.predictions is None else _tested_rows(run, version, test.predictions)
        if before is not None:
            now_given = predictions.where(F.col("model_version").cast("string") == version)
            unanswered = _unanswered(run, version) if facts["task"] in NAMING else None
            output = rows.prediction_sides(before, now_given, facts["task"], unanswered)
            drifts += drift.measure(output, output.columns[:1]) if output is not None else []
    stamp = drift.Stamp(run.model_name, run.run_id, now, *map(verdicts.moment, (scored["first"], scored["last"])))
    return drift.records(drifts, run.pipeline.monitoring.alarms, stamp)


def _unanswered(run: Run, model: str) -> DataFrame | None:
    """Rows that a model version had no answer for, in the time that is looked at; None: there are none.

    The table is none of the step's inputs: it changes only when rows are scored.
    """
    table = f"{run.pipeline.scoring.output}{REJECTED}"
    if not run.exists(table):
        return None
    rejected = rows.to_come(run.read(table), _learned_until(run))
    return rejected.where(F.col("model_version").cast("string") == model)


def _tested_rows(run: Run, model: str, table: int) -> DataFrame | None:
    """What a model version gave of its test part; None where the table does not hold that any more.

    It was made anew beside an older model store, or its log has been cleaned up.
    """
    from pyspark.errors import AnalysisException

    try:
        return run.read_version("test_predictions", table)
    except AnalysisException:
        run.say(f"test_predictions has no version {table} any more: model version {model} is not held against its test")
        return None


def _windows(frame: DataFrame) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of rows scored and rows trained on: `rows`, and `first` and `last` predict_at in microseconds since 1970."""
    times = F.unix_micros("predict_at")
    found = frame.groupBy(CURRENT).agg(
        F.count("*").alias("rows"), F.min(times).alias("first"), F.max(times).alias("last")
    )
    sides = {row[CURRENT]: row.asDict() for row in found.collect()}  # two rows
    empty = {"rows": 0, "first": None, "last": None}
    return sides.get(True, empty), sides.get(False, empty)


def _quality(run: Run, facts: Mapping[str, Any], predictions: DataFrame, spine: Spine) -> list[dict[str, Any]]:
    """Measured quality, a row per model version, day and metric; none when nothing is scored."""
    key = (*facts["key"], "predict_at")
    labelled = spine(run, lambda spine_rows: rows.matching(spine_rows, predictions.select(*key), key, "left_semi"))
    delay = run.pipeline.monitoring.label_delay
    label_delay = microseconds(delay) if delay else 0
    labels = facts.get("labels") or ()
    way = _way(run, facts)
    told = CENSORED if way == "survival" else None
    until = _learned_until(run)
    frame = quality.judged(predictions, labelled, facts["key"], labels, run.as_of, label_delay, until, told)
    task = "regression" if way == "recommendation" else way  # ratings are numbers
    if not told:
        return verdicts.measured(quality.metrics_of(frame, task))
    held = frame.persist(StorageLevel.MEMORY_AND_DISK)  # a concordance reads it often
    try:
        return verdicts.measured(quality.metrics_of(held, task))
    finally:
        held.unpersist()


def _way(run: Run, facts: Mapping[str, Any]) -> str:
    """What metrics go by: the task, or that labels may be censored."""
    training = run.pipeline.training_set
    return str(training.way(facts["task"]) if training else facts["task"])


def _judged(run: Run) -> bool:
    """Whether what comes true can be held against a prediction: a weight is no value of the score that it teaches."""
    training = run.pipeline.training_set
    return training is None or (training.labelled and training.implicit is None)


def _latest(whole: Sequence[Mapping[str, Any]], tested: Mapping[str, versions.Tested]) -> dict[str, versions.Tested]:
    version = verdicts.newest(whole)
    return {version: tested[version]} if version is not None and version in tested else {}


def _last_used(predictions: DataFrame, tested: Mapping[str, versions.Tested]) -> dict[str, versions.Tested]:
    """The version with the highest number that has predicted."""
    found: Any = predictions.agg(F.max("model_version").cast("string").alias("version")).first()
    return {found["version"]: tested[found["version"]]} if found["version"] in tested else {}


def _learned_until(run: Run) -> datetime | None:
    training = run.pipeline.training_set
    assert training is not None, "the flow makes no such step without a training_set"
    return training.split.test_until


def _table(spark: SparkSession, records: Sequence[Mapping[str, Any]], schema: str) -> DataFrame:
    names = [column.split()[0] for column in schema.split(", ")]
    return spark.createDataFrame([tuple(r[n] for n in names) for r in records], schema).coalesce(1)
