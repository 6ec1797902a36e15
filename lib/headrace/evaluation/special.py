"""Test metrics of tasks without a label, and of recommendations: each is a mean of what rows, words, or users have."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.metrics.lists import list_metrics
from headrace.metrics.measure import Measure
from headrace.metrics.rowwise import measure_rows
from headrace.metrics.silhouette import SILHOUETTE, with_silhouette
from headrace.models import recommend
from headrace.models.card import ModelCard
from headrace.models.density import DENSITY, likely
from headrace.models.topics import BOUND, TOKENS, surprise

INNER = {"clustering": ("features",), "anomaly": (DENSITY,), "topics": (BOUND, TOKENS)}
"""What a model makes on its way that its metrics are made of."""


def measures(
    scored: DataFrame, card: ModelCard, key: Sequence[str], slices: Sequence[str], least: int, seed: int
) -> list[Measure]:
    """Metrics of a clustering, of anomalies or of topics. Runs Spark jobs.

    Args:
        scored: Predictions with `INNER`, the key and the slices.
        card: Of the model.
        key: Columns by which rows fall into random groups.
        slices: Columns whose values are judged one by one.
        least: Rows of the smallest slice that is judged.
        seed: Of the bootstrap.
    """
    if card.task == "topics":
        values = {"perplexity": surprise()}
        return measure_rows(scored, values, key, slices, least, seed, weight=F.col(TOKENS))
    if card.task == "clustering":
        rows, values = with_silhouette(scored), {"silhouette": F.col(SILHOUETTE)}
    else:
        bound, _ = likely(scored, float((card.learned or {})["contamination"]))
        density = F.when(F.col(DENSITY) >= F.lit(bound), F.col(DENSITY))
        rows, values = scored, {"logLikelihood": density, "flaggedShare": F.col("prediction").cast("double")}
    return measure_rows(rows, values, key, slices, least, seed)


def recommended(
    model: PipelineModel, card: ModelCard, learned: DataFrame, test: DataFrame, scored: DataFrame, seed: int
) -> list[Measure]:
    """Metrics of recommendations: of lists by user, of ratings by row. Runs Spark jobs.

    Args:
        model: The refitted winner.
        card: Its card.
        learned: Rows it learned from: user, item, `label`.
        test: Rows of the test part.
        scored: Their predictions, with the user and `label`.
        seed: Of the bootstrap.
    """
    users = listed(model, card, learned, test)
    known = dict(card.learned or {})
    found = measure_rows(users, list_metrics(F.col("items"), F.col("relevant"), known["top_k"]), ["__who"], seed=seed)
    if not known["implicit"]:
        error = F.col("label").cast("double") - F.col("prediction")
        found += measure_rows(scored.where("label is not null"), {"rmse": error * error}, [known["user"]], seed=seed)
    return found


def listed(model: PipelineModel, card: ModelCard, learned: DataFrame, test: DataFrame) -> DataFrame:
    """Users of the test part (`__who`) with what is `relevant` to them and the `items` recommended to them."""
    recommender, known = recommend.Recommender.whole(model), dict(card.learned or {})
    columns = [known["user"], known["item"], "label"]
    before, after = (
        recommender.preparation.transform(frame.where("label is not null").select(*columns)).withColumn(
            "label", F.col("label").cast("double")
        )
        for frame in (learned, test)
    )
    return recommend.with_lists(recommend.judged_users(before, after, known), recommender, int(known["top_k"]))
