"""Task `topics`: topics fitted to the words of texts, judged by how likely they find the words of the validation part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.ml import Model, PipelineModel
from pyspark.ml.stat import Summarizer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.models.topics import TOKENS, Array, Topics, surprise, topic, vocabulary, with_bound, with_shares
from headrace.search.columns import Columns
from headrace.search.plan import Plan
from headrace.search.words import fit_words

SMOOTHING = 0.1
"""Of the baseline: so many times each word is seen beforehand."""
BATCH, LEAST = 10_000, 0.05
"""Rows that each iteration looks at, and the least share of all."""
SHOWN = 10
"""Words that are told of a topic."""


@dataclass(frozen=True)
class TopicModelling:
    """Topics; the baseline takes the words of all texts for draws from one topic.

    Attributes:
        columns: What was learned of the features.
        plan: How words are counted for the baseline; the same for all trials, or perplexities could not be compared.
    """

    columns: Columns
    plan: Plan
    guess: str = "one topic"
    keep: tuple[str, ...] = ("features", "label")

    def prepare(self, train: DataFrame, columns: Columns, plan: Plan) -> PipelineModel:
        """See `Special`."""
        return fit_words(train, plan)

    def fit(self, estimator: Any, preparation: PipelineModel, train: DataFrame) -> Model:
        """See `Special`; of many rows each iteration looks at some."""
        share = max(LEAST, min(1.0, BATCH / max(1, train.count())))
        return estimator.setSubsamplingRate(share).fit(train)

    def value(self, model: Any, preparation: PipelineModel, train: DataFrame, judged: DataFrame, metric: str) -> float:
        """See `Special`; of rows without any known word it is not defined."""
        rows = with_bound(with_shares(model.transform(judged)), Topics.of(model))
        total, tokens = rows.agg(F.sum(surprise()), F.sum(TOKENS)).collect()[0]
        return math.exp(total / tokens) if tokens else float("nan")

    def baseline(self, train: DataFrame, judged: DataFrame, metric: str) -> float:
        """See `Special`."""
        preparation = self.prepare(train, self.columns, self.plan)
        learned, asked = (_counted(preparation.transform(rows)) for rows in (train, judged))
        likely = np.log((learned + SMOOTHING) / (learned + SMOOTHING).sum())
        return math.exp(-float(asked @ likely) / asked.sum()) if asked.sum() else float("nan")

    def stages(self, model: Model) -> list[Any]:
        """See `Special`."""
        return [model]

    def learned(self, model: Any, preparation: PipelineModel, train: DataFrame) -> Mapping[str, Any]:
        """See `Special`: of each topic its likeliest words, and the rows of which it is the greatest."""
        words, matrix = vocabulary(preparation), model.topicsMatrix().toArray()
        number, _ = topic()
        found = with_shares(model.transform(train)).groupBy(number.alias("topic")).count().collect()  # a row per topic
        rows = {row["topic"]: row["count"] for row in found}
        each = [{"rows": rows.get(place, 0), "words": _likeliest(words, of)} for place, of in enumerate(matrix.T)]
        return {"topics": each, "wordless": rows.get(None, 0)}


def _counted(rows: DataFrame) -> Array:
    """How often each word is there, in all rows together. Runs a Spark job."""
    found = rows.select(Summarizer.sum(F.col("features")).alias("sum")).collect()[0]
    return np.asarray(found["sum"].toArray())


def _likeliest(words: list[str], of: Array) -> dict[str, float]:
    order = np.argsort(-of, kind="stable")[:SHOWN]
    return {words[place]: round(float(of[place] / of.sum()), 6) for place in order}


def told(learned: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Topics in words, the greatest first; nothing where there are none."""
    topics = (learned or {}).get("topics") or ()
    order = sorted(range(len(topics)), key=lambda place: -topics[place]["rows"])
    lines = [
        f"topic {place} ({topics[place]['rows']:,} rows): {', '.join(list(topics[place]['words'])[:5])}"
        for place in order[:SHOWN]
    ]
    return (*lines, *([f"{len(topics) - SHOWN} more topics"] if len(topics) > SHOWN else []))
