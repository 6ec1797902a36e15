"""Rows of published tables lie by time: the same rows, each time in one file."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.features import layout

COUNT = 3000


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "ROWS", 250)


def published(spark: SparkSession, seconds: list[int]) -> DataFrame:
    rows = [(f"e{i % 7}", int(s), float(i)) for i, s in enumerate(seconds)]
    frame = spark.createDataFrame(rows, "entity string, s bigint, x double")
    return frame.select("entity", F.timestamp_seconds("s").alias("valid_from"), "x").repartition(3)


def spread(frame: DataFrame) -> list[tuple[int, int, int]]:
    """Of each partition the first and the last time, and its rows."""
    s = F.unix_seconds("valid_from")
    by = frame.groupBy(F.spark_partition_id().alias("p")).agg(F.min(s), F.max(s), F.count("*"))
    return sorted(tuple(row)[1:] for row in by.collect())


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("hot", [0.0, 0.6, 1.0])
def test_each_time_is_in_one_place_and_no_row_is_lost(spark: SparkSession, hot: float) -> None:
    rng = np.random.default_rng(4)
    seconds = np.where(rng.random(COUNT) < hot, 500, rng.integers(-(10**9), 10**9, COUNT)).tolist()
    frame = published(spark, seconds)
    placed = layout.by_time(frame, frame, F.col("valid_from"), COUNT)
    assert placed.schema == frame.schema
    assert placed.exceptAll(frame).isEmpty()
    assert placed.count() == COUNT
    found = spread(placed)
    assert all(before[1] < after[0] for before, after in pairwise(found))
    most = COUNT * hot + 2 * 250
    assert max(rows for _, _, rows in found) <= most
    assert len(found) >= (1 - hot) * 12


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("rows", [None, 0, 499])
def test_few_rows_stay_where_they_are(spark: SparkSession, rows: int | None) -> None:
    frame = published(spark, [1, 2, 3])
    assert layout.by_time(frame, frame, F.col("valid_from"), rows) is frame


@pytest.mark.usefixtures("small")
def test_without_any_time_the_rows_stay(spark: SparkSession) -> None:
    frame = published(spark, [1, 2, 3])
    assert layout.by_time(frame, frame.limit(0), F.col("valid_from"), COUNT) is frame
    assert layout.by_time(frame, frame, None, COUNT) is frame
