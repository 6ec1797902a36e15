"""Scoring a table with a model of each kind: Headrace's compiled scorer, and what Spark ML and MLflow have.

    .venv/bin/python benchmarks/scoring.py [--rows 3300000] [--rounds 3] [--only gbt forest] [--without-mlflow] [--without-transform]

60 features (48 numbers, a sixth of them with gaps; 6 whole numbers; 2 marks; 4 categories of 8 to 300 values), models
trained by the search's own functions on 40,000 rows. Each contender reads the Delta table and writes key, time,
prediction and probability to another; they take turns in one JVM on two cores. `scan and write` writes key, time and two numbers
made of all features, without a model. `mlflow.pyfunc.spark_udf` scores a tenth of the rows, those that lie together, once its
workers have read the model, and its time is multiplied; they may be
one task, so one core: then halve it. In nine minutes it had not ended.
Rows that differ from `PipelineModel.transform` are counted on all rows. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contest import contest, scratch, session
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.models.card import ModelCard
from headrace.models.compiled import running
from headrace.models.compiled.builder import build
from headrace.models.predict import predict
from headrace.search.columns import columns
from headrace.search.estimators import ESTIMATORS
from headrace.search.plan import plan
from headrace.search.space import Point
from headrace.search.tallies import Goal
from headrace.search.trial import fit_whole

POINTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "logistic": ("logistic_regression", {}, "logistic regression"),
    "gbt": ("gbt", {"trees": 20, "depth": 5}, "GBT, 20 trees of depth 5"),
    "forest": ("random_forest", {"trees": 50, "depth": 8, "min_rows": 1}, "random forest, 50 trees of depth 8"),
    "xgboost": ("xgboost", {"trees": 100, "depth": 6, "min_child_weight": 1}, "XGBoost, 100 trees of depth 6"),
}
CLOSE = {"xgboost": 1e-6}
"""Relative; XGBoost says floats of 32 bits, of which the last bit may be another."""
TRAINED_ON = 40_000
NUMBERS, WHOLE, MARKS, CATEGORIES = 48, 6, 2, {"c0": 8, "c1": 30, "c2": 100, "c3": 300}


def rows(spark: SparkSession, count: int) -> DataFrame:
    """`id`, `predict_at`, 60 features and `label`, which some of them decide."""
    made = [f"randn({n}) as n{n}" for n in range(NUMBERS)]
    made = [
        f"if(rand({n + 500}) < 0.05, null, randn({n})) as n{n}" if n % 6 == 0 else one for n, one in enumerate(made)
    ]
    made += [f"cast(rand({n + 100}) * {10 ** (1 + n % 3)} as bigint) as w{n}" for n in range(WHOLE)]
    made += [f"rand({n + 200}) < 0.3 as m{n}" for n in range(MARKS)]
    made += [
        f"concat('v', cast(cast(pow(rand({n + 300}), 2) * {values} as int) as string)) as {name}"
        for n, (name, values) in enumerate(CATEGORIES.items())
    ]
    frame = spark.range(0, count, 1, 8).selectExpr(
        "id", "timestamp_seconds(1704067200 + id) as predict_at", *made, "randn(999) as noise"
    )
    told = "coalesce(n0, 0) + n1 * n2 + 0.5 * sin(3 * n3) + n4 * int(m0) + int(c1 < 'v2') + 0.7 * noise > 0.4"
    return frame.selectExpr("* except (noise)", f"{told} as label")


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3_300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=list(POINTS), nargs="+", default=list(POINTS))
    parser.add_argument("--without-mlflow", action="store_true")
    parser.add_argument("--without-transform", action="store_true", help="nor count rows that differ from it")
    given = parser.parse_args()
    spark, load = session(), os.getloadavg()[0]
    with scratch() as place:
        rows(spark, given.rows).write.format("delta").save(f"{place}/rows")
        train = rows(spark, TRAINED_ON).cache()
        for name in given.only:
            print(_measured(spark, place, name, train, given), flush=True)
    print(f"Load before {load:.1f}, now {os.getloadavg()[0]:.1f}.")
    return 0


def _measured(spark: SparkSession, place: str, name: str, train: DataFrame, given: argparse.Namespace) -> str:
    estimator, params, title = POINTS[name]
    recipe = ESTIMATORS[estimator]
    features = [one for one in train.columns if one not in ("id", "predict_at", "label")]
    known = columns(train, features, 100)
    indexed = train.withColumn("label", F.col("label").cast("double"))
    point = Point(estimator, {**recipe.first, **params})
    made = fit_whole(point, "binary", indexed, known, plan(recipe.kind, known), Goal(2), 1, 2)
    folder = f"{place}/{name}"
    made.save(folder)
    model, card = (
        PipelineModel.load(folder),
        ModelCard("binary", known.used, "boolean", (False, True), ("id",), estimator),
    )
    compiled = build(Path(folder), card)
    keep = ("id", "predict_at")

    def table() -> DataFrame:
        return spark.read.format("delta").load(f"{place}/rows")

    def write(frame: DataFrame, to: str) -> None:
        shutil.rmtree(f"{place}/{to}", ignore_errors=True)
        frame.write.format("delta").save(f"{place}/{to}")

    contenders: dict[str, Callable[[], None]] = {
        "scan and write": lambda: write(_scanned(table(), features), "scanned"),
        "Headrace": lambda: write(running.score(compiled, table(), keep), "ours"),
    }
    if not given.without_transform:
        contenders["PipelineModel.transform"] = lambda: write(predict(model, card, table(), keep), "theirs")
    medians = contest(contenders, given.rounds, warm=given.rounds > 1)
    if not given.without_mlflow:
        medians["mlflow.pyfunc.spark_udf"] = _mlflow(spark, place, model, table, write, given.rows)
    wrong = None if given.without_transform else _differing(spark, place, CLOSE.get(name, 1e-9))
    return _shown(f"{given.rows:,} rows, {title}", medians, wrong)


def _scanned(frame: DataFrame, features: list[str]) -> DataFrame:
    """Every feature is read, and two numbers are written for each row."""
    whole = " + ".join(f"coalesce(cast(hash(`{one}`) as double), 0D)" for one in features[NUMBERS:])
    numbers = " + ".join(f"coalesce(`{one}`, 0D)" for one in features[:NUMBERS])
    return frame.selectExpr("id", "predict_at", f"{numbers} > 0 as prediction", f"{numbers} + {whole} as probability")


def _mlflow(
    spark: SparkSession,
    place: str,
    model: PipelineModel,
    table: Callable[[], DataFrame],
    write: Callable[..., None],
    count: int,
) -> float:
    """Seconds for all rows."""
    import mlflow

    folder = f"{place}/mlflow"
    shutil.rmtree(folder, ignore_errors=True)
    mlflow.spark.save_model(model, folder, pip_requirements=["pyspark"])
    udf = mlflow.pyfunc.spark_udf(spark, folder, result_type="double", env_manager="local")

    def seconds(which: str) -> float:
        some = table().where(which)
        features = [one for one in some.columns if one not in ("id", "predict_at", "label")]
        began = time.monotonic()
        write(some.select("id", "predict_at", udf(F.struct(*features)).alias("prediction")), "udf")
        print(f"  mlflow.pyfunc.spark_udf, {which}: {time.monotonic() - began:.1f} s", file=sys.stderr)
        return time.monotonic() - began

    seconds("id % 1000 = 0")  # Python workers load the model
    return 10 * seconds(f"id < {count // 10}")


def _differing(spark: SparkSession, place: str, tolerance: float) -> int:
    ours, theirs = (spark.read.format("delta").load(f"{place}/{one}").alias(one) for one in ("ours", "theirs"))
    near = F.abs(F.col("ours.probability") - F.col("theirs.probability")) <= tolerance * F.col("theirs.probability")
    same = near & (F.col("ours.prediction") == F.col("theirs.prediction"))
    return ours.join(theirs, "id", "full").where(~F.coalesce(same, F.lit(False))).count()


def _shown(title: str, medians: dict[str, float], wrong: int | None) -> str:
    lines = [f"| {title} | median s | of Headrace's time |", "| --- | --- | --- |"]
    lines += [f"| {name} | {value:.1f} | {value / medians['Headrace']:.2f} |" for name, value in medians.items()]
    return "\n".join([*lines, "" if wrong is None else f"\nRows that differ from PipelineModel.transform: {wrong}\n"])


if __name__ == "__main__":
    sys.exit(main())
