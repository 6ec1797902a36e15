"""What a pass over a table costs, and which row of equal ones it keeps."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.clean.duplicates import latest_by_key
from headrace.config.preparation import Preparation
from headrace.config.types import Table
from headrace.errors import DataError
from headrace.search.columns import looked
from headrace.validate.rules import judge
from headrace.validate.tallies import counted
from tests.support.runs import Project

pytestmark = pytest.mark.usefixtures("interpreted")

ROW_RULES: list[dict[str, Any]] = [
    {"not_null": ["a", "b", "c"]},
    {"column": "a", "in": [1, 2, 3]},
    {"column": "b", "between": [0, 0.9], "at_most": "50%"},
    {"column": "c", "matches": "[0-9]+", "on_fail": "warn"},
    {"column": "c", "parses": "int"},
    {"ordered": ["a", "b"]},
    {"column": "b", "outlier": {"method": "iqr", "by": "a", "until": "2024-01-01"}},
    {"name": "across", "check": "a > b or c = 'x'", "on_fail": "fail"},
]


def test_any_number_of_row_rules_is_two_jobs(spark: SparkSession, tmp_path: Any) -> None:
    made = (
        "cast(id % 5 as int) as a",
        "id / 1000 as b",
        "cast(id as string) as c",
        "cast(array() as array<string>) as _reasons",
        "id as _raw",
    )
    spark.range(0, 1000, 1, 4).selectExpr(*made).write.parquet(str(tmp_path / "t"))
    frame = spark.read.parquet(str(tmp_path / "t"))
    more = [{"name": f"more_{i}", "check": f"a <> {i} or b < 0.5"} for i in range(60)]
    source = {"format": "csv", "path": "/x.csv"}
    table = Table.model_validate({"source": source, "event_time": "t", "key": "a", "rules": ROW_RULES + more})
    pinned = {"b_outlier": {"whole": [0.1, 0.9], "groups": {f'["{i}"]': [0.0, i / 5] for i in range(5)}, "rows": 9}}
    group = f"rules {random.random()}"
    spark.sparkContext.setJobGroup(group, group)
    try:
        judged = judge(frame, table, pinned).persist()
        counts = {r["name"]: r["count"] for r in counted(judged)}
        jobs = len(spark.sparkContext.statusTracker().getJobIdsForGroup(group))
        judged.unpersist()
    finally:
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
    assert counts["rows"] == 1000
    assert counts["more_3"] == 100
    assert counts["b_outlier"] == 199 + 160 + 120 + 80 + 40
    assert jobs <= 2


TRANSFORM = """
from pyspark.sql import functions as F


def counted(frame):
    @F.udf("int")
    def one(n):
        with open({place!r}, "a") as file:
            file.write("x")
        return n

    return frame.withColumn("m", one("n")){then}
"""


def test_a_transform_is_computed_once_and_proven(scratch: Project) -> None:
    scratch.write("t.csv", "k,n\n" + "".join(f"{i % 7},{i}\n" for i in range(20)))
    yaml = (
        "pipeline: p\ntables: {t: {source: {format: csv, path: t.csv}, transform: 'mine:counted', key: k, "
        "rules: [{name: small, check: m < 15}, {name: odd, check: m % 2 = 1, on_fail: warn}]}}\n"
    )
    scratch.write("mine.py", TRANSFORM.format(place=str(scratch.folder / "calls"), then=""))
    scratch.run(yaml)
    assert len((scratch.folder / "calls").read_text()) == 20
    assert (scratch.table("t").count(), scratch.table("t_quarantine").count()) == (7, 5)
    scratch.write("mine.py", TRANSFORM.format(place=str(scratch.folder / "calls"), then=".where('n > 0')"))
    with pytest.raises(DataError, match=r"mine:counted was given 20 rows and returned 19; a transform keeps rows"):
        scratch.run(yaml)
    assert scratch.table("t").count() == 7


VERSIONS = """
select 1 k, timestamp'2024-01-01' t, cast(null as timestamp) known, map('x', 1, 'y', 2) m, array(map('x', 1)) a,
  named_struct('p', map(1, 2.0D), 'q', cast(null as map<int, int>)) s, parse_json('{"v": 1}') v, 'f1' f, 0.5D d
