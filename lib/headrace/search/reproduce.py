"""Training a version again on the rows that it was trained on, and comparing what the two predict, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from headrace.config.learning import NAMING, UNLABELLED
from headrace.errors import DataError
from headrace.models.card import ModelCard
from headrace.models.predict import predict
from headrace.runtime.settings import held
from headrace.runtime.step import Run
from headrace.search.problem import look
from headrace.search.search import learning, refitted, rounds
from headrace.search.space import Point

LAYOUT = "spark.sql.leafNodeDefaultParallelism"
"""Decides into how many partitions files are read."""
NUMBERS = ("regression", "recommendation")
"""Tasks that predict a number."""


@dataclass(frozen=True)
class Compared:
    """What two models predict of the same rows.

    Attributes:
        rows: All rows with a label, where the task has one: of the training, validation and test parts.
        equal: Rows of which prediction and probability are equal, bit by bit.
        close: Rows of which they differ by no more than the tolerance.
        largest: The largest difference of a probability (of a number that is predicted: of that, relative where it is
            above 1; of clusters and topics 1 where a row is in another).
        layout: What of slots and partitions is another than then, in words.
    """

    rows: int
    equal: int
    close: int
    largest: float
    layout: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether all rows agree."""
        return self.close == self.rows


def reproduced(run: Run, model: Any, card: ModelCard, tolerance: float) -> Compared:
    """Train a version again, and compare. Runs Spark jobs; writes nothing.

    Args:
        run: With `training_set` pinned at the version of then, and the search of then as configuration.
        model: The version's.
        card: The version's.
        tolerance: A larger difference counts.

    Raises:
        DataError: If the rows have no longer the features of the model.
    """
    then: Mapping[str, int] = card.trained or {}
    wanted, here = then.get("slots", run.parallelism), max(1, run.parallelism)
    layout = {LAYOUT: then["parallelism"]} if then.get("parallelism") else {}
    with held(run.spark, layout), learning(run.spark):  # read in as many partitions as on the cluster of then
        conf = run.pipeline.search
        stacked = (card.params or {}).get("by") == "stacking"
        problem = look(run, judged=stacked or conf.calibration != "none" or conf.threshold is not None)
        if problem.features != dict(card.features):
            raise DataError(
                f"the search finds {len(problem.features)} features in these rows, and the version learned from "
                f"{len(card.features)}: another release of Headrace sees them otherwise. Install the one of then: its "
                "number is in the version's model_card.md"
            )
        point = Point(card.estimator, dict(card.params or {}))
        with rounds(run.spark, card.task):
            again = refitted(problem, point, then.get("seed", run.pipeline.search.seed), min(wanted, here))
            new = replace(card, learned=again.learned)
            told = _compared(_predicted(run, model, card), _predicted(run, again.model, new), card, tolerance)
    partitions = again.partitions
    pairs = (("task slots", wanted, min(wanted, here)), ("partitions", then.get("partitions", partitions), partitions))
    other = tuple(f"{now} {what} in place of {before}" for what, before, now in pairs if before != now)
    return replace(told, layout=other)


def _predicted(run: Run, model: Any, card: ModelCard) -> DataFrame:
    """What a model says of the rows that it learned from, or was judged by."""
    rows = run.read("training_set").where("split in ('train', 'validation', 'test')")
    known = rows if card.task in UNLABELLED else rows.where("label is not null")
    return predict(model, card, known, [*card.key, "predict_at"])


def _compared(then: DataFrame, now: DataFrame, card: ModelCard, tolerance: float) -> Compared:
    """Rows, equal ones, close ones, the largest difference. One row comes to the driver."""
    condition, task = F.lit(True), card.task
    for name in (*card.key, "predict_at"):
        condition = condition & F.col(f"then.`{name}`").eqNullSafe(F.col(f"now.`{name}`"))
    both = then.alias("then").join(now.alias("now"), condition, "full")
    predicted = [F.col(f"{side}.prediction") for side in ("then", "now")]
    probable = [_plain(F.col(f"{side}.probability"), task) for side in ("then", "now")]
    equal = predicted[0].eqNullSafe(predicted[1]) & probable[0].eqNullSafe(probable[1])
    one, other = predicted if task in NUMBERS else probable
    apart = _apart(one, other, task)
    if task in NAMING:  # their numbers are names
        apart = F.when(predicted[0] == predicted[1], F.coalesce(apart, F.lit(0.0))).otherwise(F.lit(1.0))
    known = F.when(equal, F.lit(0.0)).otherwise(F.coalesce(apart, F.lit(float("inf"))))
    found: Any = (
        both.select(equal.alias("equal"), known.alias("apart"))
        .agg(F.count("*"), F.count_if("equal"), F.count_if(F.col("apart") <= tolerance), F.max("apart"))
        .first()
    )
    return Compared(int(found[0]), int(found[1]), int(found[2]), float(found[3] or 0.0))


def _plain(probability: Column, task: str) -> Column:
    """Something that can be compared: a map cannot."""
    if task != "multiclass":
        return probability
    return F.transform(F.array_sort(F.map_entries(probability)), lambda entry: entry["value"])


def _apart(one: Column, other: Column, task: str) -> Column:
    if task in NUMBERS:
        return F.abs(one - other) / F.greatest(F.lit(1.0), F.abs(one))
    if task == "multiclass":
        return F.array_max(F.zip_with(one, other, lambda a, b: F.abs(a - b)))
    return F.abs(one - other)
