"""Folds of a training set: into which a row falls, and as SQL over its columns which rows train and validate in each.

The column `fold` is the fold in which a row validates, from 1; 0 is the first stretch of time, which only trains. Rows
of other parts than train and validation, and rows without a label, have none (null).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from headrace.config.durations import microseconds
from headrace.config.folds import FOLD

if TYPE_CHECKING:
    from pyspark.sql import Column

GRAIN = 1 << 40
"""Hashes within a class are compared with bounds below it."""


@dataclass(frozen=True)
class Cut:
    """How a training set was cut into folds: enough to say which rows train and validate in each.

    Attributes:
        count: Folds that validate, from 1.
        by: `time`, `hash` or `stratified`.
        starts: By time, when each begins (aware); one after the other.
        window: By time, `expanding` or `sliding`.
        embargo: By time, how long before a fold begins a label must have been known.
    """

    count: int
    by: str
    starts: tuple[datetime, ...] = ()
    window: str = "expanding"
    embargo: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For a commit's facts."""
        if self.by != "time":
            return {"count": self.count, "by": self.by}
        starts = [start.isoformat() for start in self.starts]
        return {"count": self.count, "by": self.by, "starts": starts, "window": self.window, "embargo": self.embargo}

    @classmethod
    def of(cls, facts: Mapping[str, Any] | None) -> Cut | None:
        """From a commit's facts; None where there are no folds."""
        if not facts:
            return None
        return cls(**{**facts, "starts": tuple(datetime.fromisoformat(start) for start in facts.get("starts", ()))})

    def validates(self, fold: int) -> str:
        """SQL: whether a row validates in a fold."""
        return f"{FOLD} = {fold}"

    def trains(self, fold: int) -> str:
        """SQL: whether a row trains in a fold.

        By time only rows whose label was known when the fold begins, and an embargo before: else the fold would be
        judged by what its own time has told.
        """
        if self.by != "time":
            return f"{FOLD} <> {fold}"
        before = f"{FOLD} = {fold - 1}" if self.window == "sliding" else f"{FOLD} < {fold}"
        known = self.starts[fold - 1] - timedelta(microseconds=microseconds(self.embargo) if self.embargo else 0)
        return f"{before} and label_known_at <= timestamp_ltz'{known.isoformat(sep=' ', timespec='microseconds')}'"


def by_time(starts: Sequence[datetime]) -> Column:
    """The fold of a row by its `predict_at`; null without."""
    from pyspark.sql import functions as F

    from headrace.engine.time import moment

    return reduce(add, [(F.col("predict_at") >= moment(start)).cast("int") for start in starts])


def by_hash(names: Sequence[str], count: int) -> Column:
    """The fold of a row by a hash of some columns: rows that agree in them stay together."""
    from pyspark.sql import functions as F

    return (F.pmod(_hash(names), F.lit(count)) + 1).cast("int")


def by_class(names: Sequence[str], bounds: Mapping[Any, Sequence[int]]) -> Column:
    """The fold of a row by a hash of some columns, held against the bounds of its class.

    Args:
        names: What tells rows apart.
        bounds: Per class where folds 2, 3 ... begin, in `place`.
    """
    from pyspark.sql import functions as F

    at, chosen = place(names), F.lit(None).cast("int")
    for label, starts in bounds.items():
        fold = reduce(add, [(at >= start).cast("int") for start in starts]) + 1
        chosen = F.when(F.col("label") == F.lit(label), fold).otherwise(chosen)
    return chosen


def place(names: Sequence[str]) -> Column:
    """Where a row stands among those of its class."""
    from pyspark.sql import functions as F

    return F.pmod(_hash(names), F.lit(GRAIN))


def _hash(names: Sequence[str]) -> Column:
    """Another one than that of the split, which has its shares of it already."""
    from pyspark.sql import functions as F

    return F.xxhash64(F.lit(FOLD), *[F.col(f"`{name}`") for name in names])
