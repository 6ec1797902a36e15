"""The stage `monitor` on whole frames: drift and quality against pandas, SciPy and what is known by construction."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.config.types import Pipeline
from headrace.monitoring import bins, drift, quality, rows, verdicts
from headrace.monitoring.stage import steps

NOW = datetime(2024, 2, 1, tzinfo=UTC)


@dataclass
class FakeRun:
    """A run over frames in memory."""

    spark: SparkSession
    pipeline: Pipeline
    tables: dict[str, DataFrame]
    notes: dict[str, Any]
    as_of: datetime = NOW
    run_id: str = "run-1"
    model_name: str = "churn"
    read_tables: list[str] = field(default_factory=list)

    def read(self, table):
        self.read_tables.append(table)
        return self.tables[table]

    def exists(self, table):
        return table in self.tables

    def facts(self, table):
        return {"facts": self.notes}


def pipeline(**more) -> Pipeline:
    return Pipeline.model_validate(
        {
            "pipeline": "churn",
            "tables": {"customers": {"source": {"format": "csv", "path": "x.csv"}, "key": "id"}},
            "training_set": {"from": "customers", "label": "churn"},
            **more,
        }
    )


def a_training_set(n: int, m: int, seed: int = 0) -> pd.DataFrame:
    """`n` rows of training, `m` to be scored; `same_*` do not drift, `moved_*` do."""
    rng = np.random.default_rng(seed)
    size, later = n + m, np.arange(n + m) >= n
    frame = pd.DataFrame({"id": np.arange(size), "split": np.where(later, "score", "train")})
    frame.loc[: n // 5, "split"] = "validation"
    frame["predict_at"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(size) % 20, unit="D")
    frame["same_number"] = rng.normal(size=size)
    frame["same_text"] = rng.choice([f"c{i}" for i in range(30)], size=size)
    frame["same_flag"] = rng.random(size) < 0.3
    frame["same.count"] = rng.poisson(0.5, size=size)
    frame["same_constant"] = 7
    frame["moved_number"] = rng.normal(size=size) + np.where(later, 1.5, 0.0)
    frame["moved_text"] = np.where(later & (rng.random(size) < 0.4), "new", rng.choice(["a", "b"], size=size))
    frame["moved_null"] = np.where(later & (rng.random(size) < 0.5), None, rng.normal(size=size))
    frame["moved_nan"] = np.where(later & (rng.random(size) < 0.5), "NaN", rng.normal(size=size).astype(str))
    frame["moved_constant"] = np.where(later, 6, 7)
    return frame


def to_spark(spark: SparkSession, frame: pd.DataFrame) -> DataFrame:
    numbers = ("moved_null", "moved_nan")
    text = frame.assign(**{c: [None if v is None else str(v) for v in frame[c]] for c in numbers if c in frame})
    table = spark.createDataFrame(text)
    return table.withColumns({c: table[c].cast("double") for c in numbers if c in frame})


def scored(spark: SparkSession, frame: pd.DataFrame) -> DataFrame:
    return spark.createDataFrame(frame.loc[frame.split == "score", ["id", "predict_at"]])


def features_of(frame: pd.DataFrame) -> list[str]:
    return [c for c in frame.columns if c.startswith(("same", "moved"))]


def measured(spark: SparkSession, frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    both = rows.sides(to_spark(spark, frame), scored(spark, frame), ["id"], names)
    stamp = drift.Stamp("churn", "run-1", NOW, None, None)
    return pd.DataFrame(drift.records(drift.measure(both, names), pipeline().monitoring.alarms, stamp)).set_index(
        "feature"
    )


@pytest.mark.parametrize(("n", "m"), [(2_000, 200), (4_000, 2_000)])
def test_what_moved_alarms_and_what_did_not_is_silent(spark, n, m):
    frame = a_training_set(n, m)
    names = features_of(frame)
    found = measured(spark, frame, names)
    assert list(found.index) == names
    assert found.alarm.to_dict() == {name: name.startswith("moved") for name in names}
    assert (found.baseline_rows == n).all()
    assert (found.current_rows == m).all()


def test_without_drift_two_hundred_rows_raise_no_alarm_whatever_the_seed(spark):
    frames = [a_training_set(1_500, 200, seed).filter(regex="^(id|split|predict_at|same)") for seed in range(8)]
    wide = pd.concat([frames[0][["id", "split", "predict_at"]], *[f.filter(like="same").add_suffix(f"_{i}")
                      for i, f in enumerate(frames)]], axis=1)  # fmt: skip
    found = measured(spark, wide, features_of(wide))
    assert len(found) == 40
    assert not found.alarm.any()


def test_histograms_are_those_of_pandas(spark):
    frame = a_training_set(1_000, 500)
    names = features_of(frame)
    both = rows.sides(to_spark(spark, frame), scored(spark, frame), ["id"], names)
    for d in drift.measure(both, names):
        for side, histogram in ((frame.split != "score", d.baseline), (frame.split == "score", d.current)):
            values = frame.loc[side, d.bins.column]
            null = values.isna()
            if d.bins.kind == "numeric":
                number = values[~null].astype(float)
                good = number.dropna()
                index = [sum(edge < v for edge in d.bins.edges) for v in good]
                expected = [index.count(i) for i in range(len(d.bins.edges) + 1)] + [int(number.isna().sum())]
                assert histogram.mean == (pytest.approx(good.mean()) if len(good) else None)
            else:
                text = [str(v).lower() if isinstance(v, bool | np.bool_) else v for v in values[~null]]
                expected = [text.count(c) for c in d.bins.categories]
                expected.append(len(text) - sum(expected))
            assert list(histogram.rows) == [*expected, int(null.sum())], d.bins.column


def test_the_fifty_most_frequent_categories_are_kept_ties_by_name(spark):
    values = [f"v{i:03d}" for i in range(80) for _ in range(2 if i < 49 else 1)]
    frame = spark.createDataFrame([(v,) for v in values], "x string")
    (found,) = bins.learn(frame, ["x"])
    assert found.categories == tuple(f"v{i:03d}" for i in range(50))


def test_only_scored_rows_of_the_score_part_are_current_and_null_keys_are_equal(spark):
    training = spark.sql(
        """select * from values (1, 'train', 1.0), (2, 'test', 2.0), (3, 'score', 3.0), (null, 'score', 4.0),
        (5, 'score', 5.0), (6, 'purged', 6.0), (7, 'validation', 7.0) as t(id, split, x)"""
    ).selectExpr("*", "timestamp'2024-01-01' as predict_at")
    predictions = spark.sql("select * from values (1), (2), (3), (3), (null) as t(id)").selectExpr(
        "*", "timestamp'2024-01-01' as predict_at"
    )
    found = rows.sides(training, predictions, ["id"], ["x"])
    assert found.columns == ["predict_at", "x", "_current"]
    assert sorted((float(r.x), r._current) for r in found.collect()) == [(1, False), (3, True), (4, True), (7, False)]


def jobs_of(spark: SparkSession, work) -> int:
    group = f"count-{uuid.uuid4()}"
    spark.sparkContext.setJobGroup(group, group)
    work()
    spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
    return len(spark.sparkContext.statusTracker().getJobIdsForGroup(group))


def test_the_number_of_jobs_does_not_depend_on_the_number_of_features(spark):
    def frame(features):
        columns = [f"{'cast(id % 7 as string)' if i % 2 else 'rand(1)'} as f{i}" for i in range(features)]
        return spark.range(200).selectExpr("id % 2 = 1 as _current", *columns).coalesce(1)

    few = jobs_of(spark, lambda: drift.measure(frame(2), ["f0", "f1"]))
    many = jobs_of(spark, lambda: drift.measure(frame(80), [f"f{i}" for i in range(80)]))
    assert 0 < many == few <= 8


# Quality


def judged_rows(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"model_version": rng.choice(["1", "2"], n), "day": rng.integers(0, 3, n)})
    frame["probability"] = rng.random(n).round(2)
    frame["label"] = (rng.random(n) < frame.probability).astype(float)
    frame["prediction"] = ((frame.probability > 0.5) == (frame.label == 1)).astype(float)
    frame["p_true"] = np.where(frame.label == 1, frame.probability, 1 - frame.probability)
    frame.loc[frame.index % 7 == 0, ["probability", "label", "prediction", "p_true"]] = np.nan
    frame["predict_at"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame.day, unit="D")
    frame["day"] = frame.predict_at.dt.date
    return frame


def judged_in_spark(spark: SparkSession, frame: pd.DataFrame) -> DataFrame:
    table = spark.createDataFrame(frame)
    names = ("probability", "label", "prediction", "p_true")
    return table.withColumns({name: F.when(~F.isnan(name), F.col(name)) for name in names})


def auc(p, y):
    pos, neg = p[y == 1], p[y == 0]
    wins = (pos[:, None] > neg[None, :]) + 0.5 * (pos[:, None] == neg[None, :])
    v10, v01 = wins.mean(axis=1), wins.mean(axis=0)
    half = quality.Z * np.sqrt(v10.var(ddof=1) / len(pos) + v01.var(ddof=1) / len(neg))
    return wins.mean(), max(0, wins.mean() - half), min(1, wins.mean() + half)


def expected_metrics(frame: pd.DataFrame) -> list[dict[str, Any]]:
    out = []
    groups = [((v, None), g) for v, g in frame.groupby("model_version")]
    groups += [((v, d), g) for (v, d), g in frame.groupby(["model_version", "day"])]
    for (version, day), g in groups:
        known = g.dropna(subset="label")
        area = auc(known.probability.to_numpy(), known.label.to_numpy())
        loss = -np.log(known.p_true.clip(lower=1e-15))
        half = quality.Z * loss.std() / np.sqrt(len(loss))
        k, n, z = known.prediction.mean(), len(known), quality.Z
        middle, spread = (
            (k + z * z / 2 / n) / (1 + z * z / n),
            z / (1 + z * z / n) * np.sqrt(k * (1 - k) / n + z * z / 4 / n / n),
        )
        for metric, (value, lower, upper) in {
            "areaUnderROC": area,
            "logLoss": (loss.mean(), max(0, loss.mean() - half), loss.mean() + half),
            "accuracy": (k, middle - spread, middle + spread),
        }.items():
            out.append({"model_version": version, "day": day, "metric": metric, "rows": len(g), "labelled_rows": n,
                        "value": value, "lower": lower, "upper": upper})  # fmt: skip
    return out


def test_metrics_and_their_intervals_are_those_of_pandas(spark):
    frame = judged_rows(600)
    found = quality.metrics_of(judged_in_spark(spark, frame), "binary").drop("window_start", "window_end").toPandas()
    expected = pd.DataFrame(expected_metrics(frame))
    order = ["model_version", "metric", "day"]
    assert_frame_equal(
        found[expected.columns].sort_values(order).reset_index(drop=True),
        expected.sort_values(order).reset_index(drop=True),
        check_dtype=False,
        rtol=1e-9,
    )


def test_regression_has_rmse_and_mae(spark):
    frame = spark.sql(
        """select '1' as model_version, date'2024-01-01' as day, timestamp'2024-01-01' as predict_at, label, prediction,
        cast(null as double) probability, cast(null as double) p_true
        from values (1D, 2D), (5D, 2D), (cast(null as double), null) as t(label, prediction)"""
    )
    found = quality.metrics_of(frame, "regression").where("day is null").collect()
    half = quality.Z * np.std([1, 9], ddof=1) / np.sqrt(2)
    assert {r.metric: (r.value, r.lower, r.upper, r["rows"], r.labelled_rows) for r in found} == {
        "rmse": (pytest.approx(np.sqrt(5)), 0.0, pytest.approx(np.sqrt(5 + half)), 3, 2),
        "mae": (2.0, pytest.approx(2 - quality.Z * 1.0), pytest.approx(2 + quality.Z * 1.0), 3, 2),
    }


def test_one_class_only_has_no_area(spark):
    frame = judged_rows(40).assign(model_version="1")
    frame.loc[frame.label == 0, ["label", "probability", "prediction", "p_true"]] = np.nan
    found = quality.metrics_of(judged_in_spark(spark, frame), "binary").where("metric = 'areaUnderROC'").collect()
    assert found
    assert all((r.value, r.lower, r.upper) == (None, None, None) for r in found)


@pytest.mark.parametrize(
    ("labels", "kind", "truth"),
    [(["No", "Yes"], "string", "Yes"), ([False, True], "boolean", True), ([0, 1], "int", 1)],
)
def test_a_label_counts_only_once_known_and_old_enough(spark, labels, kind, truth):
    schema = f"id int, predict_at timestamp, label {kind}, label_known_at timestamp"
    day = timedelta(days=1)
    training = spark.createDataFrame(
        [
            (1, NOW - 9 * day, truth, NOW - 8 * day),  # known
            (2, NOW - 9 * day, labels[0], NOW),  # known just now
            (3, NOW - 9 * day, truth, NOW + timedelta(microseconds=1)),  # not known yet
            (4, NOW - day, truth, NOW - day),  # too young
            (5, NOW - 9 * day, None, NOW - day),  # none
            (6, NOW - 2 * day, labels[0], NOW - day),  # just old enough
        ],
        schema,
    )
    predictions = spark.createDataFrame(
        [(i, NOW - d * day, truth, 0.9, revision, 1) for i, d, revision in
         ((1, 9, 1), (1, 9, 2), (2, 9, 1), (3, 9, 1), (4, 1, 1), (5, 9, 1), (6, 2, 1), (7, 9, 1))],
        f"id int, predict_at timestamp, prediction {kind}, probability double, revision int, model_version int",
    )  # fmt: skip
    found = quality.judged(predictions, training, ["id"], labels, NOW, 2 * 86_400).orderBy("predict_at", "label")
    seen = sorted(
        ((r.label, r.prediction, r.probability, r.p_true and round(r.p_true, 9)) for r in found.collect()), key=str
    )
    hit, miss, none = (1.0, 1.0, 0.9, 0.9), (0.0, 0.0, 0.9, 0.1), (None,) * 4
    assert seen == sorted([hit, miss, none, none, none, miss, none], key=str)


# The stage


def stage_tables(spark: SparkSession, n: int = 1_200, m: int = 600) -> dict[str, DataFrame]:
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
        "evaluation": spark.sql(
            "select * from values ('areaUnderROC', cast(null as string), 0.99D), ('areaUnderROC', 'carrier', 0.5D), "
            "('logLoss', null, 0.9D) as t(metric, slice_column, value)"
        ),
    }


NOTES = {"key": ["id"], "task": "binary", "labels": ["No", "Yes"]}


def run_stage(spark, tables, **more):
    notes = {**NOTES, "features": [c for c in tables["training_set"].columns if c.startswith(("same", "moved"))]}
    run = FakeRun(spark, pipeline(), tables, notes, **more)
    (step,) = steps(run.pipeline)
    return step, step.run(run)


def test_the_stage_writes_both_tables_and_says_what_matters(spark):
    step, done = run_stage(spark, stage_tables(spark))
    assert step.inputs == ("training_set", "predictions")
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


def test_nothing_scored_yet_is_no_failure(spark):
    tables = stage_tables(spark)
    tables["predictions"] = tables["predictions"].limit(0)
    _, done = run_stage(spark, tables)
    assert done.notes == ("drift: nothing scored yet", "quality: nothing scored yet")
    assert [o.frame.count() for o in done.outputs] == [0, 0]
    assert [len(o.frame.columns) for o in done.outputs] == [15, 21]


def test_no_label_known_yet_is_no_failure(spark):
    tables = stage_tables(spark)
    del tables["evaluation"], tables["test_predictions"]
    _, done = run_stage(spark, tables, as_of=datetime(2024, 1, 1, tzinfo=UTC))
    assert done.notes[1] == "quality: no label known yet for 600 scored rows"
    first = (
        done.outputs[0].frame.where("granularity = 'all'").select("rows", "labelled_rows", "value", "alarm").distinct()
    )
    assert [tuple(r) for r in first.collect()] == [(600, 0, None, False)]
    assert "prediction:probability" not in [r.feature for r in done.outputs[1].frame.collect()]


def test_without_a_training_set_there_is_no_step():
    assert steps(Pipeline.model_validate(pipeline().model_dump(by_alias=True) | {"training_set": None})) == ()


@pytest.mark.parametrize(
    ("metric", "bounds", "baseline", "tests", "alarm"),
    [
        ("areaUnderROC", (0.70, 0.65, 0.75), 0.76, 1, True),
        ("areaUnderROC", (0.70, 0.65, 0.75), 0.74, 1, False),
        ("areaUnderROC", (0.70, 0.65, 0.75), 0.60, 1, False),  # better
        ("areaUnderROC", (0.70, 0.65, 0.75), 0.76, 30, False),  # one day of thirty
        ("areaUnderROC", (0.70, 0.65, 0.75), 0.80, 30, True),
        ("rmse", (3.0, 2.5, 3.5), 2.4, 1, True),
        ("rmse", (3.0, 2.5, 3.5), 3.6, 1, False),  # better
        ("rmse", (3.0, None, None), 1.0, 1, False),
        ("rmse", (3.0, 2.5, 3.5), None, 1, False),
    ],
)
def test_an_alarm_is_worse_than_the_baseline_by_more_than_chance(metric, bounds, baseline, tests, alarm):
    row = {"metric": metric, **dict(zip(("value", "lower", "upper"), bounds, strict=True)), "labelled_rows": 30}
    assert verdicts.worse(row, baseline, tests) is alarm
    assert verdicts.worse({**row, "labelled_rows": 29}, baseline, tests) is False
