"""De-duplication by key: the newest row stays, whichever order the rows come in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, MapType, StructType

from headrace.engine.buckets import unordered

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType


def latest_by_key(frame: DataFrame, key: Sequence[str], order: Sequence[str]) -> DataFrame:
    """One row per key: the greatest by `order`, then by all columns, so that ties fall the same way every time.

    Args:
        frame: Rows, with no null in the key.
        key: The key's columns; with none, all rows stay.
        order: Columns, or fields as `_row._batch`, that order the versions of a row: the last wins, null is first.
    """
    if not key:
        return frame
    told = {*key, *order}
    rest = [ordered(F.col(f"`{f.name}`"), f.dataType) for f in frame.schema if f.name not in told]
    by = [F.col(name) for name in order] + rest
    newest = Window.partitionBy(*key).orderBy(*[column.desc_nulls_last() for column in by])
    return frame.withColumn("_rank", F.row_number().over(newest)).where("_rank = 1").drop("_rank")


def ordered(column: Column, kind: DataType) -> Column:
    """The same in a form that has an order; equal maps are equal in it, whichever order their entries are in."""
    if not unordered(kind):
        return column
    if isinstance(kind, ArrayType):
        return F.transform(column, lambda one: ordered(one, kind.elementType))
    if isinstance(kind, MapType):
        entries = F.transform(
            F.map_entries(column),
            lambda one: F.struct(one["key"].alias("k"), ordered(one["value"], kind.valueType).alias("v")),
        )
        return F.array_sort(entries)
    if isinstance(kind, StructType):
        fields = [ordered(column[f.name], f.dataType).alias(f"f{i}") for i, f in enumerate(kind.fields)]
        return F.when(column.isNotNull(), F.struct(*fields))
    return F.to_json(column)
