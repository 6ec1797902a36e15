"""The label as Spark ML wants it, and the task where nobody said it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.config.learning import UNLABELLED
from headrace.errors import DataError
from headrace.metrics.frame import class_index
from headrace.models.predict import PREDICTION_TYPE

FEW = 20
"""A whole-number label of at most so many values is taken for classes."""
MAX_CLASSES = 200
WHOLE = ("tinyint", "smallint", "int", "bigint")


@dataclass(frozen=True)
class Target:
    """What is learned.

    Attributes:
        task: `binary`, `multiclass` and so on.
        label_type: Spark's simple type of the column `label`.
        labels: Classes in the order of their index, in the label's own values; the last of two is positive.
        rows: Training rows per class, or of all (regression: one number).
    """

    task: str
    label_type: str
    labels: tuple[Any, ...]
    rows: tuple[int, ...]

    def with_index(self, frame: DataFrame) -> DataFrame:
        """`label` as double: the class index (rows of a class that training did not have are left out), or value.

        Of a task without a label it is 0.
        """
        if self.task in UNLABELLED:
            return frame.withColumn("label", F.lit(0.0))
        if self.task in ("regression", "recommendation"):
            return frame.withColumn("label", F.col("label").cast("double")).where("not isnan(label)")
        return frame.withColumn(
            "label", class_index(F.col("label"), self.labels, frame.schema["label"].dataType)
        ).where(F.col("label") < len(self.labels))


def target(train: DataFrame, facts: Mapping[str, Any], task: str | None) -> Target:
    """Look at the training part's labels. Runs one Spark job.

    Args:
        train: Training rows with `label`, not null.
        facts: Of the training set: `task` and `labels` where it knows them.
        task: From the configuration, which wins.

    Raises:
        DataError: If there are no rows, or one class only.
    """
    label_type = train.schema["label"].dataType.simpleString()
    counts = {
        row["label"]: row["rows"]
        for row in train.groupBy("label").agg(F.count("*").alias("rows")).limit(MAX_CLASSES + 1).collect()
    }
    if not counts:
        raise DataError(
            "the training part has no row with a label; move split.train_until, or look why `label` is null: "
            'headrace sql "select split, count(*), count(label) from training_set group by split"'
        )
    found = task or facts.get("task") or infer_task(label_type, list(counts))
    if found == "regression":
        return _values(label_type, train)
    if len(counts) == 1:
        raise DataError(
            f"every training row has the label {next(iter(counts))!r}, so there is nothing to learn; "
            "check the expression of training_set.label, and the split"
        )
    if found == "binary" and len(counts) > 2:
        raise DataError(
            f"the label has {_many(counts)} values in the training part, and the task is binary; write a label with "
            'two, as "delay >= 15", or task: multiclass or regression'
        )
    if len(counts) > MAX_CLASSES:
        raise DataError(f"the label has more than {MAX_CLASSES} classes; write task: regression, or a coarser label")
    labels = _ordered(counts, facts.get("labels") or ())
    return Target(found, label_type, labels, tuple(counts[label] for label in labels))


def without_classes(train: DataFrame, task: str) -> Target:
    """The target of a task that has no label, or ratings. Runs a Spark job.

    Raises:
        DataError: If there are no rows.
    """
    rows = train.count()
    if not rows:
        raise DataError("the training part has no row; move split.train_until, or bring more data")
    return Target(task, PREDICTION_TYPE[task], (), (rows,))


def infer_task(label_type: str, values: Sequence[Any]) -> str:
    """Two values or a boolean: binary; text or few whole numbers: multiclass; else regression.

    >>> infer_task("boolean", [True, False]), infer_task("int", [0, 1]), infer_task("int", [1, 2, 3])
    ('binary', 'binary', 'multiclass')
    >>> infer_task("double", [0.5, 1.5, 2.0]), infer_task("string", list("abc"))
    ('regression', 'multiclass')
    """
    if label_type == "boolean" or len(values) == 2:
        return "binary"
    if label_type == "string":
        return "multiclass"
    return "multiclass" if label_type in WHOLE and len(values) <= FEW else "regression"


def _values(label_type: str, train: DataFrame) -> Target:
    if label_type in ("string", "boolean"):
        raise DataError(f"a {label_type} label cannot be learned by regression; write task: binary or multiclass")
    spread = train.agg(F.count("*").alias("rows"), F.min("label").alias("low"), F.max("label").alias("high")).first()
    if spread is None or spread["low"] == spread["high"]:
        raise DataError(f"every training row has the same label {spread and spread['low']!r}; check training_set.label")
    return Target("regression", label_type, (), (int(spread["rows"]),))


def _ordered(counts: Mapping[Any, int], known: Sequence[Any]) -> tuple[Any, ...]:
    first = [label for label in known if label in counts]
    return tuple(first + sorted(label for label in counts if label not in first))


def _many(counts: Mapping[Any, int]) -> str:
    return f"more than {MAX_CLASSES}" if len(counts) > MAX_CLASSES else str(len(counts))
