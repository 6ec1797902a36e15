"""The words of texts, counted: what topics are made of."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.feature import CountVectorizerModel, SQLTransformer, StopWordsRemover
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.config.file.complaints import meant
from headrace.config.preparation import Preparation, Vocabulary
from headrace.errors import ConfigError, DataError
from headrace.models.topics import WORDS
from headrace.search import roles
from headrace.search.columns import Columns
from headrace.search.plan import Plan
from headrace.search.texts import as_text, tokens

_WORD = re.compile(r"[^\W_]+")


def text_columns(types: Mapping[str, str], texts: Sequence[str], conf: Preparation) -> Columns:
    """The features that are read: those named, else all.

    Args:
        types: Name -> Spark's simple type of the features.
        texts: `training_set.texts`.
        conf: What the configuration says of columns.

    Raises:
        ConfigError: If one is not there, or no text.
    """
    roles.given(conf, types)  # refuses columns that are not there
    for where, message in unreadable(types, texts):
        raise ConfigError(f"{where}: {message}")
    read = texts or types
    return Columns((), (), {}, dict(types), {}, texts=tuple(name for name in types if name in read))


def unreadable(types: Mapping[str, str], texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What stands against reading these features: where, and what came and what is allowed.

    Args:
        types: Name -> Spark's simple type of the features.
        texts: `training_set.texts`.
    """
    able = [name for name, kind in types.items() if kind == "string"]
    there = ", ".join(able) or "none"
    for number, name in enumerate(texts):
        where = f"training_set.texts[{number}]"
        if name not in types:
            yield where, f"no feature is called {name!r}; features of text: {there}{meant(name, able)}"
        elif name not in able:
            yield where, f"{name!r} is {types[name]}, and topics are of words; features of text: {there}"
    others = [f"{name!r} is {kind}" for name, kind in types.items() if name not in able]
    if not texts and (others or not able):
        advice = f"name those that are to be read, as [{there}]" if able else "there is no feature of text"
        yield (
            "training_set.texts",
            f"topics are of words, and {', '.join(others[:10]) or 'there is no feature'}; {advice}",
        )


def fit_words(train: DataFrame, plan: Plan) -> PipelineModel:
    """Learn the vocabulary: from raw texts to `features`, how often a row has each word. Runs Spark jobs.

    Of all texts of a row together; null has no words. Equally frequent words are in the order of the alphabet, so that the
    same rows have the same vocabulary.

    Raises:
        DataError: If no word is left.
    """
    leave_out = stop_words(plan.vocabulary)
    stages: list[Transformer] = [as_text([name for name, _ in plan.texts])]
    for name, how in plan.texts:
        stages += tokens(name, how, leave_out)
    every = ", ".join(f"`{name}__tokens`" for name, _ in plan.texts)
    stages.append(SQLTransformer(statement=f"select *, concat({every}) as `{WORDS}` from __THIS__"))
    words = _vocabulary(PipelineModel(stages).transform(train), plan.vocabulary)
    if not words:
        raise DataError(_none_left(plan))
    return PipelineModel([*stages, CountVectorizerModel.from_vocabulary(words, inputCol=WORDS, outputCol="features")])


def stop_words(conf: Vocabulary) -> tuple[str, ...]:
    """Words that are left out, cut as texts are: `don't` is two."""
    lists = [StopWordsRemover.loadDefaultStopWords(language) for language in conf.stop_words]
    every = [*(word for words in lists for word in words), *conf.leave_out]
    return tuple(dict.fromkeys(part for word in every for part in _WORD.findall(word.lower())))


def _vocabulary(rows: DataFrame, conf: Vocabulary) -> list[str]:
    each = rows.select(F.explode(F.array_distinct(WORDS)).alias("word"))
    most = math.floor(rows.count() * conf.max_share + 1e-9)  # 100 * 0.29 is 28.999999999999996
    found = each.groupBy("word").count().where((F.col("count") >= conf.min_rows) & (F.col("count") <= most))
    kept = found.orderBy(F.desc("count"), "word").limit(conf.size).collect()  # bounded: `size`
    return [row["word"] for row in kept]


def _none_left(plan: Plan) -> str:
    conf = plan.vocabulary
    most = f", and no more than {conf.max_share:.0%} of them," if conf.max_share < 1 else ""
    return (
        f"no word of {', '.join(name for name, _ in plan.texts)} is left to learn topics of: {conf.min_rows} training "
        f"rows or more{most} must have it, and it must be no stop word. Look at the texts, and at "
        "search.preparation.vocabulary"
    )
