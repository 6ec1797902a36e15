"""Outliers, as rules and in features, against a slow and obvious reference; thresholds know training rows only."""

from __future__ import annotations

import json
import math
import random
import statistics
from datetime import UTC, datetime
from typing import Any

import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.config.outliers import Outlier
from headrace.config.types import Pipeline
from headrace.engine.outliers import Thresholds, beside, learn
from headrace.errors import ConfigError
from headrace.runtime.runner import Options
from headrace.search import own
from tests.support.runs import Project, statuses

GROUPS = [None, "", "a", "it's", '["a"]', "${user.dir}", "__THIS__", "back\\slash", "ü", "🦊", "one"]
VALUES = [None, math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, 1.5, 2.0, 3.0, 10.0, 1e300, -1e300, 7.0]

Row = tuple[Any, ...]
METHODS: list[dict[str, Any]] = [
    {"method": "iqr"},
    {"method": "iqr", "factor": 0.5, "by": ["g"], "min_rows": 5},
    {"method": "zscore", "by": ["g"], "min_rows": 1},
    {"method": "zscore", "factor": 1},
    {"method": "quantiles", "quantiles": [0.1, 0.9], "by": ["g", "h"], "min_rows": 3},
    {"method": "quantiles"},
]


def nasty(rows: int, seed: int) -> list[Row]:
    draw = random.Random(seed)
    made = [(draw.choice(GROUPS[:-1]), draw.choice([1, 2, None]), draw.choice(VALUES)) for _ in range(rows)]
    return [*made, ("one", 1, 5.0), *([("same", 1, 4.0)] * min(rows, 9))]


def framed(spark: SparkSession, rows: list[Row]) -> DataFrame:
    return spark.createDataFrame(rows, "g string, h int, v double").repartition(3)


def quantile(values: list[float], part: float) -> float:
    """The least value up to which no smaller part of the rows lies."""
    return next(v for v in sorted(values) if sum(one <= v for one in values) >= part * len(values))


def reference(values: list[float], method: dict[str, Any]) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    if method["method"] == "quantiles":
        low, high = method.get("quantiles", (0.001, 0.999))
        return quantile(values, low), quantile(values, high)
    if method["method"] == "iqr":
        low, high = quantile(values, 0.25), quantile(values, 0.75)
        reach = method.get("factor", 1.5) * (high - low)
    else:
        low = high = quantile(values, 0.5)
        reach = method.get("factor", 3.5) * 1.4826 * quantile([abs(v - low) for v in values], 0.5)
    ends = [low - reach, high + reach] if reach > 0 else [None, None]
    return tuple(e if e is not None and math.isfinite(e) else None for e in ends)  # type: ignore[return-value]


def text(value: Any) -> str | None:
    return None if value is None else str(value)


def expected(rows: list[Row], method: dict[str, Any]) -> Thresholds:
    finite = [row for row in rows if row[2] is not None and math.isfinite(row[2])]
    by = ["gh".index(c) for c in method.get("by", ())]
    groups: dict[str, list[float]] = {}
    for row in finite if by else ():
        key = json.dumps([text(row[i]) for i in by], ensure_ascii=False, separators=(",", ":"))
        groups.setdefault(key, []).append(row[2])
    large = {k: reference(v, method) for k, v in groups.items() if len(v) >= method.get("min_rows", 100)}
    return Thresholds(reference([row[2] for row in finite], method), large, len(finite))


@pytest.mark.parametrize(("rows", "seed"), [(0, 1), (400, 2)])
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_thresholds_against_brute_force(spark: SparkSession, method: dict[str, Any], rows: int, seed: int) -> None:
    data = nasty(rows, seed)
    found = learn(framed(spark, data), "v", Outlier.model_validate(method))
    wanted = expected(data, method)
    assert found == wanted
    assert Thresholds.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    by = method.get("by", [])
    placed = framed(spark, data).select("*", F.expr(beside(found, by)).alias("_b")).select("*", "_b.*").collect()
    keys = [json.dumps([text(row[c]) for c in by], ensure_ascii=False, separators=(",", ":")) for row in placed]
    pairs = [(r["low"], r["high"]) for r in placed]
    assert pairs == [wanted.groups.get(key, wanted.whole) for key in keys]
    assert sorted(map(repr, (tuple(r)[:3] for r in placed))) == sorted(map(repr, data))


YAML = """
pipeline: shop
tables:
  orders:
    source: {format: csv, path: orders}
    types: {amount: string, shop: string}
    key: id
    event_time: at
    available_at: known
    rules:
      - {column: amount, outlier: {method: iqr, by: shop, min_rows: 4, until: 2024-02-01}, name: odd}
      - {column: amount, outlier: {method: zscore, until: 2024-02-01}, on_fail: warn, name: far}
"""
HEAD = "id,shop,amount,at,known\n"


def lines(first: int, rows: list[tuple[str, str, str, str]]) -> str:
    return HEAD + "".join(f"{first + i},{','.join(row)}\n" for i, row in enumerate(rows))


