"""The stage `monitor`: which rows, which labels, which model version it holds them against."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.monitoring import stage
from headrace.monitoring.versions import Tested
from tests.spark.monitored import NOW, FakeRun, a_training_set, pipeline, to_spark
from tests.support.pairwise import harrell

NOTES = {"key": ["id"], "task": "binary", "labels": ["No", "Yes"]}
THREE = {"3": Tested({"areaUnderROC": 0.99, "logLoss": 0.9}, 7)}


def stage_tables(spark: SparkSession, n: int = 1_200, m: int = 600) -> dict[str, DataFrame]:
    """All tables as version 3 left them; `test_predictions` is the version's own."""
    frame = a_training_set(n, m)
    rng = np.random.default_rng(5)
    frame["probability"] = rng.random(n + m)
    frame["label"] = np.where(rng.random(n + m) < frame.probability, "Yes", "No")
    frame["label_known_at"] = frame.predict_at + pd.Timedelta(days=1)
    frame["prediction"] = np.where(frame.probability > 0.5, "Yes", "No")
    output = ["id", "predict_at", "prediction", "probability"]
    training = to_spark(spark, frame.drop(columns=["probability", "prediction"]))
    return {
        "training_set": training,
        "predictions": spark.createDataFrame(frame.loc[frame.split == "score", output]).selectExpr(
            "*", "1 as revision", "3 as model_version"
        ),
        "test_predictions": spark.createDataFrame(frame.loc[frame.split == "train", output]),
    }


def few(spark: SparkSession) -> dict[str, DataFrame]:
    """A small one, with one feature."""
    tables = stage_tables(spark, 100, 200)
    kept = ["id", "predict_at", "split", "label", "label_known_at", "same_number"]
    return {name: (f.select(*kept) if name == "training_set" else f).coalesce(1) for name, f in tables.items()}


@pytest.fixture
def run_stage(spark, monkeypatch):
    def run(tables, tested=None, changes=None, versions=None, notes=None, whole=None, **more):
        known = {**NOTES, "features": [c for c in tables["training_set"].columns if c.startswith(("same", "moved"))]}
        monkeypatch.setattr(stage.versions, "tested", lambda uri, name: THREE if tested is None else tested)
        versions = versions or {7: tables["test_predictions"]}
        run = FakeRun(spark, pipeline(**(changes or {})), tables, {**known, **(notes or {})}, versions, **more)
        rows = tables["training_set"] if whole is None else whole
        made = (lambda run, among: rows), (lambda run, pick, span, among: among(rows))
        (step,) = stage.steps(run.pipeline, ("customers",), {}, *made)
        return step, step.run(run)

    return run


def test_the_stage_writes_both_tables_and_says_what_matters(spark, run_stage):
    step, done = run_stage(stage_tables(spark))
    assert step.inputs == ("training_set", "test_predictions", "predictions", "customers")
    assert tuple(o.table for o in done.outputs) == step.outputs == ("quality_metrics", "drift_metrics")
    quality_rows, drift_rows = (o.frame.toPandas() for o in done.outputs)
    assert all(set(o.comments) == set(o.frame.columns) for o in done.outputs)
    assert drift_rows.feature.iloc[-1] == "prediction:probability"
    assert not drift_rows.alarm.iloc[-1]
    assert set(drift_rows.feature[drift_rows.alarm]) == {c for c in drift_rows.feature if c.startswith("moved")}
    windows = done.outputs[1].frame.selectExpr("cast(window_start as string)", "cast(window_end as string)").distinct()
    assert [tuple(r) for r in windows.collect()] == [("2024-01-01 00:00:00", "2024-01-20 00:00:00")]
    whole = quality_rows[quality_rows.granularity == "all"].set_index("metric")
    assert whole.rows.to_dict() == dict.fromkeys(["areaUnderROC", "accuracy", "logLoss"], 600)
    assert whole.alarm.to_dict() == {"areaUnderROC": True, "accuracy": False, "logLoss": False}
    assert whole.baseline_value.to_dict()["areaUnderROC"] == 0.99
    assert len(quality_rows) == 3 + 20 * 3
    assert done.rows_in == 600
    assert done.notes[0].startswith(
        "drift: 5 of 11 features drifted (600 scored rows against 1,200 trained on), most of all "
    )
    assert "quality: areaUnderROC 0." in done.notes[1]
    assert (
        "from 2024-01-01 to 2024-01-20 (600 of 600 rows judged, version 3), against 0.990 in the test part: ALARM"
        in done.notes[1]
    )


def test_nothing_scored_yet_is_no_failure(spark, run_stage):
    tables = stage_tables(spark)
    tables["predictions"] = tables["predictions"].limit(0)
    _, done = run_stage(tables, {})
    assert done.notes == ("drift: nothing scored yet", "quality: nothing scored yet")
    assert [o.frame.count() for o in done.outputs] == [0, 0]
    assert [len(o.frame.columns) for o in done.outputs] == [15, 21]
    assert done.expires is None


