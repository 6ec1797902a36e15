"""De-duplication by key: the newest row stays, whichever order the rows come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, MapType, StructType, VariantType

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType


def _orderable(kind: DataType) -> bool:
    return not isinstance(kind, (MapType, VariantType, ArrayType, StructType))


def latest_by_key(frame: DataFrame, key: tuple[str, ...], order: str) -> DataFrame:
    """One row per key: the greatest by `order`, then by all columns, so that ties fall the same way every time.

    Args:
        frame: Rows, with no null in the key.
        key: The key's columns; with none, all rows stay.
        order: Column that orders the versions of a row, the last wins.
    """
    if not key:
        return frame
    rest = [f.name for f in frame.schema if f.name not in key and f.name != order and _orderable(f.dataType)]
    newest = Window.partitionBy(*key).orderBy(F.col(order).desc(), *[F.col(f"`{c}`").desc_nulls_last() for c in rest])
    return frame.withColumn("_rank", F.row_number().over(newest)).where("_rank = 1").drop("_rank")
