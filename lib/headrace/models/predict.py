"""Predictions of a fitted pipeline in the label's own values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from headrace.models import density, topics
from headrace.models.card import ModelCard, check_columns

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel

PROBABILITY_TYPE = {"multiclass": "map<string,double>"}
"""Of other tasks it is a double."""
PREDICTION_TYPE = {
    "regression": "double",
    "clustering": "int",
    "recommendation": "double",
    "anomaly": "boolean",
    "topics": "int",
}
"""Of other tasks it is the label's own."""


def predict(
    model: PipelineModel, card: ModelCard, frame: DataFrame, keep: Sequence[str] = (), inner: Sequence[str] = ()
) -> DataFrame:
    """Score rows; a pure transformation.

    Args:
        model: Fitted: raw feature columns in, `prediction` (and `probability`) out.
        card: The model's.
        frame: Feature columns as trained, and the columns to keep.
        keep: Columns carried over; none may be called `prediction` or `probability`.
        inner: Columns that the model makes on its way, as `features`, carried over as well.

    Returns:
        `keep`, `prediction` (the label's own type), `probability` (double of the positive class; multiclass:
        map<string,double> from class to probability; regression, recommendation: null double), `inner`. Of a
        clustering `prediction` is the cluster's number (int), `probability` that of the cluster (null, but for a
        mixture); of an anomaly whether the row is odd (boolean), and how odd from 0 to 1 (see `models.density.odd`);
        of topics the greatest one (int) and its share, both null where the model knows no word of the texts.

    Raises:
        DataError: If the feature columns differ from those of the training.
    """
    check_columns(card, {field.name: field.dataType.simpleString() for field in frame.schema})
    kept = [F.col(f"`{name}`").alias(f"__keep_{name}") for name in keep]
    scored = model.transform(frame.select(*kept, *[F.col(f"`{name}`") for name in card.features]))
    if card.task == "topics":
        scored = topics.with_shares(scored)
    if card.task == "topics" and inner:
        scored = topics.with_bound(scored, topics.Topics.of(_last(model)))
    if card.task == "anomaly":
        scored = density.with_score(scored, density.mixture(_last(model)))
    return scored.select(
        *[F.col(f"`__keep_{name}`").alias(name) for name in keep],
        prediction_column(card).alias("prediction"),
        probability_column(card).alias("probability"),
        *[F.col(name) for name in inner],
    )


def _last(model: PipelineModel) -> Any:
    return model.stages[-1]


def in_own_values(output: DataFrame, card: ModelCard) -> DataFrame:
    """What a model gave of rows whose `label` is an index, as `predict` gives it.

    Returns:
        `label`, `prediction` (the label's own type), `probability`.
    """
    return output.select(
        prediction_column(card, "label").alias("label"),
        prediction_column(card).alias("prediction"),
        probability_column(card).alias("probability"),
    )


def prediction_column(card: ModelCard, of: str = "prediction") -> Column:
    """The class itself instead of its index."""
    if card.task == "anomaly":
        return density.odd(card.learned or {})[0]
    if card.task == "topics":
        return topics.topic()[0]
    if card.task in PREDICTION_TYPE:
        return F.col(of).cast(PREDICTION_TYPE[card.task])
    own = F.array(*[F.lit(label).cast(card.label_type) for label in card.labels])
    return F.element_at(own, F.col(of).cast("int") + 1)


def probability_column(card: ModelCard) -> Column:
    """Plain SQL types instead of Spark ML's vector."""
    from pyspark.ml.functions import vector_to_array  # it imports pandas, which a plan has no use for

    if card.task == "anomaly":
        return density.odd(card.learned or {})[1]
    if card.task == "topics":
        return topics.topic()[1]
    if card.task == "clustering" and card.estimator == "gaussian_mixture":
        return F.array_max(vector_to_array(F.col("probability")))
    if card.task in PREDICTION_TYPE:
        return F.lit(None).cast("double")
    array = vector_to_array(F.col("probability"))
    if card.task == "binary":
        return F.element_at(array, 2)
    names = F.array(*[F.lit(label).cast(card.label_type).cast("string") for label in card.labels])
    return F.map_from_arrays(names, array)
