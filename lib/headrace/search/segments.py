"""A model per segment, where it is better than the general one on rows that neither has learned from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from statistics import fmean
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.config.segments import Segments
from headrace.errors import HeadraceError
from headrace.models.segmented import SEGMENTS, segment_of
from headrace.runtime.step import Run
from headrace.search.own import through
from headrace.search.problem import Problem
from headrace.search.segment_fits import AT_ONCE, Fitted, Size, at_once, fit_segmented, sizes
from headrace.search.space import Point
from headrace.search.trial import measured

_SEGMENT, _FOLD = "__segment", "__fold"
_NAMED = 5
"""Segments that a note names."""


@dataclass(frozen=True)
class Divided:
    """Segments with models of their own.

    Attributes:
        point: Names the column, the segments, and the point that all are fitted with.
        value: The metric of all rows, as trials have it.
        told: For the model's card: of each segment `value`, `rows`, the metric of its `own` model and of the `general` one
            (null: not judged), and whether its own is `kept`.
    """

    point: Point
    value: float
    told: Mapping[str, Any]


@dataclass(frozen=True)
class _Heard:
    """Answers for the rows that validate, in memory: segment, fold, label, prediction, of classes probability.

    Attributes:
        general: Of the general model.
        own: Of the models of the segments; where there is none in a fold, of the general one.
        learned: Segments that had a model of their own in some fold.
        failed: Those that could not learn alone in one -> why.
    """

    general: DataFrame
    own: DataFrame
    learned: frozenset[str]
    failed: Mapping[str, str]


@dataclass(frozen=True)
class _Judged:
    """The metric of a segment; None where its rows do not tell."""

    size: Size
    own: float | None
    general: float | None
    failed: bool = False


def divided(run: Run, problem: Problem, point: Point, slots: int) -> tuple[Divided | None, tuple[str, ...]]:
    """Segments that get models of their own, where there are any; and what people should know. Runs Spark jobs."""
    conf = problem.search.segments
    assert conf is not None, "it is asked for"
    alone = "all rows have the general model"
    if conf.by not in problem.columns.used:
        why = problem.columns.dropped.get(conf.by, "gone after search.transformers")
        return None, (f"search.segments: {conf.by} is {why}; {alone}",)
    if any(fold.known.target.labels != problem.target.labels for fold in problem.folds):
        return None, (f"search.segments: not every fold has every class, so that nothing can be judged; {alone}",)
    rows = through(problem.known.made, problem.rows)
    labels = len(problem.target.labels)
    there = sizes(rows, conf.by, labels, conf.min_rows, conf.min_class_rows, conf.most)
    if not there:
        of_each = f", {conf.min_class_rows:,} of each class" if labels else ""
        return None, (f"search.segments: no {conf.by} has {conf.min_rows:,} rows{of_each}; {alone}",)
    run.say(f"{len(there)} values of {conf.by} learn alone, and are compared with the model of all rows")
    of = {"estimator": point.estimator, "params": dict(point.params)}
    every = Point(SEGMENTS, {"by": conf.by, "of": of, "values": [size.value for size in there]})
    with _both(problem, every, slots) as said:
        found = _judged(problem, there, said, slots)
        values = [one.size.value for one in found if _kept(problem, conf, one)]
        mine = F.col(_SEGMENT).isin(values)
        mixed = said.own.where(mine).unionByName(said.general.where(F.col(_SEGMENT).isNull() | ~mine))
        before, after = (_mean(problem, one) for one in (said.general, mixed))
    notes = (_note(problem, conf, found, values, before, after), *Fitted.told(said.failed))
    if not values:
        return None, (f"{notes[0]}; {alone}", *notes[1:])
    return Divided(
        Point(SEGMENTS, {**every.params, "values": values}), after, _told(problem, conf, found, values)
    ), notes


@contextmanager
def _both(problem: Problem, point: Point, slots: int) -> Iterator[_Heard]:
    """What the general model and those of the segments say of the rows that validate."""
    frames: list[tuple[DataFrame, DataFrame]] = []
    learned, failed = set[str](), dict[str, str]()
    try:
        for number, made, rows in _folds(problem, point, problem.search.seed, slots):
            model = made.model
            learned |= set(model.members)
            failed |= made.failed
            named = rows.withColumn(_SEGMENT, segment_of(str(point.params["by"]))).withColumn(_FOLD, F.lit(number))
            kept = [_SEGMENT, _FOLD, "label", "prediction", *(["probability"] if model.classes else [])]
            pair = [one.select(*kept) for one in (model.general.transform(named), model.said(named))]
            frames.append((_held(pair[0]), _held(pair[1])))
        general, own = (reduce(DataFrame.unionByName, [pair[side] for pair in frames]) for side in (0, 1))
        yield _Heard(general, own, frozenset(learned), failed)
    finally:
        for one in frames:
            for frame in one:
                frame.unpersist()


def _folds(problem: Problem, point: Point, seed: int, slots: int) -> Iterator[tuple[int, Fitted, DataFrame]]:
    """In each fold the models of those that train, and the rows that validate.

    A segment with too few rows among those that train has no model of its own there: the general one answers.
    """
    for fold in problem.folds:
        made = fit_segmented(problem, point, fold.parts.train, fold.known, seed, slots, *_half(problem))
        yield fold.number, made, fold.parts.validation


def _half(problem: Problem) -> tuple[int, int]:
    """A part of the rows trains: half as many are enough for a model to be judged by."""
    conf = problem.search.segments
    return (max(2, conf.min_rows // 2), max(1, conf.min_class_rows // 2)) if conf else (1, 1)


@contextmanager
def heard(problem: Problem, point: Point, seed: int, slots: int) -> Iterator[DataFrame]:
    """`label` and `probability` of the rows that validate, by models that have not learned from them; in memory."""
    frames: list[DataFrame] = []
    try:
        for _, made, rows in _folds(problem, point, seed, slots):
            frames.append(_held(made.model.said(rows).select("label", "probability")))
        yield reduce(DataFrame.unionByName, frames)
    finally:
        for frame in frames:
            frame.unpersist()


def _held(frame: DataFrame) -> DataFrame:
    held = frame.persist(StorageLevel.MEMORY_AND_DISK)
    held.count()
    return held


def _judged(problem: Problem, there: list[Size], said: _Heard, slots: int) -> list[_Judged]:
    """Both models of each segment on its own rows, those of all folds together."""
    labels = len(problem.target.labels)
    some = said.general.where(F.col(_SEGMENT).isin([size.value for size in there]))
    counted = {size.value: size for size in sizes(some, _SEGMENT, 0, 1, 1, len(there))}
    full = {size.value for size in sizes(some, _SEGMENT, labels, 1, 1, len(there))} if labels == 2 else set(counted)

    def judge(size: Size) -> _Judged:
        if size.value not in full & said.learned:
            return _Judged(size, None, None, size.value in said.failed)
        mine = (frame.where(F.col(_SEGMENT) == F.lit(size.value)) for frame in (said.own, said.general))
        own, general = (_metric(problem, frame) for frame in mine)
        return _Judged(size, own, general)

    return at_once(some.sparkSession, min(AT_ONCE, slots), judge, there)


def _metric(problem: Problem, rows: DataFrame) -> float | None:
    value = measured(rows, problem.target.task, problem.metric, problem.known.own)
    return value if value == value else None


def _mean(problem: Problem, rows: DataFrame) -> float:
    """As trials have it: the mean of the folds."""
    each = [measured(rows.where(F.col(_FOLD) == fold.number), problem.target.task, problem.metric, fold.known.own)
            for fold in problem.folds]  # fmt: skip
    if any(value != value for value in each):
        raise HeadraceError(f"{problem.metric} is not a number on the rows that validate")
    return fmean(each)


def _kept(problem: Problem, conf: Segments, one: _Judged) -> bool:
    if conf.keep == "all":
        return not one.failed
    if one.own is None or one.general is None:
        return False
    better = one.own - one.general if problem.larger_is_better else one.general - one.own
    return better > conf.margin


def _told(problem: Problem, conf: Segments, found: list[_Judged], values: list[str]) -> dict[str, Any]:
    each = [
        {"value": one.size.value, "rows": one.size.rows, "own": one.own, "general": one.general,
         "kept": one.size.value in values}
        for one in found
    ]  # fmt: skip
    return {"by": conf.by, "keep": conf.keep, "metric": problem.metric, "each": each}


def _note(
    problem: Problem, conf: Segments, found: list[_Judged], values: list[str], before: float, after: float
) -> str:
    kept = [one for one in found if one.size.value in set(values)]
    named = ", ".join(f"{one.size.value} {_number(one.own)} ({_number(one.general)})" for one in kept[:_NAMED])
    more = f" and {len(kept) - _NAMED} more" if len(kept) > _NAMED else ""
    text = f"{len(values)} of {len(found)} values of {conf.by} with rows enough have a model of their own"
    if not kept:
        return text
    return (
        f"{text}; on rows that validate, in brackets the general model: {problem.metric} of all {after:.4f} "
        f"({before:.4f}); {named}{more}"
    )


def _number(value: float | None) -> str:
    return "not judged" if value is None else f"{value:.4f}"
