"""Vectors are asked quickly whether they hold numbers, with the answers of Spark ML itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.linalg import Vector, Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.search.vectors.finite import quickly_checked

NAN, INF = float("nan"), float("inf")
SOUND = [Vectors.dense([0.0, -0.0]), Vectors.dense([1.7976931348623157e308, 5e-324]), Vectors.sparse(2, {})]
UNSOUND = [
    Vectors.dense([NAN, 1.0]),
    Vectors.dense([1.0, NAN]),
    Vectors.dense([INF, 0.0]),
    Vectors.dense([0.0, -INF]),
    Vectors.dense([INF, -INF]),
    Vectors.dense([INF, NAN]),
    Vectors.sparse(2, {1: -INF}),
    Vectors.sparse(2, {0: NAN}),
]


@pytest.fixture
def rules(spark: SparkSession) -> Iterator[Any]:
    """The session's own rules, which are as before afterwards."""
    methods: Any = spark._jsparkSession.experimental()
    before = methods.extraOptimizations()
    getattr(methods, "extraOptimizations_$eq")(before.take(0))
    yield methods
    getattr(methods, "extraOptimizations_$eq")(before)


def labelled(spark: SparkSession, vectors: list[Vector]) -> DataFrame:
    rows = [(float(place % 2), one) for place, one in enumerate([*SOUND, *SOUND, *vectors])]
    return spark.createDataFrame(rows, ["label", "features"])


def said(frame: DataFrame) -> str:
    """What a fit finds, or why it ends."""
    try:
        model = LogisticRegression(regParam=0.1, maxIter=3).fit(frame)
        return f"{model.coefficients} {model.intercept}"
    except PySparkException as error:
        return str(re.search(r"Vectors? [^\n]*MUST NOT[^\n]*", str(error))[0])  # type: ignore[index]


@pytest.mark.parametrize("vectors", [[], *[[one] for one in UNSOUND], [None]], ids=str)
def test_a_fit_says_what_it_says_without(spark: SparkSession, rules: Any, vectors: list[Vector]) -> None:
    frame = labelled(spark, vectors)
    plainly = said(frame)
    assert quickly_checked(spark)
    assert said(frame) == plainly
    assert ("MUST NOT" in plainly) == bool(vectors)


def asked(spark: SparkSession, frame: DataFrame) -> str:
    """The plan of what Spark ML asks of the rows of a fit."""
    utils: Any = getattr(spark._jvm.org.apache.spark.ml.util, "DatasetUtils$")  # type: ignore[union-attr]
    column = utils.__getattr__("MODULE$").checkNonNanVectors("features").alias("found")
    array = spark.sparkContext._gateway.new_array(spark._jvm.org.apache.spark.sql.Column, 1)  # type: ignore[union-attr]
    array[0] = column
    return str(frame._jdf.select(array).queryExecution().optimizedPlan())


def test_nothing_is_asked_value_by_value(spark: SparkSession, rules: Any) -> None:
    frame = labelled(spark, [])
    assert "exists(" in asked(spark, frame)
    assert quickly_checked(spark)
    assert "exists(" not in asked(spark, frame)
    assert "array_max(" in asked(spark, frame)


def test_other_questions_of_arrays_stay(spark: SparkSession, rules: Any) -> None:
    values = "case id when 0 then array(1D, 2D) when 1 then array(-1D, double('NaN')) else array(null, 3D) end"
    frame = spark.range(3).selectExpr(f"{values} as a")
    how = [
        F.exists("a", lambda v: F.isnan(v) | (v == -INF) | (v == INF)),  # these may have nulls
        F.exists("a", lambda v: v > 2),
    ]
    before = [row[0] for one in how for row in frame.select(one).collect()]
    assert quickly_checked(spark)
    assert [row[0] for one in how for row in frame.select(one).collect()] == before
    for one in how:
        assert "exists(" in str(frame.select(one.alias("found"))._jdf.queryExecution().optimizedPlan())


def test_a_session_gets_one_rule_beside_its_own(spark: SparkSession, rules: Any) -> None:
    assert quickly_checked(spark)
    once = rules.extraOptimizations()
    assert quickly_checked(spark)
    assert rules.extraOptimizations().size() == once.size() == 1


def test_a_session_without_a_jvm_at_hand_goes_without() -> None:
    class Remote:
        pass

    assert not quickly_checked(Remote())  # type: ignore[arg-type]
