"""Task `topics`: topics fitted to the words of texts, judged by how likely they find the words of the validation part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.ml import Model, PipelineModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.models.topics import (
    TOKENS,
    Array,
    Topics,
    counted,
    one_topic,
    surprise,
    topic,
    vocabulary,
    with_bound,
    with_shares,
)
from headrace.search.columns import Columns
from headrace.search.plan import Plan
from headrace.search.words import fit_words

BATCH = 10_000
"""About so many rows each round looks at, however many there are: what counts is the size of a batch and not its share,
and of millions of texts some thousand each do best (Hoffman, Blei and Bach, Online Learning for LDA, NIPS 2010)."""
SHOWN = 10
"""Words that are told of a topic."""


@dataclass(frozen=True)
class TopicModelling:
    """Topics; the baseline takes the words of all texts for draws from one topic.

    Attributes:
        columns: What was learned of the features.
        plan: How words are counted for the baseline; the same for all trials, or perplexities could not be compared.
        rows: How many there are to learn from.
    """

    columns: Columns
    plan: Plan
    rows: int
    guess: str = "one topic"
    keep: tuple[str, ...] = ("features", "label")

    def prepare(self, train: DataFrame, columns: Columns, plan: Plan) -> PipelineModel:
        """See `Special`."""
        return fit_words(train, plan)

    def fit(self, estimator: Any, preparation: PipelineModel, train: DataFrame) -> Model:
        """See `Special`; of many rows each iteration looks at some."""
        return estimator.setSubsamplingRate(min(1.0, BATCH / max(1, self.rows))).fit(train)

    def value(self, model: Any, preparation: PipelineModel, train: DataFrame, judged: DataFrame, metric: str) -> float:
        """See `Special`; of rows without any known word it is not defined."""
        rows = with_bound(with_shares(model.transform(judged)), Topics.of(model))
        total, tokens = rows.agg(F.sum(surprise()), F.sum(TOKENS)).collect()[0]
        return math.exp(total / tokens) if tokens else float("nan")

    def baseline(self, train: DataFrame, judged: DataFrame, metric: str) -> float:
        """See `Special`."""
        preparation = self.prepare(train, self.columns, self.plan)
        learned, asked = (counted(preparation.transform(rows)) for rows in (train, judged))
        return math.exp(-float(asked @ one_topic(learned)) / asked.sum()) if asked.sum() else float("nan")

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
