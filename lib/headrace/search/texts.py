"""Text of many words as features: tokens, runs of them, hashed, and weighted by how few rows have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.feature import (
    ElementwiseProduct,
    HashingTF,
    NGram,
    Normalizer,
    RegexTokenizer,
    SQLTransformer,
    StopWordsRemover,
)
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
        stages.append(as_text([name for name, _ in plan.texts]))
    for name, how in plan.texts:
        stages += tokens(name, how)
        binary = how.weights == "binary"
        stages.append(
            HashingTF(numFeatures=how.size, binary=binary, inputCol=f"{name}__tokens", outputCol=f"{name}__counts")
        )
    weighted = [name for name, how in plan.texts if how.weights == "tfidf"]
    if weighted:
        stages += _weights(PipelineModel(stages).transform(train), weighted)
    return stages, [f"{name}__{'tfidf' if how.weights == 'tfidf' else 'counts'}" for name, how in plan.texts]


def as_text(names: Sequence[str]) -> Transformer:
    """Columns as `<name>__text`, empty where they are null."""
    parts = [f"coalesce(`{name}`, '') as `{name}__text`" for name in names]
    return SQLTransformer(statement=f"select *, {', '.join(parts)} from __THIS__")


def tokens(name: str, how: Text, leave_out: Sequence[str] = ()) -> list[Transformer]:
    """Runs of one to `ngrams` tokens of `<name>__text`; of characters, in lower case, those of that length and below it.

    Args:
        name: Of the column.
        how: How it is prepared.
        leave_out: Words, in lower case, that are taken out before runs are made.

    Returns:
        Stages, the last of which makes `<name>__tokens`.
    """
    text, found = f"{name}__text", f"{name}__tokens"
    if how.tokens == "characters":
        runs = ", ".join(_characters(f"lower(`{text}`)", length) for length in range(1, how.ngrams + 1))
        return [SQLTransformer(statement=f"select *, concat({runs}) as `{found}` from __THIS__")]
    if how.ngrams == 1:
        return _words(text, found, leave_out)
    words = [f"{name}__words"] + [f"{name}__words_{length}" for length in range(2, how.ngrams + 1)]
    stages = _words(text, words[0], leave_out)
    stages += [NGram(n=n, inputCol=words[0], outputCol=column) for n, column in enumerate(words[1:], 2)]
    joined = ", ".join(f"`{column}`" for column in words)
    return [*stages, SQLTransformer(statement=f"select *, concat({joined}) as `{found}` from __THIS__")]


def _words(text: str, found: str, leave_out: Sequence[str]) -> list[Transformer]:
    cut = f"{text}__all" if leave_out else found
    stages: list[Transformer] = [RegexTokenizer(inputCol=text, outputCol=cut, pattern=WORD, gaps=False)]
    if leave_out:  # tokens are in lower case already
        stop = list(leave_out)
        stages.append(StopWordsRemover(inputCol=cut, outputCol=found, stopWords=stop, caseSensitive=True))
    return stages


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
