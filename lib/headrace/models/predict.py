"""Predictions of a fitted pipeline in the label's own values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from headrace.models.card import ModelCard, check_columns

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel

PROBABILITY_TYPE = {"binary": "double", "multiclass": "map<string,double>", "regression": "double"}


def predict(model: PipelineModel, card: ModelCard, frame: DataFrame, keep: Sequence[str] = ()) -> DataFrame:
    """Score rows; a pure transformation.

    Args:
        model: Fitted: raw feature columns in, `prediction` (and `probability`) out.
        card: The model's.
        frame: Feature columns as trained, and the columns to keep.
        keep: Columns carried over; none may be called `prediction` or `probability`.

    Returns:
        `keep`, `prediction` (the label's own type), `probability` (double of the positive class; multiclass:
        map<string,double> from class to probability; regression: null double).

    Raises:
        DataError: If the feature columns differ from those of the training.
    """
    check_columns(card, {field.name: field.dataType.simpleString() for field in frame.schema})
    kept = [F.col(f"`{name}`").alias(f"__keep_{name}") for name in keep]
    scored = model.transform(frame.select(*kept, *[F.col(f"`{name}`") for name in card.features]))
    return scored.select(
        *[F.col(f"`__keep_{name}`").alias(name) for name in keep],
        prediction_column(card).alias("prediction"),
        probability_column(card).alias("probability"),
    )


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
    if card.task == "regression":
        return F.col(of).cast("double")
    own = F.array(*[F.lit(label).cast(card.label_type) for label in card.labels])
    return F.element_at(own, F.col(of).cast("int") + 1)


def probability_column(card: ModelCard) -> Column:
    """Plain SQL types instead of Spark ML's vector."""
    from pyspark.ml.functions import vector_to_array  # it imports pandas, which a plan has no use for

    if card.task == "regression":
        return F.lit(None).cast("double")
    array = vector_to_array(F.col("probability"))
    if card.task == "binary":
        return F.element_at(array, 2)
    names = F.array(*[F.lit(label).cast(card.label_type).cast("string") for label in card.labels])
    return F.map_from_arrays(names, array)
