"""Quality on whole frames, against pandas: what was predicted beside what came true."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.monitoring import quality
from tests.spark.monitored import NOW


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
    table = table.withColumns({name: F.when(~F.isnan(name), F.col(name)) for name in names})
    return table.withColumn("next_due", F.lit(None).cast("timestamp"))


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
    found = (
        quality.metrics_of(judged_in_spark(spark, frame), "binary")
        .drop("window_start", "window_end", "next_due")
        .toPandas()
    )
    expected = pd.DataFrame(expected_metrics(frame))
    order = ["model_version", "metric", "day"]
    assert_frame_equal(
        found[expected.columns].sort_values(order).reset_index(drop=True),
        expected.sort_values(order).reset_index(drop=True),
        check_dtype=False,
        rtol=1e-9,
    )


CLASSES = ["high", "low", "mid"]


def outcomes(labels: list[str], seed: int = 0) -> pd.DataFrame:
    """Predictions and what came true: ties, days with one row or none judged, a class that training did not know."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"id": np.arange(200), "model_version": rng.choice([1, 2], 200)})
    frame["predict_at"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 4, 200), unit="D")
    frame.loc[0, ["predict_at", "model_version"]] = (pd.Timestamp("2024-01-09"), 1)  # a day with one row
    frame.loc[1, ["predict_at", "model_version"]] = (pd.Timestamp("2024-01-10"), 1)  # and one without any label
    if labels:
        p = rng.dirichlet(np.ones(3), 200).round(2)
        frame["prediction"] = [labels[i] for i in p.argmax(axis=1)]
        frame["probability"] = [dict(zip(labels, row, strict=True)) for row in p.tolist()]
        frame["label"] = rng.choice([*labels, "unseen"], 200)
    else:
        frame["prediction"] = rng.normal(size=200).round(1)
        frame["probability"] = None
        frame["label"] = frame.prediction + rng.normal(size=200).round(1) * 1e6 ** (frame.id % 2)
    frame["label"] = frame.label.astype(object).where((frame.id % 5 > 0) & (frame.id != 1) | (frame.id == 0), None)
    return frame


def expected_quality(frame: pd.DataFrame, task: str) -> pd.DataFrame:
    out = []
    frame = frame.assign(day=frame.predict_at.dt.date)
    groups = [(v, None, g) for v, g in frame.groupby("model_version")]
    groups += [(v, d, g) for (v, d), g in frame.groupby(["model_version", "day"])]
    for version, day, g in groups:
        known = g.dropna(subset="label")
        if task == "multiclass":
            given = [p.get(y, 0.0) for p, y in zip(known.probability, known.label, strict=True)]
            observed = {
                "accuracy": (known.prediction == known.label).astype(float),
                "logLoss": pd.Series(given, dtype=float),
            }
            observed["logLoss"] = -np.log(observed["logLoss"].clip(lower=1e-15))
        else:
            error = (known.label - known.prediction).astype(float)
            observed = {"rmse": error**2, "mae": error.abs()}
        for metric, x in observed.items():
            n, mean, z = len(x), x.mean(), quality.Z
            half = z * x.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
            value, lower, upper = mean, max(0.0, mean - half) if n > 1 else np.nan, mean + half
            if metric == "accuracy" and n:
                middle, half = mean + z * z / 2 / n, z * np.sqrt(mean * (1 - mean) / n + z * z / 4 / n / n)
                lower, upper = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
            if metric == "rmse":
                value, lower, upper = np.sqrt([mean, lower, upper])
            out.append({"model_version": str(version), "day": day, "metric": metric, "rows": len(g), "labelled_rows": n,
                        "value": value, "lower": lower, "upper": upper})  # fmt: skip
    return pd.DataFrame(out)


def tuples(frame: pd.DataFrame, columns: list[str]) -> list[tuple[Any, ...]]:
    times = [at.tz_localize("UTC").to_pydatetime() for at in frame.predict_at]
    return list(zip(*[times if name == "predict_at" else frame[name] for name in columns], strict=True))


