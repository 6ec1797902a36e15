"""Trying what a stage would do, and noting what Spark says against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from headrace.cli.analysing import words as spark_words
from headrace.config.sql import expressions as sql
from headrace.config.types import Pipeline

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Found = tuple[str, str]
Made = TypeVar("Made")


@dataclass
class Attempts:
    """What is known while a pipeline is walked over.

    Attributes:
        spark: The session; gets temporary views, writes nothing.
        pipeline: The configuration.
        found: What is wrong: (where, what).
        tables: Cleaned and feature tables without rows.
        wrong: Per table the columns whose SQL is wrong; None: the table cannot be had at all.
    """

    spark: SparkSession
    pipeline: Pipeline
    found: list[Found] = field(default_factory=list)
    tables: dict[str, DataFrame] = field(default_factory=dict)
    wrong: dict[str, set[str] | None] = field(default_factory=dict)

    def attempt(self, where: str, make: Callable[[], Made]) -> Made | None:
        """What is made, or None: then the mistake has been noted."""
        try:
            return make()
        except Exception as error:  # Spark's errors have no common base; what is not Spark's is raised again
            words = spark_words.told(error)
            if words is None:
                raise
            self.found.append((where, words))
            return None

    def fails(self, make: Callable[[], object]) -> bool:
        """Whether Spark refuses; nothing is noted."""
        try:
            make()
        except Exception as error:  # as above
            if spark_words.told(error) is None:
                raise
            return True
        return False

    def empty(self, frame: DataFrame) -> DataFrame:
        """A frame of the same columns, without rows and without a history that would be analysed again."""
        return self.spark.createDataFrame([], frame.schema)

    def spoilt(self, table: str, *texts: str | None) -> bool:
        """Whether an expression or a name reads a column that is wrong, or a table that cannot be had."""
        wrong = self.wrong.get(table)
        tables = {other for text in texts if text for other in sql.tables(text)}
        if wrong is None or any(self.wrong.get(other, set()) is None for other in tables):
            return True
        used = {column.lower() for text in texts if text for column in sql.columns(text)}
        return bool(used & set[str]().union(wrong, *(self.wrong.get(other) or () for other in tables)))
