"""Fitting a model for each segment, several at once: the point is the same, what it learns and how it prepares is not.

Preparation is each segment's own: a median, a scale or the most frequent categories of all countries say little of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from pyspark import StorageLevel
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.config.preparation import Preparation
from headrace.errors import DataError
from headrace.models.segmented import Segmented, segment_of, within
from headrace.search.columns import columns, looked
from headrace.search.driver_trials import reason
from headrace.search.ensemble import ENSEMBLE, blended, inner
from headrace.search.fold import Known
from headrace.search.problem import Problem
from headrace.search.space import Point
from headrace.search.trial import fit_whole, workers

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 8
"""Segments that are fitted at a time, where there are as many slots."""
_ROWS = 100_000
"""Of a segment per Spark task."""


@dataclass(frozen=True)
class Size:
    """A segment.

    Attributes:
        value: As text.
        rows: With a label.
        classes: How many classes these have; 0: the label is a number.
        fewest: Rows of the rarest of these classes.
    """

    value: str
    rows: int
    classes: int
    fewest: int


def sizes(rows: DataFrame, by: str, classes: int, least: int, fewest: int, most: int) -> list[Size]:
    """The largest segments that have rows enough, of every class. Runs a Spark job.

    Args:
        rows: The column, and `label`.
        by: The column.
        classes: Of the label; 0: it is a number.
        least: Rows.
        fewest: Rows of each class.
        most: Segments that come to the driver.
    """
    named = rows.select(segment_of(by).alias("value"), "label").where("value is not null")
    keys = ["value", "label"] if classes else ["value"]
    each = named.groupBy(*keys).count().groupBy("value")
    found = each.agg(F.sum("count").alias("rows"), F.count("*").alias("classes"), F.min("count").alias("fewest"))
    enough = F.col("rows") >= least
    if classes:
        enough = enough & (F.col("classes") == classes) & (F.col("fewest") >= fewest)
    chosen = found.where(enough).orderBy(F.desc("rows"), "value").limit(most).collect()
    return [Size(row["value"], row["rows"], row["classes"] if classes else 0, row["fewest"]) for row in chosen]


@dataclass(frozen=True)
class Fitted:
    """Models of segments.

    Attributes:
        model: With all that could be fitted.
        failed: Segments that could not learn alone -> why: the general model answers for them.
    """

    model: Segmented
    failed: Mapping[str, str]

    @staticmethod
    def told(failed: Mapping[str, str]) -> tuple[str, ...]:
        """What people should know of segments that could not learn alone."""
        named = "; ".join(f"{value}: {why}" for value, why in list(failed.items())[:3])
        text = f"search.segments: {len(failed)} could not learn alone, the general model answers ({named})"
        return (text,) if failed else ()


def fit_segmented(
    problem: Problem,
    point: Point,
    rows: DataFrame,
    known: Known,
    seed: int,
    slots: int,
    least: int = 1,
    fewest: int = 1,
) -> Fitted:
    """The general model, and one for each of the point's segments. Runs Spark jobs, those of several segments at once.

    Args:
        problem: Of the search.
        point: Names the column, the segments, and the point that all are fitted with.
        rows: To learn from, as the user's stages make them.
        known: What they say.
        seed: Of estimators.
        slots: Task slots.
        least: Rows without which a segment has no model here.
        fewest: Rows of each class without which it has none.
    """
    by, one, classes = str(point.params["by"]), inner(point), len(known.target.labels)
    general = _fitted(problem, one, rows, known, seed, slots)
    values = point.params["values"]
    wanted = sizes(rows.where(segment_of(by).isin(values)), by, classes, least, fewest, len(values))
    threads = min(AT_ONCE, slots, max(1, len(wanted)))
    failed: dict[str, str] = {}
    with _divided(rows, by, wanted) as held:
        seen = _seen(problem, known, held, by, wanted)

        def fit(size: Size) -> PipelineModel | None:
            mine = within(held, by, size.value).coalesce(math.ceil(size.rows / _ROWS))
            try:
                return _fitted(problem, one, mine, seen(size, mine), seed, workers(slots, threads))
            except Exception as error:  # noqa: BLE001 (whatever it is, the general model is there, and people are told)
                failed[size.value] = reason(error)
                return None

        made = at_once(rows.sparkSession, threads, fit, wanted)
    members = {size.value: model for size, model in zip(wanted, made, strict=True) if model}
    return Fitted(Segmented(by, members, general, classes), failed)


def at_once(spark: SparkSession, threads: int, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Work on several things at a time, each in a FAIR pool of its own, so that a large one does not hold up the small."""
    context = spark.sparkContext

    def alone(numbered: tuple[int, T]) -> R:
        context.setLocalProperty("spark.scheduler.pool", f"segments-{numbered[0] % threads}")
        return work(numbered[1])

    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="segments") as pool:
        return list(pool.map(alone, enumerate(items)))


def _fitted(problem: Problem, point: Point, rows: DataFrame, known: Known, seed: int, slots: int) -> PipelineModel:
    """A point on rows, alone: raw feature columns in, prediction out."""
    if point.estimator == ENSEMBLE:
        return PipelineModel([blended(problem, point, rows, known, seed, slots)])
    plan, recipes, balance = problem.plan(point, known), problem.recipes, problem.balance
    task, seen = known.target.task, known.columns
    return fit_whole(point, task, rows, seen, plan, known.goal, seed, slots, recipes, balance)


@contextmanager
def _divided(rows: DataFrame, by: str, wanted: Sequence[Size]) -> Iterator[DataFrame]:
    """The rows of the segments, read once and kept side by side: a scan for one passes the batches of others over."""
    some = rows.where(segment_of(by).isin([size.value for size in wanted]))
    held = some.sortWithinPartitions(by).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield held
    finally:
        held.unpersist()


def _seen(
    problem: Problem, known: Known, rows: DataFrame, by: str, wanted: Sequence[Size]
) -> Callable[[Size, DataFrame], Known]:
    """What the columns of each segment are like; facts of all segments are found in one pass."""
    names, conf = list(known.columns.used), _of_these(problem.search.preparation, set(known.columns.used))
    parts = {number: segment_of(by) == F.lit(size.value) for number, size in enumerate(wanted)}
    facts = looked(rows, names, conf, parts) if parts else {}
    places = {size.value: number for number, size in enumerate(wanted)}

    def seen(size: Size, mine: DataFrame) -> Known:
        of = facts[places[size.value]]
        found = columns(mine, names, problem.search.max_categories, conf, facts=of, by_label=known.by_label)
        if not found.used:
            raise DataError("no feature differs within it")
        return replace(known, columns=found)

    return seen


def _of_these(conf: Preparation, names: set[str]) -> Preparation:
    """What is said of columns that are used."""
    columns_of = {name: one for name, one in conf.columns.items() if name in names}
    pairs = tuple(pair for pair in conf.interactions if set(pair) <= names)
    return conf.model_copy(update={"columns": columns_of, "interactions": pairs})