def test_thresholds_of_a_rule_are_learned_before_its_time_recorded_and_pinned(scratch: Project) -> None:
    now = Options(as_of=datetime(2024, 6, 1, tzinfo=UTC))
    january = [("a", str(v), "2024-01-05", "2024-01-06") for v in (1, 2, 3, 4)]
    january += [("b", str(v), "2024-01-05", "2024-01-06") for v in (100, 200, 300, 400)]
    known_late = (
        "a",
        "90000",
        "2024-01-05",
        "2024-02-01",
    )  # happened before, and was known too late to be learned from
    later = [("a", "7", "2024-02-01", "2024-02-02"), ("a", "-1", "2024-03-01", "2024-03-02")]
    later += [("b", "7", "2024-03-01", ""), ("c", "900", "2024-03-01", ""), ("b", "x", "2024-03-01", "")]
    scratch.write("orders/1.csv", lines(0, [*january, known_late, *later, ("b", "", "2024-03-01", "")]))
    scratch.run(YAML, options=now)

    # a: quartiles 1 and 3: -2 to 6; b: 100 and 300: -200 to 600; all: 2 and 200: -295 to 497
    assert scratch.rows("orders_quarantine", "id", "_reasons") == [
        ("12", ["odd"]), ("13", ["odd"]), ("8", ["odd"]), ("9", ["odd"]),
    ]  # fmt: skip
    scratch.write(
        "orders/2.csv", lines(50, [("a", "6", "2024-01-01", "2024-01-01"), ("a", "6.5", "2024-01-01", "2024-01-01")])
    )
    for _ in range(2):
        after = statuses(scratch.run(YAML, options=now))
        assert ("51", ["odd"]) in scratch.rows("orders_quarantine", "id", "_reasons")
        assert scratch.table("orders_quarantine").count() == 5
    assert set(after.values()) == {"unchanged"}

    wider = YAML.replace("until: 2024-02-01}, name: odd", "factor: 3, until: 2024-02-01}, name: odd")
    scratch.run(wider, options=now)  # a: of six rows now, 2 and 6: -10 to 18
    assert [row[0] for row in scratch.rows("orders_quarantine", "id")] == ["12", "13", "8"]


FEATURES: list[Row] = [("a", 1, float(v)) for v in range(20)] + [(None, 2, 100.0 + v) for v in range(20)]
NEW: list[Row] = [
    ("a", 1, 1e9), ("a", 1, -1e9), (None, 1, 0.0), ("new", 1, 1e9), ("a", 1, None), ("a", 1, math.nan), ("a", 3, math.inf)
]  # fmt: skip


def treated(*treatments: dict[str, Any]) -> Pipeline:
    table = {"source": {"format": "csv", "path": "x.csv"}}
    return Pipeline.model_validate({"pipeline": "p", "tables": {"t": table}, "search": {"outliers": list(treatments)}})


def test_caps_and_flags_are_stages_of_the_model_and_know_training_rows_only(spark: SparkSession, tmp_path: Any) -> None:
    method = {"method": "quantiles", "quantiles": [0.1, 0.9], "by": ["g"], "min_rows": 5}
    pipeline = treated(
        {"column": ["v"], "treat": ["flag", "cap"], **method}, {"column": "h", "method": "iqr", "treat": "cap"}
    )
    train = framed(spark, FEATURES).withColumn("label", F.lit(1.0))
    fitted = own.fit_stages(own.stages(spark, pipeline), train)
    PipelineModel(fitted).write().overwrite().save(str(tmp_path / "model"))
    model = PipelineModel.load(str(tmp_path / "model"))
    rows = spark.createDataFrame([(i, *row) for i, row in enumerate(NEW)], "i int, g string, h int, v double")
    made = model.transform(rows).select("i", "v", "v__outlier", F.col("h").cast("double")).orderBy("i")
    found = [(r["v"], r["v__outlier"]) for r in made.collect()]
    a, nobody, whole = ((1.0, 17.0), (101.0, 117.0), (3.0, 115.0))
    assert [found[i] for i in (0, 1, 2, 3, 4, 6)] == [
        (a[1], 1.0), (a[0], 1.0), (nobody[0], 1.0), (whole[1], 1.0), (None, 0.0), (a[1], 1.0),
    ]  # fmt: skip
    assert math.isnan(found[5][0])
    assert found[5][1] == 0.0
    assert statistics.mean(r[0] for r in model.transform(train).select("v__outlier").collect()) == 0.15


@pytest.mark.parametrize(
    ("treatment", "says"),
    [
        ({"column": "w", "method": "iqr"}, r"search.outliers\[0\].column: no feature is called 'w'"),
        (
            {"column": "v", "method": "iqr", "by": "gg"},
            r"by: no feature is called 'gg'; there are: g, h, v; did you mean 'g'",
        ),
        ({"column": "g", "method": "iqr"}, "'g' is string; outliers are numbers"),
    ],
)
def test_what_is_no_feature_is_told(spark: SparkSession, treatment: dict[str, Any], says: str) -> None:
    train = framed(spark, FEATURES).withColumn("label", F.lit(1.0))
    with pytest.raises(ConfigError, match=says):
        own.fit_stages(own.stages(spark, treated(treatment)), train)
