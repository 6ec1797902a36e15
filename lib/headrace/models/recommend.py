"""Lists of recommended items, from a fitted recommendation: exact, distributed over the users.

A recommendation is a pipeline of Spark ML's own stages: ids of user and item, the item's popularity, the factors, and
`prediction`, which is the popularity where user or item are unknown to the factors (a cold start), never NaN.

Prepared rows have `__who` (the user as it came), `__user` and `__item` (their numbers; an unknown item has the number
after the last), `__what` (bigint; unknown items are told apart by negative numbers, null is null), `__popularity`, and the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.runtime.vectorised import vectorised

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.ml.recommendation import ALSModel

    from headrace.models.card import ModelCard

CELLS = 4_000_000
"""Scores (users times items) that a task has in memory at a time."""


@dataclass(frozen=True)
class Recommender:
    """A fitted recommendation in parts.

    Attributes:
        preparation: From users and items to prepared rows.
        factors: What was learned; None: by popularity alone.
        popularity: Of each item, in the order of their numbers: the most popular first.
        items: The items as text, in that order.
    """

    preparation: PipelineModel
    factors: ALSModel | None
    popularity: np.ndarray
    items: tuple[str, ...]

    @classmethod
    def of(cls, preparation: PipelineModel, factors: ALSModel | None) -> Recommender:
        """From the fitted stages."""
        indexer, popular = preparation.stages[1:3]
        items: Any = getattr(indexer, "labels", ())
        texts: Any = popular.getOrDefault("labels")
        return cls(preparation, factors, np.array([float(text) for text in texts[:-1]]), tuple(items))

    @classmethod
    def whole(cls, model: PipelineModel) -> Recommender:
        """From a fitted pipeline as it is stored."""
        from pyspark.ml import PipelineModel as Pipeline

        factors: Any = model.stages[-2]
        return cls.of(Pipeline(model.stages[:-2]), factors)


def judged_users(learned: DataFrame, judged: DataFrame, learned_of: Mapping[str, Any]) -> DataFrame:
    """Users who have something to find: items relevant to them that they have not had before.

    Args:
        learned: Prepared rows that were learned from, with `label`.
        judged: Prepared rows to be judged, with `label`.
        learned_of: `implicit`, and `relevant`: the least rating of a relevant item. Weights are relevant above zero.

    Returns:
        `__who`, `__user`, `seen` and `relevant` (array<bigint>); users without relevant items are left out.
    """
    wanted = F.col("label") > 0 if learned_of["implicit"] else F.col("label") >= F.lit(float(learned_of["relevant"]))
    named = judged.where(wanted & F.col("__who").isNotNull())
    relevant = named.groupBy("__who").agg(F.max("__user").alias("__user"), F.collect_set("__what").alias("relevant"))
    joined = relevant.join(seen_by(learned).select("__who", "seen"), "__who", "left")
    had = F.coalesce("seen", F.array().cast("array<bigint>"))
    found = joined.select("__who", "__user", had.alias("seen"), F.array_except("relevant", had).alias("relevant"))
    return found.where(F.size("relevant") > 0)


def seen_by(learned: DataFrame) -> DataFrame:
    """Each user (`__who`, `__user`) and the items that they had (`seen`, array<bigint>)."""
    named = learned.where(F.col("__who").isNotNull())
    return named.groupBy("__who").agg(F.max("__user").alias("__user"), F.collect_set("__what").alias("seen"))


def with_lists(users: DataFrame, recommender: Recommender, k: int) -> DataFrame:
    """Add `items` (array<bigint>, numbers of items, the best first) and `scores` (array<double>) to users.

    Only items that the user has not had; of equals the more popular first. Fewer than `k` where there are no more. A
    user without factors gets the most popular ones. Items times rank numbers come to the driver, as their ids have.

    Args:
        users: `__user` and `seen`.
        recommender: Fitted.
        k: Length of the lists.
    """
    import pandas as pd

    popularity = recommender.popularity
    matrix = _item_factors(recommender)

    def lists(factors: Any, seen: Any) -> Any:
        rows = [_best(own, had, matrix, popularity, k) for own, had in _blocks(factors, seen, matrix, len(popularity))]
        return pd.DataFrame([row for block in rows for row in block], columns=["items", "scores"])

    udf = vectorised(lists, ("factors", "seen"), "items array<bigint>, scores array<double>")
    if recommender.factors is None:
        known = users.withColumn("__factors", F.lit(None).cast("array<float>"))
    else:
        factors = recommender.factors.userFactors.select(
            F.col("id").cast("double").alias("__id"), F.col("features").alias("__factors")
        )
        known = users.join(factors, F.col("__user").cast("double") == F.col("__id"), "left")
    made = known.withColumn("__lists", udf(F.col("__factors"), F.col("seen")))
    return made.select(*users.columns, "__lists.items", "__lists.scores")


def recommendations(recommender: Recommender, card: ModelCard, rows: DataFrame) -> DataFrame:
    """The table of recommendations for every user of the rows.

    Args:
        recommender: Fitted.
        card: Of the model.
        rows: User and item of what users have had.

    Returns:
        The user's and the item's column with their types, `rank` (int, from 1) and `prediction` (double).
    """
    from pyspark.ml.feature import IndexToString

    learned = dict(card.learned or {})
    user, item = learned["user"], learned["item"]
    listed = with_lists(seen_by(recommender.preparation.transform(rows)), recommender, int(learned["top_k"]))
    pairs = listed.select("__who", F.posexplode(F.arrays_zip("items", "scores")).alias("place", "one"))
    numbered = pairs.select("__who", "place", F.col("one.items").cast("double").alias("__item"), "one.scores")
    named = IndexToString(inputCol="__item", outputCol="__text", labels=list(recommender.items)).transform(numbered)
    return named.select(
        F.col("__who").alias(user),
        F.col("__text").cast(card.features[item]).alias(item),
        (F.col("place") + 1).cast("int").alias("rank"),
        F.col("scores").alias("prediction"),
    )


def _item_factors(recommender: Recommender) -> np.ndarray | None:
    """(items, rank), in the order of the items' numbers; one without factors has zeros."""
    if recommender.factors is None:
        return None
    found = recommender.factors.itemFactors.collect()  # bounded as the items' names are, which the model holds anyway
    matrix = np.zeros((len(recommender.popularity), recommender.factors.rank), dtype=np.float32)
    for row in found:
        matrix[row["id"]] = row["features"]
    return matrix


def _blocks(factors: Any, seen: Any, matrix: np.ndarray | None, items: int) -> Any:
    """Rows in blocks whose scores fit the memory."""
    size = max(1, CELLS // max(1, items))
    for start in range(0, len(factors), size):
        yield list(factors[start : start + size]), list(seen[start : start + size])


def _best(
    factors: list[Any], seen: list[Any], matrix: np.ndarray | None, popularity: np.ndarray, k: int
) -> list[tuple[list[int], list[float]]]:
    scores = np.tile(popularity, (len(factors), 1))
    warm = [place for place, own in enumerate(factors) if own is not None]
    if warm and matrix is not None:
        scores[warm] = np.stack([factors[place] for place in warm]).astype(np.float32) @ matrix.T
    found = []
    for row, had in zip(scores, seen, strict=True):
        known = np.asarray([item for item in had if 0 <= item < len(row)], dtype=np.int64)
        row[known] = -np.inf
        least = np.partition(row, len(row) - k)[len(row) - k] if k < len(row) else -np.inf
        candidates = np.flatnonzero((row >= least) & np.isfinite(row))
        best = candidates[np.argsort(-row[candidates], kind="stable")][:k]
        found.append(([int(item) for item in best], [float(score) for score in row[best]]))
    return found
