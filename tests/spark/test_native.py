"""The parts of the compiled scorer that are SQL, against Python: texts looked up, numbers between bends, one evaluation per row."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from headrace.models.card import ModelCard
from headrace.models.compiled import running
from headrace.models.compiled.native.after import YES, levels
from headrace.models.compiled.native.lookup import lookup
from headrace.models.compiled.native.printed import number
from headrace.models.compiled.scorer import Compiled
from headrace.models.compiled.sql import NotCompiled
from headrace.models.compiled.sql import levels as statement

ODD = [
    "",
    " ",
    "'",
    "\\",
    "\\'",
    '"',
    "a'b\\n",
    "\n",
    "\t",
    "é",
    "日本",
    "\U0001f600",
    "null",
    "NULL",
    "${x}",
    "%s",
    "[1]",
    "{",
    "`a`",
]


@pytest.mark.parametrize("count", [1, 2, 3, 40, 3_000])
def test_each_text_has_its_number_and_all_others_one(spark: SparkSession, count: int) -> None:
    texts = (ODD + [f"v{n}" for n in range(count)])[:count] if count < 4 else ODD + [f"v{n}" for n in range(count)]
    numbers = [random.Random(n).uniform(-1e9, 1e9) for n in range(len(texts))]
    asked = [*texts, None, "x", "V1", "v1 ", "v-1"]
    frame = spark.createDataFrame(pa.table({"n": list(range(len(asked))), "c": pa.array(asked, pa.string())}))
    found = frame.select("n", F.expr(lookup("`c`", texts, numbers, -0.5)).alias("of")).collect()
    known = dict(zip(texts, numbers, strict=True))
    assert {row["n"]: row["of"] for row in found} == {n: known.get(one, -0.5) for n, one in enumerate(asked)}


def test_numbers_are_written_as_they_are(spark: SparkSession) -> None:
    values = [0.0, -0.0, 1.5, -1e-300, 1e308, 5e-324, 0.1, 1 / 3, float("inf"), float("-inf"), float("nan")]
    (row,) = spark.sql(f"select {', '.join(f'{number(one)} as c{n}' for n, one in enumerate(values))}").collect()
    assert list(map(repr, row)) == list(map(repr, values))


@pytest.mark.parametrize("bends", [1, 2, 3, 8, 101])
def test_between_bends_it_is_straight(spark: SparkSession, bends: int) -> None:
    rng = np.random.default_rng(bends)
    x, y = np.sort(rng.random(bends)), np.sort(rng.random(bends))
    step = ("rising", {"input": "probability", "place": 1, "output": "made"}, {"boundaries": x, "predictions": y})
    asked = np.concatenate([x, rng.random(50), [0.0, 1.0, np.nan]])
    frame = spark.createDataFrame(pa.table({"n": np.arange(len(asked)), YES: asked}))
    found = {r["n"]: r["made"] for r in frame.select("n", F.expr(levels([step])[0]["made"]).alias("made")).collect()}
    made: dict[str, Any] = {"probability": _Vector(asked)}
    from headrace.models.compiled.stages import rising

    rising(step[1], step[2])(made, len(asked))
    np.testing.assert_allclose([found[n] for n in range(len(asked))], made["made"].values, rtol=1e-12)


class _Vector:
    def __init__(self, values: Any) -> None:
        self.values = values

    def picked(self, places: Any) -> list[Any]:
        return [self.values]


def straight(weights: list[float], keep: bool = False) -> Compiled:
    """A linear regression over `a` and `b`."""
    card = ModelCard("regression", {"a": "double", "b": "double"}, "double", (), ("id",))
    make = statement("select *, a * 2 as twice from __THIS__")[0]
    steps = [
        ("sql", {"make": make}, {}),
        ("assemble", {"inputs": ["twice", "b"], "output": "features", "keep": keep}, {}),
        ("linear", {"input": "features", "prediction": "prediction", "link": "identity"},
         {"weights": np.array([weights]), "intercepts": np.array([0.25])}),
    ]  # fmt: skip
    return Compiled(card, ("a", "b"), steps)


def test_a_filter_on_the_prediction_does_not_ask_the_model_twice(spark: SparkSession) -> None:
    frame = spark.range(10).selectExpr("id", "cast(id as double) as a", "cast(id % 3 as double) as b")
    made = running.score(straight([0.12345, 3.0]), frame, ["id"])
    plan = made.where("prediction > 1 and prediction is not null").select("id", "prediction")
    told = plan._jdf.queryExecution().executedPlan().toString()
    assert told.count("0.12345") == 1
    assert sorted(row["id"] for row in plan.collect()) == [
        n for n in range(10) if 0.12345 * 2 * n + 3 * (n % 3) + 0.25 > 1
    ]


def test_rows_that_the_model_refuses_are_heard_of_or_raise(spark: SparkSession) -> None:
    frame = spark.sql("select * from values (1, 1.0D, 2.0D), (2, null, 1.0D), (3, double('NaN'), 1.0D) as t(id, a, b)")
    for keep in (False, True):
        made = straight([1.0, 1.0], keep)
        watch = running.watch(spark, made, 3)
        found = {row["id"]: row["prediction"] for row in running.score(made, frame, ["id"], watch).collect()}
        assert found[1] == 4.25
        some, wrong = watch.found()
        assert some is not None
        assert sorted(map(str, some.column("a").to_pylist())) == ["1.0", "None", "nan"]
        if keep:
            assert (np.isnan(found[2]), np.isnan(found[3]), wrong) == (True, True, None)
            assert running.score(made, frame, ["id"]).count() == 3
        else:
            assert (found[2], found[3], wrong) == (None, None, "it has no answer for 2 rows")
            with pytest.raises(Exception, match="a feature is null or NaN in some rows"):
                running.score(made, frame, ["id"]).collect()


def test_moments_reach_who_compares_as_they_are(spark: SparkSession) -> None:
    card = ModelCard("regression", {"t": "timestamp", "d": "date", "x": "decimal(9,2)"}, "double", (), ("id",))
    make = statement("select *, unix_micros(t) + unix_date(d) + cast(x as double) as all from __THIS__")[0]
    steps = [
        ("sql", {"make": make}, {}), ("assemble", {"inputs": ["all"], "output": "features", "keep": True}, {}),
        ("linear", {"input": "features", "prediction": "prediction", "link": "identity"},
         {"weights": np.array([[1.0]]), "intercepts": np.array([0.0])}),
    ]  # fmt: skip
    made = Compiled(card, ("t", "d", "x"), steps)
    frame = spark.sql(
        "select 1 as id, timestamp'2024-03-10 07:30:00.000001Z' as t, date'1960-02-29' as d, 12.34BD as x"
    )
    frame = frame.withColumn("x", F.col("x").cast("decimal(9,2)"))
    watch = running.watch(spark, made, 1)
    assert running.score(made, frame, ["id"], watch).count() == 1
    some, wrong = watch.found()
    assert wrong is None
    assert some is not None
    assert some.select(["t", "d", "x"]).to_pylist() == frame.select("t", "d", "x").toArrow().to_pylist()
    assert made.score(some).column("prediction").to_pylist() == some.column("__prediction").to_pylist()


def test_what_grows_too_large_is_left_to_python() -> None:
    with pytest.raises(NotCompiled):
        lookup("`c`", [str(n) for n in range(20_001)], [0.0] * 20_001, 0.0)
