"""Where the folds of a training set begin, and the column that says in which a row validates."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config.learning import TrainingSet
from headrace.engine.folds import Cut, by_class, by_hash, by_time, place
from headrace.engine.time import utc
from headrace.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

PARTS = ("train", "validation")
ACCURACY = 100_000
"""Of quantiles: of so many rows one at most lies elsewhere."""
CLASSES = ("binary", "multiclass")


def folded(rows: DataFrame, training: TrainingSet, key: tuple[str, ...], task: str) -> tuple[Cut, Column] | None:
    """How rows are cut into folds, and the column `fold`; None without folds. Runs up to two Spark jobs.

    Args:
        rows: Key and group, `predict_at`, `label`, `split`.
        training: The configuration.
        key: Of the spine.
        task: What is learned.

    Raises:
        ConfigError: If classes are to be shared out, and there are none.
        DataError: If too few times are different.
    """
    split, conf = training.split, training.split.folds
    if conf is None:
        return None
    by, names = split.folds_by, split.group or key
    lawful = F.col("split").isin(*PARTS)
    lawful = lawful & F.col("label").isNotNull() if training.labelled else lawful
    if by == "time":
        starts = tuple(starts_of(rows.where(lawful), conf.count))
        cut, fold = Cut(conf.count, by, starts, conf.window, conf.embargo), by_time(starts)
    elif by == "hash":
        cut, fold = Cut(conf.count, by), by_hash(names, conf.count)
    else:
        _check_classes(task)
        cut, fold = Cut(conf.count, by), by_class(names, bounds_of(rows.where(lawful), names, conf.count))
    return cut, F.when(lawful, fold)


def told(cut: Cut) -> str:
    """For people."""
    if cut.by != "time":
        return f"{cut.count} folds by hash" if cut.by == "hash" else f"{cut.count} stratified folds"
    return f"{cut.count} folds by time ({cut.window}), beginning at {', '.join(f'{s:%F %T}' for s in cut.starts)} UTC"


def starts_of(rows: DataFrame, count: int) -> list[datetime]:
    """When folds begin: the rows in order of `predict_at` make one stretch more than folds, about equal.

    Each begins with a time that is there, so that no time is split between two. Runs two Spark jobs.

    Raises:
        DataError: If that cannot be, for too many rows share their times.
    """
    times = rows.select(F.unix_micros("predict_at").alias("at")).where("at is not null").persist()
    try:
        shares = [number / (count + 1) for number in range(1, count + 1)]
        near: list[int] = times.agg(F.percentile_approx("at", shares, ACCURACY)).collect()[0][0] or []
        asked = [F.count("*").alias("rows")]
        for number, at in enumerate(near):
            asked += [
                F.count_if(F.col("at") < at).alias(f"below{number}"),
                F.count_if(F.col("at") <= at).alias(f"upto{number}"),
                F.min(F.when(F.col("at") > at, F.col("at"))).alias(f"next{number}"),
            ]
        found = times.agg(*asked).collect()[0]
    finally:
        times.unpersist()
    starts = [_nearer(found, number, at, found["rows"] * shares[number]) for number, at in enumerate(near)]
    known = [start for start in starts if start is not None]
    if len(set(known)) < count:
        raise DataError(
            f"training_set.split.folds: {count} folds by time need {count + 1} stretches of about equal rows, and too "
            f"many of the {found['rows']:,} rows share their predict_at; write fewer folds, or by: hash"
        )
    return [utc(start) for start in known]


def _nearer(found: Any, number: int, at: int, wanted: float) -> int | None:
    """The quantile itself, or the next time: before which of them about as many rows lie as are wanted, and some."""
    below, upto = found[f"below{number}"], found[f"upto{number}"]
    return found[f"next{number}"] if below == 0 or abs(upto - wanted) < abs(below - wanted) else at


def bounds_of(rows: DataFrame, names: tuple[str, ...], count: int) -> dict[Any, list[int]]:
    """Per class where folds 2, 3 ... begin in `place`, so that each has as many of its rows. Runs a Spark job."""
    shares = [number / count for number in range(1, count)]
    quantiles = F.percentile_approx("at", shares, ACCURACY).alias("bounds")
    # one line per class, and a number per fold
    found = rows.select("label", place(names).alias("at")).groupBy("label").agg(quantiles).orderBy("label").collect()
    return {row["label"]: [bound + 1 for bound in row["bounds"]] for row in found}


def _check_classes(task: str) -> None:
    if task not in CLASSES:
        raise ConfigError(
            f"training_set.split.folds.by: stratified is for classes, and the task is {task}; write time or hash"
        )
