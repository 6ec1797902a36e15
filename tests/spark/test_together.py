"""In how many parts the rows of a trial come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession

from headrace.search import prepared
from headrace.search.prepared import together


@pytest.fixture
def kept(spark: SparkSession) -> Iterator[DataFrame]:
    rows = [(Vectors.dense([float(n), n / 3, -n * 1e9]), float(n % 2)) for n in range(900)]
    frame = spark.createDataFrame(rows, ["features", "label"]).repartition(5).persist()
    frame.count()
    yield frame
    frame.unpersist()


def parts(frame: DataFrame) -> int:
    return int(frame.rdd.getNumPartitions())


@pytest.mark.parametrize(("slots", "wanted"), [(1, 1), (2, 2), (5, 5), (9, 5)])
def test_small_rows_come_in_as_many_parts_as_a_trial_has_slots(kept: DataFrame, slots: int, wanted: int) -> None:
    made = together(kept, slots)
    assert parts(made) == wanted
    assert sorted(map(str, made.collect())) == sorted(map(str, kept.collect()))


def test_large_parts_stay_apart(kept: DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    size = int(str(kept._jdf.queryExecution().optimizedPlan().stats().sizeInBytes()))
    assert 900 * 4 * 8 < size < 2**20  # what they really take in memory, not a guess
    monkeypatch.setattr(prepared, "PART", size // 3 + 1)
    assert parts(together(kept, 1)) == 3
    monkeypatch.setattr(prepared, "PART", 1)
    assert parts(together(kept, 1)) == 5


def test_rows_are_read_from_memory(kept: DataFrame) -> None:
    assert "InMemoryTableScan" in str(together(kept, 1)._jdf.queryExecution().executedPlan())
