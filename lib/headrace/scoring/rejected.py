"""Rows that a model has no answer for: in a table of their own, each with the reason, and not among the predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, FloatType

from headrace.config.learning import REJECTED
from headrace.runtime.step import Run

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

NO_PREDICTION = "the model gives no prediction"
WHY_NONE = {"topics": "no known word"}
"""Of tasks of which it is known why a model gives no prediction."""


def reason(scored: DataFrame, none: str = NO_PREDICTION) -> Column:
    """Why a row has no answer; null where it has one.

    Args:
        scored: With `prediction` and `probability`; the latter may be null, or a map.
        none: What is said where the model gives no prediction.
    """
    prediction, probability = F.col("prediction"), F.col("probability")
    why = F.when(prediction.isNull(), F.lit(none))
    if isinstance(scored.schema["prediction"].dataType, DoubleType | FloatType):
        why = why.when(F.isnan(prediction), F.lit("the prediction is NaN"))
        why = why.when(F.abs(prediction) == float("inf"), F.lit("the prediction is infinite"))
    if isinstance(scored.schema["probability"].dataType, DoubleType):
        why = why.when(F.isnan(probability), F.lit("the probability is NaN"))
    return why


def tried(run: Run, table: str, version: int) -> DataFrame | None:
    """Rows that a version had no answer for before: asked again it would have none; None: there are none."""
    if not run.exists(f"{table}{REJECTED}"):
        return None
    return run.read(f"{table}{REJECTED}").where(F.col("model_version") == version)


def reject(run: Run, table: str, scored: DataFrame, key: Sequence[str]) -> int:
    """Enter rows without an answer; how many. Runs Spark jobs.

    Args:
        run: The run.
        table: Of the predictions.
        scored: All rows, as they would be predictions.
        key: Of the spine.
    """
    stamps = ("model_name", "model_version", "run_id")
    training = run.pipeline.training_set
    none = WHY_NONE.get(str(training.kind), NO_PREDICTION) if training else NO_PREDICTION
    bad = scored.withColumn("reason", reason(scored, none)).where("reason is not null")
    rows = bad.select(*key, "predict_at", "reason", *stamps, F.col("scored_at").alias("rejected_at")).persist()
    try:
        found = rows.groupBy("reason").count().orderBy(F.desc("count")).collect()  # a row per reason
        if found:
            run.append(f"{table}{REJECTED}", rows)
            told = "; ".join(f"{row['count']:,}: {row['reason']}" for row in found)
            run.say(f"rows without an answer are in {table}{REJECTED}: {told}")
        return sum(int(row["count"]) for row in found)
    finally:
        rows.unpersist()
