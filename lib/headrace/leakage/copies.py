"""Rows that know each other across the parts of a split by hash: the same key or group, or a row that stands there twice.

By time it is no leak that a customer is in two parts, nor that nothing about them has changed: nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

MOST_ROWS = 5_000_000
"""Rows of training that are looked at; of more those whose hash falls into a part, so that twins stay together."""


@dataclass(frozen=True)
class Twins:
    """How the parts overlap.

    Attributes:
        rows: Training rows looked at.
        different: Of these with different features.
        judged: Rows of the validation and test parts looked at.
        met: Of these with a twin in training: equal in all features.
        rare: Of `met` those whose label is not the most frequent one.
        agreeing: Of `rare` those that have a twin with the same label.
        keys: Rows of the validation and test parts whose key, or group, is also in training.
    """

    rows: int
    different: int
    judged: int
    met: int
    rare: int
    agreeing: int
    keys: int


def twins(rows: DataFrame, together: Sequence[str], features: Sequence[str], rare: Column, share: int) -> Twins:
    """Count twins. Runs one Spark job.

    Args:
        rows: With `split` (train, validation, test), `label`, and the columns named.
        together: Columns whose rows must be in one part: the key or the group; empty: not looked at.
        features: All features.
        rare: Whether a row's label is not the most frequent one.
        share: One in so many hashes is looked at.
    """
    row = F.col("_row")
    asked = [_one(0, _hash(together))] if together else []
    asked += [_one(1, row), _one(2, F.xxhash64(row, "label", F.col("label").isNull()))] if features else []
    known, judged = F.col("split") == "train", F.col("split") != "train"
    narrow = rows.withColumn("_row", _hash(features)).select(  # once: it reads all columns
        known.cast("int").alias("known"),
        judged.cast("int").alias("judged"),
        (judged & F.coalesce(rare, F.lit(False))).cast("int").alias("rare"),
        F.explode(F.array(*asked)).alias("one"),
        "_row",
    )
    if share > 1:  # by the row, so that both hashes of a row are there
        by = F.when(F.col("one.what") == 0, F.col("one.hash")).otherwise(row)
        narrow = narrow.where(F.pmod(by, F.lit(share)) == 0)
    counts = narrow.groupBy("one.what", "one.hash").agg(*[F.sum(c).alias(c) for c in ("known", "judged", "rare")])
    met = F.col("known") > 0
    sums = counts.groupBy("what").agg(
        F.sum("known").alias("rows"),
        F.count_if(met).alias("different"),
        F.sum("judged").alias("judged"),
        F.sum(F.when(met, F.col("judged")).otherwise(0)).alias("met"),
        F.sum(F.when(met, F.col("rare")).otherwise(0)).alias("rare"),
    )
    found = {row["what"]: row for row in sums.collect()}  # three rows
    of_rows, of_keys = found.get(1), found.get(0)
    counted = {name: int(of_rows[name]) if of_rows else 0 for name in ("rows", "different", "judged", "met", "rare")}
    agreeing = int(found[2]["rare"]) if of_rows else 0
    return Twins(**counted, agreeing=agreeing, keys=int(of_keys["met"]) if of_keys else 0)


def _one(what: int, value: Column) -> Column:
    return F.struct(F.lit(what).alias("what"), value.alias("hash"))


def _hash(names: Sequence[str]) -> Column:
    """A hash of several columns, in which a null is not as if it were not there."""
    columns = [F.col(f"`{name}`") for name in names]
    return F.xxhash64(*[part for one in columns for part in (one, one.isNull())]) if columns else F.lit(0)
