"""The compiled scorer over rows of Spark: in Spark's own columns where it can be, else in Python by Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from headrace.models.compiled import batch
from headrace.models.compiled.native import scoring
from headrace.models.compiled.native.plan import Plan, plan
from headrace.models.compiled.scorer import Compiled
from headrace.models.compiled.sql import NotCompiled

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Watch = batch.Watch | scoring.Watch


def planned(spark: SparkSession, compiled: Compiled) -> Plan | None:
    """A scorer as SQL; None where it is not of that kind, or was not admitted as such, or a session does not take its trees."""
    made = _planned(compiled) if compiled.in_spark else None
    return made if made is not None and _known(spark, made) else None


def _known(spark: SparkSession, made: Plan) -> bool:
    """Whether a session knows the function of a plan, if it has one."""
    return made.said.function is None or made.said.function.make(spark)


@lru_cache(maxsize=8)
def _planned(compiled: Compiled) -> Plan | None:
    try:
        return plan(compiled)
    except (NotCompiled, ValueError, RecursionError):  # texts that are no Unicode, trees without end: Python takes them
        return None


def watch(spark: SparkSession, compiled: Compiled, count: int) -> Watch:
    """Who hears what some of so many rows were given."""
    made = planned(spark, compiled)
    return batch.Watch(spark, count) if made is None else scoring.Watch(compiled, made, count)


def takes_no_trees(compiled: Compiled, watch: Watch) -> bool:
    """Whether rows go to Python only because the session of a watch does not take the model's trees."""
    return isinstance(watch, batch.Watch) and compiled.in_spark and _planned(compiled) is not None


def score(compiled: Compiled, frame: DataFrame, keep: Sequence[str] = (), watch: Watch | None = None) -> DataFrame:
    """Score rows; a pure transformation, to the same columns as `models.predict.predict`.

    Args:
        compiled: The model.
        frame: Feature columns as trained, and the columns to keep.
        keep: Columns carried over.
        watch: Told of some rows. Rows that cannot be scored have no answer then, and it hears of them; else they raise.

    Raises:
        DataError: If the feature columns differ from those of the training.
    """
    if isinstance(watch, scoring.Watch):
        _known(frame.sparkSession, watch.plan)  # a stream's micro-batches have a session of their own
        return scoring.score(compiled, watch.plan, frame, keep, watch)
    made = planned(frame.sparkSession, compiled) if watch is None else None
    if made is None:
        return batch.score(compiled, frame, keep, watch)
    return scoring.score(compiled, made, frame, keep)