def test_no_label_known_yet_is_no_failure(spark, run_stage):
    _, done = run_stage(stage_tables(spark), {}, as_of=datetime(2024, 1, 1, tzinfo=UTC))
    assert done.notes[1] == "quality: no label known yet for 600 scored rows"
    first = (
        done.outputs[0].frame.where("granularity = 'all'").select("rows", "labelled_rows", "value", "alarm").distinct()
    )
    assert [tuple(r) for r in first.collect()] == [(600, 0, None, False)]
    assert "prediction:probability" not in [r.feature for r in done.outputs[1].frame.collect()]


def labelled(done) -> int:
    return done.outputs[0].frame.where("granularity = 'all'").first().labelled_rows


def test_quality_is_due_again_when_the_next_label_is(spark, run_stage):
    tables, delay = few(spark), {"monitoring": {"label_delay": "20 days"}}
    _, done = run_stage(tables, changes=delay)  # 20 days of 10 rows; those of the first twelve are old enough
    assert (labelled(done), done.expires) == (12 * 10, NOW + timedelta(days=1))
    _, after = run_stage(tables, changes=delay, as_of=done.expires)
    assert labelled(after) == 13 * 10
    _, last = run_stage(tables, changes=delay, as_of=NOW + timedelta(days=30))
    assert (labelled(last), last.expires) == (200, None)


def test_a_label_that_is_hidden_is_waited_for_without_a_delay_of_monitoring(spark, run_stage):
    tables = few(spark)
    hidden = F.col("label_known_at") > F.lit(datetime(2024, 1, 12, tzinfo=UTC))
    tables["training_set"] = tables["training_set"].withColumn("label", F.when(~hidden, F.col("label")))
    _, done = run_stage(tables, as_of=datetime(2024, 1, 12, tzinfo=UTC))
    assert (labelled(done), done.expires) == (11 * 10, datetime(2024, 1, 13, tzinfo=UTC))


def test_each_version_is_held_against_its_own_test(spark, run_stage):
    tables = few(spark)
    by_day = F.when(F.day("predict_at") <= 10, F.lit(3)).otherwise(F.lit(4))
    tables["predictions"] = tables["predictions"].withColumn("model_version", by_day)
    refused = tables["test_predictions"].withColumn("probability", F.col("probability") / 100)
    tested = {
        "3": Tested({"areaUnderROC": 0.99}, 7),
        "4": Tested({"areaUnderROC": 0.11}, 8),
        "5": Tested({"areaUnderROC": 0.999}, 9),  # a candidate that was refused: the newest of all
    }
    _, done = run_stage(tables, tested, versions={7: refused, 8: tables["test_predictions"], 9: refused})
    rows = done.outputs[0].frame.where("granularity = 'all' and metric = 'areaUnderROC'").collect()
    assert {(r.model_version, r.baseline_value, r.alarm) for r in rows} == {("3", 0.99, True), ("4", 0.11, False)}
    output = done.outputs[1].frame.where("feature = 'prediction:probability'").collect()
    assert [(r.alarm, r.current_rows) for r in output] == [(False, 100)]
    assert "version 4), against 0.110 in the test part" in done.notes[1]


def test_of_a_regression_the_predicted_numbers_drift_for_there_is_no_probability(spark, run_stage):
    tables = few(spark)
    tables["training_set"] = tables["training_set"].withColumn("label", F.col("id") % 10 + F.lit(0.5))
    for name, shift in (("test_predictions", 0), ("predictions", 5)):
        number = (F.col("id") % 10 + F.lit(0.0 + shift)).alias("prediction")
        bare = F.lit(None).cast("double").alias("probability")
        others = [c for c in tables[name].columns if c not in ("prediction", "probability")]
        tables[name] = tables[name].select(*others, number, bare)
    _, done = run_stage(tables, {"3": Tested({"rmse": 1.0}, 7)}, notes={"task": "regression", "labels": []})
    output = done.outputs[1].frame.where("feature like 'prediction:%'").collect()
    assert [(r.feature, r.kind, r.alarm) for r in output] == [("prediction:prediction", "numeric", True)]
    assert output[0].baseline_mean == pytest.approx(sum(i % 10 for i in range(21, 100)) / 79)  # 0 to 20 validate
    assert (output[0].current_mean, output[0].current_null_share) == (pytest.approx(9.5), 0.0)


