"""The new model against the champion where there is no label, or where lists are judged and not rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.metrics.lists import list_metrics
from headrace.metrics.rowwise import difference_of_rows
from headrace.metrics.silhouette import SILHOUETTE, with_silhouette
from headrace.models import recommend
from headrace.models.card import ModelCard
from headrace.models.predict import predict
from headrace.registry import topics
from headrace.registry.gates import Compared

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel

    from headrace.runtime.step import Run

Model = tuple["PipelineModel", ModelCard]


def compared(run: Run, pair: tuple[Model, Model], metric: str) -> Compared:
    """How much better the first of two models is on the same test rows, or why that cannot be said. Runs Spark jobs."""
    (_, card), (_, other) = pair
    seed, key = run.pipeline.search.seed, [*card.key, "predict_at"]
    if card.task == "anomaly":
        return "two models of anomalies have no measure in common"
    if card.task == "clustering":
        test = run.read("training_set").where("split = 'test'")
        new, old = (with_silhouette(predict(model, its, test, key, ("features",))) for model, its in pair)
        return difference_of_rows(new, old, F.col(SILHOUETTE), metric, key, seed)
    if card.task == "topics":
        test, learned = (run.read("training_set").where(part) for part in ("split = 'test'", topics.LEARNED))
        return topics.compared(pair, learned, test, key, seed)
    known = dict(card.learned or {})
    if metric == "rmse":
        test = run.read("training_set").where("split = 'test' and label is not null")
        new, old = (predict(model, its, test, [*key, "label"]) for model, its in pair)
        error = F.col("label").cast("double") - F.col("prediction")
        return difference_of_rows(new, old, error * error, metric, key, seed)
    if {**dict(other.learned or {}), "relevant": 0} != {**known, "relevant": 0}:
        return "the champion recommends something else: nothing to compare"
    new, old = (_listed(run, model, known) for model, _ in pair)
    if new.isEmpty():
        return "no user of the test part has anything to find: nothing to compare"
    value = list_metrics(F.col("items"), F.col("relevant"), int(known["top_k"]))[metric]
    return difference_of_rows(new, old, value, metric, ["__who"], seed)


def _listed(run: Run, model: PipelineModel, known: dict[str, object]) -> DataFrame:
    """Lists for the users of the test part, without what the new model's training rows have them had."""
    recommender = recommend.Recommender.whole(model)
    rows = run.read("training_set").where("label is not null")
    rows = rows.select("split", str(known["user"]), str(known["item"]), F.col("label").cast("double").alias("label"))
    prepared = recommender.preparation.transform(rows)
    learned, test = prepared.where("split in ('train', 'validation')"), prepared.where("split = 'test'")
    return recommend.with_lists(recommend.judged_users(learned, test, known), recommender, int(str(known["top_k"])))
