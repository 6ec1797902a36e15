"""Predictions and labels in the one form from which all metrics are computed.

A judged frame has one row per judged row and slice: `slice_column` and `slice_value` (strings; both empty for
all rows), `unit` (int, the random group for the bootstrap), `y` and `yhat` (double: class index, or the value),
`score` (double: probability of the positive class; null unless binary), `p_true` (double: probability given to
the true class; null for regression), `censored` (boolean: `y` is only a lower bound; false unless the rows say so).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from headrace.config.learning import CENSORED, TrainingSet

FLAG = "__censored"
"""Boolean, of rows whose label may be censored: whether it is only a lower bound."""
OVERALL = ""
"""Stands in `slice_column` and `slice_value` for all rows."""


def with_flag(rows: DataFrame, training: TrainingSet | None) -> DataFrame:
    """Rows of a training set, with `FLAG` where labels may be censored."""
    return rows.withColumn(FLAG, F.col(CENSORED)) if training and training.censored else rows


def labels_of(rows: DataFrame) -> list[str]:
    """The columns of rows that say what came true."""
    return ["label", FLAG] if FLAG in rows.columns else ["label"]


def class_index(value: Column, labels: Sequence[Any], kind: DataType | None = None) -> Column:
    """The index (double) of a label in its own value; null for null, `len(labels)` for a value not among them.

    Args:
        value: A label.
        labels: All classes, in their order.
        kind: The type of the column, which literals of decimals and dates do not have by themselves.
    """
    literals = [F.lit(label) for label in labels]
    known = F.array(*[one if kind is None else one.cast(kind) for one in literals])
    return F.when(
        value.isNotNull(),
        F.coalesce(F.nullif(F.array_position(known, value), F.lit(0)), F.lit(len(labels) + 1)).cast("double") - 1,
    )


def unit_group(columns: Sequence[str], groups: int, seed: int = 0) -> Column:
    """A random group (int, 0 to groups - 1) by a hash of the key: the same row is in the same group everywhere."""
    return F.pmod(F.xxhash64(*[F.col(f"`{name}`") for name in columns], F.lit(seed)), F.lit(groups)).cast("int")


def judged(frame: DataFrame, task: str, labels: Sequence[Any], unit: Column, slices: Sequence[str] = ()) -> DataFrame:
    """Rows with a label, in the form that metrics read; once for all rows and once per slice column.

    Args:
        frame: `label`, `prediction` (the label's own type) and, unless regression, `probability` (double of the
            positive class, or map<string,double> of all classes), the slice columns; maybe `FLAG`.
        task: `binary`, `multiclass` or `regression`.
        labels: All classes in the order of their index; the last of two is the positive one.
        unit: Random group of each row.
        slices: Columns whose values are judged one by one (a null counts as the value `null`).
    """
    regression = task == "regression"
    label, guess = F.col("label"), F.col("prediction")
    kinds = [frame.schema[name].dataType for name in ("label", "prediction")]
    y = label.cast("double") if regression else class_index(label, labels, kinds[0])
    yhat = guess.cast("double") if regression else class_index(guess, labels, kinds[1])
    parts = [F.struct(F.lit(OVERALL).alias("slice_column"), F.lit(OVERALL).alias("slice_value"))]
    parts += [
        F.struct(
            F.lit(name).alias("slice_column"),
            F.coalesce(F.col(f"`{name}`").cast("string"), F.lit("null")).alias("slice_value"),
        )
        for name in slices
    ]
    score, p_true = _probabilities(task, y, labels)
    rows = frame.where(label.isNotNull()).select(
        F.explode(F.array(*parts)).alias("slice"),
        unit.alias("unit"),
        y.alias("y"),
        yhat.alias("yhat"),
        score.alias("score"),
        p_true.alias("p_true"),
        (F.col(FLAG) if FLAG in frame.columns else F.lit(False)).alias("censored"),
    )
    return rows.select("slice.*", "unit", "y", "yhat", "score", "p_true", "censored")


def _probabilities(task: str, y: Column, labels: Sequence[Any]) -> tuple[Column, Column]:
    nothing = F.lit(None).cast("double")
    if task == "regression":
        return nothing, nothing
    p = F.col("probability")
    if task == "binary":
        return p.cast("double"), F.when(y == 1.0, p).when(y == 0.0, 1.0 - p).otherwise(F.lit(0.0))
    return nothing, F.coalesce(F.try_element_at(p, F.col("label").cast("string")), F.lit(0.0))