"""


def versions(spark: SparkSession) -> DataFrame:
    """Of one key: equal times, nulls, and rows that differ in one column, also one that has no order in Spark."""
    base = spark.sql(VERSIONS)
    changed = [
        ("m", "map('x', 1, 'y', 3)"),
        ("m", "map('y', 2, 'x', 1)"),
        ("a", "array(map('x', 1), null)"),
        ("s", "cast(null as struct<p: map<int, double>, q: map<int, int>>)"),
        ("s", "named_struct('p', map(1, 2.0D), 'q', map(1, 1))"),
        ("v", "parse_json('{\"v\": 2}')"),
        ("v", "cast(null as variant)"),
        ("d", "double('NaN')"),
        ("d", "cast(null as double)"),
        ("f", "'f0'"),
    ]
    rows = base
    for column, value in changed:
        rows = rows.unionByName(base.withColumn(column, F.expr(value)))
    other = rows.withColumn("k", F.lit(2)).withColumn("t", F.lit(None).cast("timestamp"))
    third = rows.where("f = 'f0'").withColumn("k", F.lit(3))
    later = third.withColumn("t", F.expr("t + interval 1 microsecond")).withColumn("d", F.lit(-1.0))
    return rows.unionByName(other).unionByName(other).unionByName(third).unionByName(later)


def test_of_equal_versions_the_same_one_stays_in_whatever_order_they_come(spark: SparkSession) -> None:
    rows = versions(spark)
    found = set()
    for seed in range(4):
        shuffled = rows.orderBy(F.rand(seed)).coalesce(1)
        kept = latest_by_key(shuffled, ("k",), ["t", "known"])
        found.add(tuple(sorted(r[0] for r in kept.select(F.to_json(F.struct("*"))).collect())))
    [(first, second, third)] = found
    assert '"k":1' in first
    assert '"y":3' in first
    assert '"k":2' in second
    assert '"d":-1.0' in third
    assert "00.000001" in kept.where("k = 3").select(F.col("t").cast("string")).first()[0]


def test_of_one_load_the_latest_event_stays_and_a_later_load_wins(scratch: Project) -> None:
    yaml = "pipeline: p\ntables: {t: {source: {format: csv, path: in}, key: k, event_time: at}}\n"
    scratch.write("in/b.csv", "k,at,v\n1,2024-01-01,zzz\n2,,zzz\n")
    scratch.write("in/a.csv", "k,at,v\n1,2024-01-02,aaa\n2,2023-01-01,aaa\n")
    scratch.run(yaml)
    assert scratch.rows("t", "k", "v") == [(1, "aaa"), (2, "aaa")]
    scratch.write("in/c.csv", "k,at,v\n1,2023-01-01,corrected\n")
    scratch.run(yaml)
    assert scratch.rows("t", "k", "v") == [(1, "corrected"), (2, "aaa")]


def test_columns_of_many_parts_are_looked_at_in_one_pass(spark: SparkSession) -> None:
    """Parts that share rows, an empty one, nulls, NaN, one value only, text: as pandas has it of each part alone."""
    chance = random.Random(4)
    rows = [
        (n, chance.choice([None, 1.5, float("nan"), 2.0]), 7, chance.choice([None, "a b", " c  d e", ""]), n % 5 == 0)
        for n in range(200)
    ]
    frame = spark.createDataFrame(rows, "id int, x double, same int, words string, flag boolean").repartition(4)
    parts = {0: "true", 1: "id < 100", 2: "id % 5 = 0", 3: "id < 0", 4: "if(id < 50, null, id < 60)"}
    before = spark.sparkContext.statusTracker()
    spark.sparkContext.setJobGroup("looked", "looked")
    found = looked(frame, ["x", "same", "words", "flag"], Preparation(), {n: F.expr(sql) for n, sql in parts.items()})
    assert len(before.getJobIdsForGroup("looked")) <= 3, "jobs of one query: a shuffle each"
    members = {
        0: rows,
        1: rows[:100],
        2: [row for row in rows if row[0] % 5 == 0],
        3: [],
        4: rows[50:60],
    }
    for part, some in members.items():
        x = [row[1] for row in some if row[1] is not None and row[1] == row[1]]
        words = [row[3] for row in some if row[3] is not None]
        flags = {row[4] for row in some}
        assert found[part] == {
            "x": {"rows": len(some), "known": len(x), "differ": float(len(set(x)) > 1)},
            "same": {"rows": len(some), "known": len(some), "differ": 0.0},
            "words": {
                "rows": len(some),
                "known": len(words),
                "differ": float(len(set(words)) > 1),
                "words": sum({"a b": 2, " c  d e": 3, "": 1}[text] for text in words) / len(words) if words else 0.0,
                "values": pytest.approx(len(set(words)), rel=0.01),
            },
            "flag": {"rows": len(some), "known": len(some), "differ": float(len(flags) > 1)},
        }, part
