"""Two topic models on the same texts. They need not know the same words, for each training learns its own.

Fewer words are easier to foretell, so each model is judged by the words that either of them knows. One that a model does
not know is as likely to it as it is in the training rows, whatever the text: what is held against each other are two
probabilities of the same words. Of two models that know the same ones these are the models' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.metrics.rowwise import difference_of_rows
from headrace.models.card import ModelCard
from headrace.models.predict import predict
from headrace.models.topics import BOUND, TOKENS, WORDS, Array, counted, one_topic, surprise, vocabulary
from headrace.registry.gates import Compared, Incomparable
from headrace.runtime.vectorised import vectorised

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.ml.feature import CountVectorizerModel

Model = tuple["PipelineModel", ModelCard]
COUNTS = "__counts"
LEARNED = "split in ('train', 'validation')"
"""Rows of the training set that say how likely words are that a model does not know."""
OTHER_WORDS = (
    "the champion makes other words of the same texts (training_set.texts, ngrams, stop_words or leave_out were others), "
    "and perplexities are only comparable over the same ones"
)
NO_WORD = "no text of the test part has a word that either version knows"


def compared(pair: tuple[Model, Model], learned: DataFrame, test: DataFrame, key: Sequence[str], seed: int) -> Compared:
    """How much less the perplexity of the first model is, or why that cannot be said. Runs Spark jobs.

    Args:
        pair: The new model, and the champion.
        learned: Rows that say how likely words are.
        test: Rows to be judged by.
        key: Columns that tell rows apart.
        seed: Of the bootstrap.
    """
    from pyspark.ml.feature import CountVectorizerModel

    (new, card), (old, _) = pair
    rows = [predict(model, its, test, key, (BOUND, TOKENS, WORDS)) for model, its in pair]
    if len({_digest(one, key) for one in rows}) > 1:
        return Incomparable(OTHER_WORDS)
    known = [set(vocabulary(model)) for model in (new, old)]
    words = sorted(known[0] | known[1])
    counter = CountVectorizerModel.from_vocabulary(words, inputCol=WORDS, outputCol=COUNTS)
    likely = one_topic(counted(counter.transform(predict(new, card, learned, (), (WORDS,))), COUNTS))
    ours, theirs = (
        _with_all_words(one, counter, _besides(likely, np.array([word in its for word in words])))
        for one, its in zip(rows, known, strict=True)
    )
    if ours.where(F.col(TOKENS) > 0).isEmpty():
        return Incomparable(NO_WORD)
    return difference_of_rows(ours, theirs, surprise(), "perplexity", key, seed, F.col(TOKENS))


def _digest(rows: DataFrame, key: Sequence[str]) -> Any:
    """Tells rows with these words from such with others. Runs a Spark job."""
    each = F.xxhash64(*[F.col(f"`{name}`") for name in key], F.array_sort(WORDS))
    return rows.agg(F.bit_xor(each).alias("all")).collect()[0]["all"]


def _besides(likely: Array, known: np.ndarray[Any, np.dtype[np.bool_]]) -> Array:
    """What each word adds to the bound: that it is one of the known ones, or its own logarithm.

    Args:
        likely: The logarithm of each word's probability in one topic.
        known: Whether the model knows it; of known words the bound says how likely each is among them.
    """
    found: Array = np.where(known, np.log(np.exp(likely[known]).sum()), likely)
    return found


def _with_all_words(rows: DataFrame, counter: CountVectorizerModel, besides: Array) -> DataFrame:
    """`TOKENS` and `BOUND` of all words that are counted, instead of those that the model knows."""
    import pandas as pd

    def bound(places: Any, counts: Any) -> Any:
        return pd.Series([float(count @ besides[place]) for place, count in zip(places, counts, strict=True)])

    udf = vectorised(bound, ("places", "counts"), "double")
    words = F.unwrap_udt(F.col(COUNTS))
    added = udf(words["indices"], words["values"])
    tokens = F.aggregate(words["values"], F.lit(0.0), lambda total, count: total + count)
    found = counter.transform(rows)
    return found.withColumns({TOKENS: tokens, BOUND: F.coalesce(F.col(BOUND), F.lit(0.0)) + added})
