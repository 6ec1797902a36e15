"""Types of text columns: taken only where every value would come back as it was."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import StringType, StructField, StructType

from headrace.clean.inference import infer_types, profile, types_without_markers

CASES = {
    "bigint": [
        ["1", "-2", None],
        ["1", "0"],
        ["999999999999999999", "+5"],
        [" 7 ", ""],
    ],
    "double": [
        ["1.5", "2"],
        ["1e5", "-.5", "3."],
        ["0.5", "NaN"],
        ["1", "inf"],
        ["123456789012345678.25"],
    ],
    "boolean": [["true", "False", None], ["TRUE"]],
    "date": [["2013-01-01", "2012-02-29"]],
    "timestamp": [
        ["2013-01-01T05:00:00Z"],
        ["2013-01-01 05:00", "2013-01-01"],
        ["2013-01-01 05:00:00.123456+02:00"],
    ],
    "string": [
        [None, None],
        ["", "  "],
        ["007", "12"],
        ["00.5", "1.5"],
        ["1234567890123456789"],
        ["1", "12345678901234567890"],
        ["NaN", "inf"],
        ["1", "true"],
        ["2013-02-30"],
        ["2013-01-01 25:00:00"],
        ["1", "NA"],
        ["1,234", "12"],
        ["1d", "2f"],
        ["0x1F"],
        ["2013"[:2] + "-01-01"],
        ["1 2"],
    ],
}


def test_types_of_columns(spark: SparkSession) -> None:
    cases = [(wanted, values) for wanted, lists in CASES.items() for values in lists]
    height = max(len(values) for _, values in cases)
    columns = [values + [None] * (height - len(values)) for _, values in cases]
    schema = StructType([StructField(f"column {i}", StringType()) for i in range(len(cases))])
    frame = spark.createDataFrame([tuple(row) for row in zip(*columns, strict=True)], schema)

    found = infer_types(profile(frame))

    assert [(values, found[f"column {i}"]) for i, (_, values) in enumerate(cases)] == [(v, w) for w, v in cases]


@pytest.mark.parametrize("kind", ["bigint", "double", "boolean", "date", "timestamp"])
def test_every_value_of_a_type_casts_to_it(spark: SparkSession, kind: str) -> None:
    values = [value for values in CASES[kind] for value in values if value and value.strip()]
    frame = spark.createDataFrame([(value,) for value in values], "value string")

    lost = frame.where(f"try_cast(trim(value) as {kind}) is null").collect()

    assert lost == []


def test_marks_of_missing_values_are_found_and_not_taken(spark: SparkSession) -> None:
    frame = spark.sql("select * from values ('1', 'NA', '?'), ('2', 'a', '1.5'), ('N/A', 'b', null) as t(x, y, z)")
    found = profile(frame)

    assert infer_types(found) == {"x": "string", "y": "string", "z": "string"}
    assert types_without_markers(found) == {"x": "bigint", "z": "double"}
    assert [found.columns[name].markers for name in "xyz"] == [("N/A",), ("NA",), ("?",)]


def test_counts_lengths_and_bounds(spark: SparkSession) -> None:
    frame = spark.sql("select * from values ('10', '2013-01-01'), (' 9 ', '1970-01-01'), ('', null) as t(x, d)")
    columns = profile(frame).columns

    x, d = columns["x"], columns["d"]
    assert (x.rows, x.filled, x.missing, x.integers, x.distinct) == (3, 2, 1, 2, 2)
    assert (x.shortest, x.longest, x.least, x.greatest) == (1, 2, 9.0, 10.0)
    assert (d.dates, d.least, d.greatest) == (2, 0.0, 1_356_998_400_000_000.0)


def test_no_rows_and_no_columns(spark: SparkSession) -> None:
    empty = spark.createDataFrame([], "`a b` string, `c.d` string")

    assert infer_types(profile(empty)) == {"a b": "string", "c.d": "string"}
    assert infer_types(profile(empty.select())) == {}


def test_one_pass_however_many_columns(spark: SparkSession) -> None:
    wide = spark.range(10).selectExpr(*[f"cast(id as string) as c{i}" for i in range(60)])
    spark.sparkContext.setJobGroup("wide", "wide")
    try:
        types = infer_types(profile(wide))
    finally:
        jobs = len(spark.sparkContext.statusTracker().getJobIdsForGroup("wide"))
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)

    assert set(types.values()) == {"bigint"}
    assert jobs <= 2
