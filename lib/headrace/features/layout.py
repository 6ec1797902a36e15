"""In which files the rows of a published table lie: by time, so that a look at some days reads the files of these days."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.engine.published import VALID_FROM

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

ROWS = 1_000_000
"""Of a file, about: some tens of megabytes."""
MOST = 4096
_TIME, _SLICE = "__headrace_time", "__headrace_slice"


def by_time(frame: DataFrame, times: DataFrame, time: Column | None, rows: int | None) -> DataFrame:
    """Rows brought together by `valid_from`. Runs a Spark job over one column, where there are many rows.

    Args:
        frame: Rows of a published table.
        times: Rows at about the times of these.
        time: When, of `times` (timestamp); None: at no time.
        rows: How many there are, about; None or few: the rows stay where they are.
    """
    slices = min((rows or 0) // ROWS, MOST)
    if slices < 2 or time is None:
        return frame
    shares = F.array(*[F.lit(place / slices) for place in range(1, slices)])
    found = times.agg(F.percentile_approx(F.unix_micros(time), shares, 10 * slices + 1000).alias("cuts")).first()
    cuts = sorted(set((found and found["cuts"]) or []))
    if not cuts:
        return frame
    from pyspark.ml.feature import Bucketizer  # of many rows only: it takes long to import

    bounds = [float("-inf"), *map(float, cuts), float("inf")]
    placed = Bucketizer(splits=bounds, inputCol=_TIME, outputCol=_SLICE).transform(
        frame.withColumn(_TIME, F.unix_micros(VALID_FROM).cast("double"))
    )
    return placed.repartitionById(len(bounds) - 1, F.col(_SLICE).cast("int")).select(*frame.columns)