@pytest.mark.parametrize(
    ("task", "labels", "kinds"),
    [("multiclass", CLASSES, ("string", "map<string,double>")), ("regression", [], ("double", "double"))],
)
def test_quality_of_other_tasks_is_that_of_pandas(spark, task, labels, kinds):
    frame = outcomes(labels)
    columns = ["id", "predict_at", "prediction", "probability", "model_version"]
    predictions = spark.createDataFrame(
        tuples(frame, columns),
        f"id int, predict_at timestamp, prediction {kinds[0]}, probability {kinds[1]}, model_version int",
    ).withColumn("revision", F.lit(1))
    spine = spark.createDataFrame(
        tuples(frame, ["id", "predict_at", "label"]),
        f"id int, predict_at timestamp, label {kinds[0]}",
    ).withColumns({"label_known_at": F.col("predict_at"), "split": F.lit("score")})
    judged = quality.judged(predictions, spine, ["id"], labels, NOW, 0)
    found = quality.metrics_of(judged, task).drop("window_start", "window_end", "next_due").toPandas()
    expected = expected_quality(frame, task)
    assert set(expected.labelled_rows) > {0, 1}
    order = ["model_version", "metric", "day"]
    assert_frame_equal(
        found[expected.columns].sort_values(order).reset_index(drop=True),
        expected.sort_values(order).reset_index(drop=True),
        check_dtype=False,
        rtol=1e-9,
    )


def test_one_class_only_has_no_area(spark):
    frame = judged_rows(40).assign(model_version="1")
    frame.loc[frame.label == 0, ["label", "probability", "prediction", "p_true"]] = np.nan
    found = quality.metrics_of(judged_in_spark(spark, frame), "binary").where("metric = 'areaUnderROC'").collect()
    assert found
    assert all((r.value, r.lower, r.upper) == (None, None, None) for r in found)


def test_without_time_quality_is_measured_per_version_and_not_by_day(spark):
    spine = spark.sql(
        """select id, cast(null as timestamp) predict_at, id % 3 = 0 label, cast(null as timestamp) label_known_at,
        'train' split from range(60)"""
    )
    predictions = spine.selectExpr(
        "id", "predict_at", "id % 2 = 0 prediction", "id / 60 probability", "1 revision", "1 + id % 2 model_version"
    )
    judged = quality.judged(predictions, spine, ["id"], [False, True], NOW, 86_400_000_000)
    found = quality.metrics_of(judged, "binary").drop("logLoss", "lower", "upper", "window_start", "window_end")
    frame = pd.DataFrame({"id": range(60)})
    frame["label"], frame["p"], frame["hit"] = (
        frame.id % 3 == 0,
        frame.id / 60,
        (frame.id % 3 == 0) == (frame.id % 2 == 0),
    )
    expected = []
    for version, g in frame.groupby(1 + frame.id % 2):
        area = auc(g.p.round(4).to_numpy(), g.label.to_numpy().astype(int))[0]
        values = {"areaUnderROC": area, "accuracy": g.hit.mean()}
        expected += [(str(version), None, 30, 30, m, round(v, 9)) for m, v in values.items()]
    rows = found.where("metric <> 'logLoss'").selectExpr(
        "model_version", "day", "rows", "labelled_rows", "metric", "round(value, 9)"
    )
    assert sorted(map(tuple, rows.collect()), key=str) == sorted(expected, key=str)


def test_rows_without_a_time_among_others_count_once(spark):
    frame = judged_in_spark(spark, judged_rows(60).assign(model_version="1"))
    some = frame.withColumns({name: F.when(F.col("p_true") > 0.3, F.col(name)) for name in ("day", "predict_at")})
    whole = quality.metrics_of(some, "binary").where("day is null").select("metric", "rows", "value").collect()
    before = quality.metrics_of(frame, "binary").where("day is null").select("metric", "rows", "value").collect()
    assert sorted(map(tuple, whole)) == [(m, n, pytest.approx(v, rel=1e-12)) for m, n, v in sorted(map(tuple, before))]
