"""The stage `monitor`: reads `training_set` and the predictions, writes `drift_metrics` and `quality_metrics`.

Both tables are written whole: they say how things stand. How they stood is in the tables' earlier versions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config.durations import SECOND, microseconds
from headrace.config.metrics import DEFAULT_METRIC
from headrace.monitoring import drift, quality, rows, verdicts
from headrace.monitoring.bins import CURRENT
from headrace.runtime.step import Done, Output, Step

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from headrace.config.types import Pipeline
    from headrace.runtime.step import Run


def steps(pipeline: Pipeline) -> tuple[Step, ...]:
    """The step `monitor`; none without a training set."""
    if pipeline.training_set is None:
        return ()
    config = {"monitoring": pipeline.monitoring.model_dump(mode="json"), "metric": pipeline.search.metric}
    inputs = ("training_set", pipeline.scoring.output)
    return (Step("monitor", "monitor", inputs, ("quality_metrics", "drift_metrics"), config, monitor),)


def monitor(run: Run) -> Done:
    """Measure drift and quality of what was scored."""
    facts = run.facts("training_set")["facts"]
    predictions = run.read(run.pipeline.scoring.output)
    now = datetime.now(UTC)
    judged = _quality(run, facts, predictions, now)
    drifted = _drift(run, facts, rows.acted_on(predictions), now)
    whole = [r for r in judged if r["granularity"] == "all"]
    metric = run.pipeline.search.metric or DEFAULT_METRIC.get(facts["task"])
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
        rows_in=sum({r["model_version"]: r["rows"] for r in whole}.values()),
        notes=(drift_note, verdicts.sentence(judged, metric)),
    )


def _drift(run: Run, facts: Mapping[str, Any], predictions: DataFrame, now: datetime) -> list[dict[str, Any]]:
    """Rows of `drift_metrics`; none when nothing is scored."""
    features = facts["features"]
    frame = rows.sides(run.read("training_set"), predictions, facts["key"], features)
    scored, trained = _windows(frame)
    if not scored["rows"]:
        return []
    drifts = drift.measure(frame, features, trained["rows"])
    if run.exists("test_predictions"):
        output = rows.prediction_sides(run.read("test_predictions"), predictions)
        drifts += drift.measure(output, output.columns[:1]) if output is not None else []
    stamp = drift.Stamp(run.model_name, run.run_id, now, *map(verdicts.moment, (scored["first"], scored["last"])))
    return drift.records(drifts, run.pipeline.monitoring.alarms, stamp)


def _windows(frame: DataFrame) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of rows scored and rows trained on: `rows`, and `first` and `last` predict_at in microseconds since 1970."""
    times = F.unix_micros("predict_at")
    found = frame.groupBy(CURRENT).agg(
        F.count("*").alias("rows"), F.min(times).alias("first"), F.max(times).alias("last")
    )
    sides = {row[CURRENT]: row.asDict() for row in found.collect()}  # two rows
    empty = {"rows": 0, "first": None, "last": None}
    return sides.get(True, empty), sides.get(False, empty)


def _quality(run: Run, facts: Mapping[str, Any], predictions: DataFrame, now: datetime) -> list[dict[str, Any]]:
    """Rows of `quality_metrics`; none when nothing is scored."""
    delay = run.pipeline.monitoring.label_delay
    seconds = microseconds(delay) // SECOND if delay else 0
    frame = quality.judged(
        predictions, run.read("training_set"), facts["key"], facts.get("labels") or (), run.as_of, seconds
    )
    baseline = verdicts.baseline(run.read("evaluation")) if run.exists("evaluation") else {}
    found = verdicts.measured(quality.metrics_of(frame, facts["task"]))
    return verdicts.records(found, baseline, run.model_name, run.run_id, now)


def _table(spark: SparkSession, records: Sequence[Mapping[str, Any]], schema: str) -> DataFrame:
    names = [column.split()[0] for column in schema.split(", ")]
    return spark.createDataFrame([tuple(r[n] for n in names) for r in records], schema).coalesce(1)
