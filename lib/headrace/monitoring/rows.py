"""Which rows are compared with which: trained on against scored, predicted against what came true."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.config.learning import NAMING, TrainingSet
from headrace.engine.time import moment
from headrace.monitoring import bins as b
from headrace.monitoring.bins import CURRENT

TRAINED = ("train", "validation")
PREDICTION = "prediction:"
NUMBERS = ("regression", "recommendation")
"""Tasks whose predictions are numbers without a probability."""


def acted_on(predictions: DataFrame) -> DataFrame:
    """First revisions only: what people acted on."""
    return predictions.where("revision = 1") if "revision" in predictions.columns else predictions


def to_come(frame: DataFrame, learned_until: datetime | None) -> DataFrame:
    """Rows after the periods that were trained and tested on.

    Rows without a label are scored in those periods as well; they are no sample of what is to come.

    Args:
        frame: With `predict_at`.
        learned_until: Where these periods end; None: the split is not by time.
    """
    return frame if learned_until is None else frame.where(F.col("predict_at") >= moment(learned_until))


def untaught(training: TrainingSet | None) -> tuple[str, ...]:
    """The parts whose scored rows no model was trained on.

    Without a label all parts are scored; where they are shares of a hash, only the test part is like what is to come.
    """
    plain = training is None or training.labelled or training.split.by == "time"
    return ("score",) if plain else ("score", "test")


def sides(
    training_set: DataFrame,
    predictions: DataFrame,
    keys: Sequence[str],
    features: Sequence[str],
    current: Sequence[str] = ("score",),
) -> DataFrame:
    """Rows to compare: those trained on, and those scored.

    Args:
        training_set: With `split`, `predict_at`, the keys and the features.
        predictions: With the keys and `predict_at`; a row scored twice counts once.
        keys: Key columns of the spine.
        features: Columns to keep.
        current: Parts whose scored rows are compared.

    Returns:
        `predict_at`, the features, and boolean `_current`: False for split `train` and `validation`, True for rows
        of split `score` (or what `current` says) that are in `predictions`. Other rows are left out.
    """
    kept = [F.col("predict_at"), *[F.col(b.quoted(name)) for name in features if name != "predict_at"]]
    scored = matching(
        training_set.where(F.col("split").isin(*current)), predictions, (*keys, "predict_at"), "left_semi"
    )
    trained = training_set.where(F.col("split").isin(*TRAINED))
    return trained.select(*kept, F.lit(False).alias(CURRENT)).unionByName(
        scored.select(*kept, F.lit(True).alias(CURRENT))
    )


def prediction_sides(
    test_predictions: DataFrame, predictions: DataFrame, task: str = "", unanswered: DataFrame | None = None
) -> DataFrame | None:
    """The model's own output: on the test part (baseline) and on the rows scored.

    Of a clustering the cluster, of topics the topic, which are names though they are numbers; of a task that predicts
    numbers the prediction, for it has no probability, only the column.

    Args:
        test_predictions: Of the test part, rows without a topic among them.
        predictions: Of the rows scored, where there are none of these.
        task: Of the model.
        unanswered: Rows that were scored and have no topic; only of tasks in `NAMING`.

    Returns:
        One column, `prediction:probability` where it is a number, else `prediction:prediction`, and boolean `_current`;
        None where neither can be compared.
    """
    if task in NAMING:
        frames = (test_predictions, predictions)
        old, new = (f.select(F.col("prediction").cast("string").alias(PREDICTION + "prediction")) for f in frames)
        if unanswered is not None:
            new = new.unionByName(unanswered.select(F.lit(None).cast("string").alias(PREDICTION + "prediction")))
        return old.withColumn(CURRENT, F.lit(False)).unionByName(new.withColumn(CURRENT, F.lit(True)))
    for name in ("prediction",) if task in NUMBERS else ("probability", "prediction"):
        both = (test_predictions, predictions)
        kinds = {b.kind_of(f.schema[name].dataType) if name in f.columns else None for f in both}
        if len(kinds) == 1 and None not in kinds:
            old, new = (f.select(F.col(name).alias(PREDICTION + name)) for f in both)
            return old.withColumn(CURRENT, F.lit(False)).unionByName(new.withColumn(CURRENT, F.lit(True)))
    return None


def matching(left: DataFrame, right: DataFrame, keys: Sequence[str], how: str) -> DataFrame:
    """Join on keys of which any may be null: null equals null."""
    renamed = [F.col(b.quoted(k)).alias(f"_right_{i}") for i, k in enumerate(keys)]
    wanted = right.select(*renamed, *[F.col(b.quoted(c)) for c in right.columns if c not in keys])
    condition = F.lit(True)
    for i, k in enumerate(keys):
        condition = condition & F.col(b.quoted(k)).eqNullSafe(F.col(f"_right_{i}"))
    return left.join(wanted, condition, how).drop(*[f"_right_{i}" for i in range(len(keys))])