@pytest.mark.parametrize(("wordless", "moved", "alarm"), [(0.1, False, False), (0.1, True, True), (0.5, False, True)])
def test_rows_without_a_topic_are_on_both_sides_though_scoring_sets_them_aside(
    spark, run_stage, wordless, moved, alarm
):
    """A tenth of the test part has no known word; as many of the rows scored are no drift, half of them are."""
    tables = stage_tables(spark, 1_200, 600)
    for name, share in (("test_predictions", 0.1), ("predictions", wordless)):
        rows = tables[name].withColumn("prediction", (F.col("id") % 3).cast("int"))
        if moved and name == "predictions":
            rows = rows.withColumn("prediction", F.when(F.col("id") % 4 > 0, F.lit(0)).otherwise(F.col("prediction")))
        none = F.pmod(F.xxhash64("id"), F.lit(100)) < 100 * share
        tables[name] = rows.withColumn("prediction", F.when(~none, F.col("prediction")))
    scored = tables["predictions"]
    tables["predictions"] = scored.where("prediction is not null")
    other = scored.withColumn("model_version", F.lit(2))  # of another version: no matter
    rejected = scored.where("prediction is null").union(other).select("id", "predict_at", "model_version")
    tables["predictions_rejected"] = rejected
    changes = {"training_set": {"from": "customers", "task": "topics", "texts": ["same_text"]}}
    _, done = run_stage(tables, changes=changes, notes={"task": "topics", "labels": []})
    (row,) = done.outputs[1].frame.where("feature = 'prediction:prediction'").collect()
    assert row.alarm == alarm
    assert (row.baseline_rows, row.current_rows) == (tables["test_predictions"].count(), 600)
    assert row.baseline_null_share == pytest.approx(0.1, abs=0.03)
    assert row.current_null_share == pytest.approx(wordless, abs=0.04)
    if alarm is False:
        assert row.effect < 0.05


def test_times_until_an_event_are_joined_once_and_count_where_they_say_what_they_are(spark, run_stage):
    tables = few(spark)
    said = F.when(F.col("id") % 9 != 0, F.col("id") % 3 == 0)
    label = {"label": F.col("id") % 7 + F.lit(1.0), "censored": said}
    tables["training_set"] = tables["training_set"].withColumns(label)
    made = spark.sparkContext.accumulator(0)

    def guess(number):
        made.add(1)
        return float(number % 5)

    others = ["id", "predict_at", "revision", "model_version"]
    number = F.udf(guess, "double")("id").alias("prediction")
    tables["predictions"] = tables["predictions"].select(
        *others, number, F.lit(None).cast("double").alias("probability")
    )
    held = spark.sparkContext._jsc.sc().getPersistentRDDs().size()
    changes = {"training_set": {"from": "customers", "label": "churn", "censored": "late"}}
    _, done = run_stage(tables, {}, changes=changes, notes={"task": "regression", "labels": []})
    assert made.value == 200
    assert spark.sparkContext._jsc.sc().getPersistentRDDs().size() == held
    known = [i for i in range(100, 300) if i % 9]
    assert labelled(done) == len(known) == 178
    assert any(note.startswith("quality: 22 of the labels count as unknown") for note in done.notes)
    whole = done.outputs[0].frame.where("granularity = 'all'").first()
    wanted = harrell([i % 7 + 1.0 for i in known], [i % 5 for i in known], [i % 3 == 0 for i in known])
    assert (whole.metric, whole.value) == ("concordance", pytest.approx(wanted))
    assert whole.lower < whole.value < whole.upper


def test_without_time_quality_has_no_window(spark, run_stage):
    tables = few(spark)
    none = F.lit(None).cast("timestamp")
    tables["training_set"] = tables["training_set"].withColumns({"predict_at": none, "label_known_at": none})
    tables["predictions"] = tables["predictions"].withColumn("predict_at", none)
    _, done = run_stage(tables)
    rows = done.outputs[0].frame.collect()
    assert {(r.granularity, r.rows, r.labelled_rows, r.window_start) for r in rows} == {("all", 200, 200, None)}
    assert len(rows) == 3
    assert done.notes[1].endswith("(200 of 200 rows judged, version 3), against 0.990 in the test part: ALARM")
    assert " from " not in done.notes[1]


def test_rows_scored_among_those_learned_from_are_no_drift(spark, run_stage):
    tables = few(spark)
    split = {"by": "time", "train_until": "2024-01-02", "validation_until": "2024-01-05", "test_until": "2024-01-11"}
    changes = {"training_set": {"from": "customers", "label": "churn", "split": split}}
    early = (F.col("split") == "score") & (F.col("predict_at") < F.lit(datetime(2024, 1, 11, tzinfo=UTC)))
    tables["training_set"] = tables["training_set"].withColumn("label", F.when(~early, F.col("label")))
    _, done = run_stage(tables, changes=changes)
    assert {r.current_rows for r in done.outputs[1].frame.collect()} == {100}
    assert {r.rows for r in done.outputs[0].frame.where("granularity = 'all'").collect()} == {100}


def test_rows_scored_after_the_training_set_was_built_are_looked_at_as_if_it_had_them(spark, run_stage):
    def drifts(done):
        frame = done.outputs[1].frame.toPandas().drop(columns=["computed_at"], errors="ignore")
        return frame.sort_values("feature").reset_index(drop=True)

    tables = stage_tables(spark)
    whole = tables["training_set"]
    _, before = run_stage(tables)
    early = whole.where("split <> 'score' or id % 3 = 0")
    _, after = run_stage({**tables, "training_set": early}, whole=whole.withColumn("split", F.lit("train")))
    pd.testing.assert_frame_equal(drifts(before), drifts(after))


def test_without_a_training_set_there_is_no_step():
    bare = pipeline().model_copy(update={"training_set": None})
    assert stage.steps(bare, ("customers",), {}, lambda run, among: run, lambda run, *how: run) == ()
