"""Text of many words as features: tokens, runs of them, hashed, and weighted by how few rows have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.feature import ElementwiseProduct, HashingTF, NGram, Normalizer, RegexTokenizer, SQLTransformer
from pyspark.ml.linalg import Vectors
from pyspark.ml.stat import Summarizer

from headrace.search.plan import Plan, Text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

WORD = r"[\p{L}\p{N}]+"


def fit_texts(train: DataFrame, plan: Plan) -> tuple[list[Transformer], list[str]]:
    """Learn in how many rows tokens are. Runs a Spark job for all texts, or none.

    Returns:
        Stages, and the columns that become features.
    """
    stages: list[Transformer] = []
    if plan.texts:
        parts = [f"coalesce(`{name}`, '') as `{name}__text`" for name, _ in plan.texts]
        stages.append(SQLTransformer(statement=f"select *, {', '.join(parts)} from __THIS__"))
    for name, how in plan.texts:
        stages += _tokens(name, how)
        binary = how.weights == "binary"
        stages.append(
            HashingTF(numFeatures=how.size, binary=binary, inputCol=f"{name}__tokens", outputCol=f"{name}__counts")
        )
    weighted = [name for name, how in plan.texts if how.weights == "tfidf"]
    if weighted:
        stages += _weights(PipelineModel(stages).transform(train), weighted)
    return stages, [f"{name}__{'tfidf' if how.weights == 'tfidf' else 'counts'}" for name, how in plan.texts]


def _tokens(name: str, how: Text) -> list[Transformer]:
    """Runs of one to `ngrams` tokens; of characters, in lower case, those of that length and below it."""
    text, tokens = f"{name}__text", f"{name}__tokens"
    if how.tokens == "characters":
        runs = ", ".join(_characters(f"lower(`{text}`)", length) for length in range(1, how.ngrams + 1))
        return [SQLTransformer(statement=f"select *, concat({runs}) as `{tokens}` from __THIS__")]
    if how.ngrams == 1:
        return [RegexTokenizer(inputCol=text, outputCol=tokens, pattern=WORD, gaps=False)]
    words = [f"{name}__words"] + [f"{name}__words_{length}" for length in range(2, how.ngrams + 1)]
    stages: list[Transformer] = [RegexTokenizer(inputCol=text, outputCol=words[0], pattern=WORD, gaps=False)]
    stages += [NGram(n=n, inputCol=words[0], outputCol=column) for n, column in enumerate(words[1:], 2)]
    joined = ", ".join(f"`{column}`" for column in words)
    return [*stages, SQLTransformer(statement=f"select *, concat({joined}) as `{tokens}` from __THIS__")]


def _characters(text: str, length: int) -> str:
    last = f"length({text}) - {length - 1}"
    runs = f"transform(sequence(1, {last}), i -> substring({text}, i, {length}))"
    return f"case when {last} >= 1 then {runs} else cast(array() as array<string>) end"


def _weights(frame: DataFrame, names: list[str]) -> list[Transformer]:
    """Spark's IDF, ln((rows + 1) / (rows with it + 1)), for all columns at once; then rows of length 1."""
    summary = Summarizer.metrics("count", "numNonZeros")
    row = frame.select(*[summary.summary(frame[f"`{name}__counts`"]).alias(f"s{i}") for i, name in enumerate(names)])
    found = row.collect()[0]
    stages: list[Transformer] = []
    for place, name in enumerate(names):
        rows, there = found[place]["count"], found[place]["numNonZeros"].toArray()
        weights = Vectors.dense(np.log((rows + 1) / (there + 1)))
        stages.append(ElementwiseProduct(scalingVec=weights, inputCol=f"{name}__counts", outputCol=f"{name}__weighted"))
        stages.append(Normalizer(inputCol=f"{name}__weighted", outputCol=f"{name}__tfidf"))
    return stages
