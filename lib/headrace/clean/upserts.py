"""New rows against those of a cleaned table: which are put in, and which take the place of one with the same key."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.runtime.merging import CHANGE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_THERE = "_there"


def changes(newest: DataFrame, there: DataFrame, key: Sequence[str], times: Sequence[str]) -> DataFrame:
    """What a cleaned table must be given.

    Args:
        newest: New rows, one per key, with no null in it.
        there: The table as it stands.
        key: The key's columns.
        times: Columns that say which row of a key is the latest, null first; a new row wins at the same times, and
            always without such columns.

    Returns:
        The columns of `there` and `_change` (insert, update); new rows that are not the latest are left out.
    """
    of_time = [F.col(f"`{time}`") for time in times]
    old = there.select(
        *[F.col(f"`{name}`").alias(f"{_THERE}_{i}") for i, name in enumerate(key)],
        F.struct(F.lit(True).alias("there"), *of_time).alias(_THERE),
    )
    same = reduce(and_, (F.col(f"`{name}`") == F.col(f"{_THERE}_{i}") for i, name in enumerate(key)))
    latest = F.struct(F.lit(True).alias("there"), *of_time) >= F.col(_THERE)
    change = F.when(F.col(_THERE).isNull(), "insert").when(latest, "update")
    columns = [F.col(f"`{name}`") for name in there.columns]
    return newest.join(old, same, "left").select(*columns, change.alias(CHANGE)).where(F.col(CHANGE).isNotNull())
