"""What a topic model (Latent Dirichlet Allocation) says of a row: its greatest topic, and how likely its words are.

Spark ML gives each text its shares of the topics, and zeros where it knows none of its words. How likely words are is a
lower bound of the logarithm of their probability (Hoffman, Blei and Bach, Online Learning for Latent Dirichlet
Allocation, NIPS 2010), text by text, for topics as they have been learned. Spark's own `logPerplexity` also counts how
far the topics are from their prior, whole, however few texts are judged: that says nothing of texts that are held out,
and grows with the number of topics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from headrace.runtime.vectorised import vectorised

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.ml.clustering import LDAModel

Array = npt.NDArray[np.float64]
SHARES, BOUND, TOKENS, WORDS = "__shares", "__bound", "__tokens", "__words"
"""Columns that a model makes on its way; the last are a row's words, those that it does not know among them."""
SMOOTHING = 0.1
"""Of one topic: so many times each word is seen beforehand."""


@dataclass(frozen=True)
class Topics:
    """Topics as learned.

    Attributes:
        prior: (topics,), how much of each a text is expected to have.
        words: (words, topics), the expected logarithm of each word's probability in a topic.
    """

    prior: Array
    words: Array

    @classmethod
    def of(cls, model: LDAModel) -> Topics:
        """Of Spark ML's model; words times topics numbers, on the driver."""
        from scipy.special import digamma

        pseudo = np.maximum(model.topicsMatrix().toArray(), 1e-100)
        return cls(model.estimatedDocConcentration().toArray(), digamma(pseudo) - digamma(pseudo.sum(axis=0)))

    def log_bound(self, shares: Array, places: npt.NDArray[np.int64], counts: Array) -> float:
        """Lower bound of the logarithm of the probability of a text's words.

        Args:
            shares: Of the topics, as Spark ML gives them: their pseudo-counts, divided by the sum, which is known.
            places: Of its words in the vocabulary, each once.
            counts: How often it has them.
        """
        from scipy.special import digamma, gammaln, logsumexp

        prior = self.prior
        pseudo = shares * (counts.sum() + prior.sum())
        expected = digamma(pseudo) - digamma(pseudo.sum())
        words = counts @ logsumexp(expected + self.words[places], axis=1)
        mixture = ((prior - pseudo) * expected + gammaln(pseudo) - gammaln(prior)).sum()
        return float(words + mixture + gammaln(prior.sum()) - gammaln(pseudo.sum()))


def with_shares(frame: DataFrame) -> DataFrame:
    """`__shares` (array of double) of a topic model's output added."""
    from pyspark.ml.functions import vector_to_array

    return frame.withColumn(SHARES, vector_to_array(F.col("topicDistribution")))


def topic() -> tuple[Column, Column]:
    """A row's greatest topic (int, of equals the first), and its share, of `__shares`; null where it has no known word."""
    share = F.array_max(SHARES)
    number = F.array_position(F.col(SHARES), share) - 1
    return F.when(share > 0, number.cast("int")), F.when(share > 0, share)


def with_bound(frame: DataFrame, of: Topics) -> DataFrame:
    """Add `__tokens` (double), a row's known words, and `__bound` (double), see `Topics.log_bound`; null without any.

    Args:
        frame: `features` (sparse: counts of words) and `__shares`.
        of: The topics.
    """
    import pandas as pd

    def bound(shares: Any, places: Any, counts: Any) -> Any:
        rows = zip(shares, places, counts, strict=True)
        return pd.Series([of.log_bound(*row) if len(row[1]) else None for row in rows], dtype="float64")

    udf = vectorised(bound, ("shares", "places", "counts"), "double")
    words = F.unwrap_udt(F.col("features"))
    counts = words["values"]
    tokens = F.aggregate(counts, F.lit(0.0), lambda total, count: total + count)
    found = frame.withColumn(TOKENS, F.when(tokens > 0, tokens))
    return found.withColumn(BOUND, udf(F.col(SHARES), words["indices"], counts))


def counted(rows: DataFrame, column: str = "features") -> Array:
    """How often each word is there, in all rows together. Runs a Spark job."""
    from pyspark.ml.stat import Summarizer

    found = rows.select(Summarizer.sum(F.col(column)).alias("sum")).collect()[0]
    return np.asarray(found["sum"].toArray())


def one_topic(counts: Array) -> Array:
    """The logarithm of each word's probability, where all texts are drawn from one topic.

    Args:
        counts: How often each was seen.
    """
    seen = counts + SMOOTHING
    likely: Array = np.log(seen / seen.sum())
    return likely


def surprise() -> Column:
    """How little likely a row's words are, as a whole, in natural logarithms; null where there are none."""
    return F.when(F.col(TOKENS) > 0, -F.col(BOUND))


def vocabulary(model: PipelineModel) -> list[str]:
    """The words of a model, or of what prepares its rows, in the order of `features`."""
    from pyspark.ml.feature import CountVectorizerModel

    counted = next(stage for stage in reversed(model.stages) if isinstance(stage, CountVectorizerModel))
    return list(counted.vocabulary)
