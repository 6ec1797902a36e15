"""Harrell's concordance of many rows: exact, with ties, and distributed; its intervals. See `metrics.pairs`.

Times and predictions are cut into buckets. Of two rows in other buckets of time the order of their predictions follows
from the buckets of these, a count per pair of buckets; where these are the same too, a bucket of predictions knows it;
and of two rows in one bucket of time, that bucket. A value that many rows have is a bucket by itself, in which nothing is
left to compare: however the values lie, and wherever the cuts fall, the counts are exact and no task has all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from headrace.metrics.pairs import pairs
from headrace.metrics.statistics import Array

BY = ("slice_column", "slice_value")
CUTS = 200
BUCKET_ROWS = 20_000
"""Of fewer rows per bucket a single one does."""
ACCURACY = 10_000
_INSIDE, _ACROSS, _LEVEL = 0, 1, 2
"""Pairs in one bucket of times; in two of both; in two of times and one of predictions."""


@dataclass(frozen=True)
class Cuts:
    """Where times and predictions are cut, each ascending, and the number of rows."""

    times: tuple[float, ...]
    predictions: tuple[float, ...]
    rows: int

    @property
    def buckets(self) -> tuple[int, int]:
        """How many there are of times and of predictions, see `in_buckets`."""
        return 3 * len(self.times) + 1, 2 * len(self.predictions) + 1

    def of(self, most: int) -> Cuts:
        """With `most` cuts at the most."""
        return Cuts(_thinned(self.times, most), _thinned(self.predictions, most), self.rows)


def cuts_of(judged: DataFrame) -> Cuts:
    """Quantiles of all rows. Runs a Spark job; a few hundred numbers come to the driver."""
    shares = [number / (CUTS + 1) for number in range(1, CUTS + 1)]
    known = F.when(~F.isnan("yhat"), F.col("yhat"))
    found: Any = judged.agg(
        F.count("*").alias("rows"),
        F.percentile_approx("y", shares, ACCURACY).alias("y"),
        F.percentile_approx(known, shares, ACCURACY).alias("yhat"),
    ).first()
    return Cuts(_finite(found["y"]), _finite(found["yhat"]), found["rows"])


def concordances(judged: DataFrame, cuts: Cuts, by: Sequence[str] = BY, bucket_rows: int = BUCKET_ROWS) -> DataFrame:
    """Harrell's C per group.

    Args:
        judged: `by`, `y` (double, the time), `yhat` (double), `censored` (boolean).
        cuts: Of these rows; any others are right as well, if slower.
        by: The groups.
        bucket_rows: About how many rows a bucket has at least.

    Returns:
        `by`, `concordance` (double; null where no pair can be compared, or a prediction is null or NaN).
    """
    few = cuts.of(min(CUTS, cuts.rows // max(1, bucket_rows)))
    rows = in_buckets(judged, few)
    parts = _cells(rows, by, bool(few.times or few.predictions))
    schema = ", ".join(f"`{one.name}` {one.dataType.simpleString()}" for one in judged.select(*by).schema)
    counted = parts.groupBy(*by, "part", "bucket").applyInArrow(  # type: ignore[call-overload]
        _counting(tuple(by)), f"{schema}, right double, compared double"
    )
    sums = counted.groupBy(*by).agg(F.sum("right").alias("right"), F.sum("compared").alias("compared"))
    share = F.nanvl(F.col("right"), F.lit(None)) / F.nullif(F.col("compared"), F.lit(0.0))
    return sums.select(*by, share.alias("concordance"))


def in_buckets(judged: DataFrame, cuts: Cuts) -> DataFrame:
    """Add `late` (int: censored), `times` and `levels` (int: buckets of times and predictions, in their order).

    Each value that is a cut has a bucket of its own, of times one for events and one for what is censored at that time.
    """
    late = F.col("censored").cast("int")
    yhat = F.coalesce(F.col("yhat"), F.lit(float("nan")))
    plain = {"late": late, "y": F.col("y") + 0.0, "yhat": yhat + 0.0}  # buckets tell -0.0 from 0.0, comparisons do not
    rows = judged.withColumns(plain)
    rows, time, at_cut = _bucket(rows, "y", cuts.times)
    rows, level, at_level = _bucket(rows, "yhat", cuts.predictions)
    times = time * 3 - F.when(at_cut, 2 - F.col("late")).otherwise(0)
    levels = level * 2 - F.when(at_level, 1).otherwise(0)
    return rows.withColumn("times", times.cast("int")).withColumn("levels", levels.cast("int"))


def binned(counts: Array, events: Array) -> Array:
    """Harrell's C from counts per bucket: (replicates,); pairs in one bucket of times are not compared.

    Args:
        counts: (replicates, times, levels): rows.
        events: Of these with an event.
    """
    later = counts[:, ::-1].cumsum(axis=1)[:, ::-1] - counts
    above = later[:, :, ::-1].cumsum(axis=2)[:, :, ::-1] - later
    right = (events * (above + 0.5 * later)).sum(axis=(1, 2))
    compared = (events * later.sum(axis=2, keepdims=True)).sum(axis=(1, 2))
    return np.divide(right, compared, out=np.full(len(right), np.nan), where=compared > 0)


def _thinned(values: tuple[float, ...], most: int) -> tuple[float, ...]:
    """All of few values; of others evenly many, at most so many."""
    step = -(-len(values) // most) if most else len(values) + 1
    return values[step - 1 :: step] if values else ()


def _finite(values: Sequence[float] | None) -> tuple[float, ...]:
    known = sorted({float(value) for value in values or () if np.isfinite(value)})
    return tuple(known)


def _bucket(rows: DataFrame, column: str, cuts: Sequence[float]) -> tuple[DataFrame, Column, Column]:
    """Add how many cuts are not above a value (NaN: one more than there are); and whether it is one of them."""
    from pyspark.ml.feature import Bucketizer

    if not cuts:
        return rows, F.lit(0), F.lit(False)
    place = f"__{column}_place"
    splits = [-float("inf"), *cuts, float("inf")]
    bucketizer = Bucketizer(splits=splits, inputCol=column, outputCol=place, handleInvalid="keep")
    number = F.col(place).cast("int")
    below = F.try_element_at(F.array(*[F.lit(cut) for cut in cuts]), F.nullif(number, F.lit(0)))
    return bucketizer.transform(rows), number, F.coalesce(below == F.col(column), F.lit(False))


def _cells(rows: DataFrame, by: Sequence[str], cut: bool) -> DataFrame:
    """Counts of equal rows, for each part of the work: `by`, `part`, `bucket`, `time`, `late`, `yhat`, `events`, `rows`."""

    def counted(part: int, bucket: str, time: str, late: str, yhat: str, of: DataFrame = rows) -> DataFrame:
        asked = {
            "part": str(part),
            "bucket": bucket,
            "time": f"cast({time} as double)",
            "late": f"cast({late} as double)",
        }
        asked |= {"yhat": f"cast({yhat} as double)"}
        named = of.select(*by, "late", *[F.expr(sql).alias(f"_{name}") for name, sql in asked.items()])
        cells = named.groupBy(*by, *[F.col(f"_{name}").alias(name) for name in asked])
        return cells.agg(F.sum(1.0 - F.col("late")).alias("events"), F.count("*").cast("double").alias("rows"))

    inside = counted(_INSIDE, "times", "y", "late", "yhat", rows.where("times % 3 = 0"))
    if not cut:
        return inside
    across = counted(_ACROSS, "0", "times", "0", "levels")
    return reduce(DataFrame.unionByName, [inside, across, counted(_LEVEL, "levels", "times", "0", "yhat")])


def _counting(by: tuple[str, ...]) -> Any:
    def count(table: Any) -> Any:
        import pyarrow as pa

        part = table["part"][0].as_py()
        columns = [table[name].to_numpy() for name in ("time", "late", "yhat", "events", "rows")]
        if np.isnan(columns[2]).any():
            right = compared = float("nan")
        else:
            time, late, predicted, events, rows = columns
            right, compared = pairs(time, late, predicted, events, rows, 0.0 if part == _ACROSS else 0.5)
        told = {name: table[name].slice(0, 1) for name in by}
        numbers = {"right": [right], "compared": [0.0 if part == _LEVEL else compared]}
        return pa.table({**told, **{name: pa.array(one, pa.float64()) for name, one in numbers.items()}})

    return count
