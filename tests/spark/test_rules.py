"""Rules over rows and tables, against a slow and obvious reference, on rows that are nasty in every way."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.config.types import Table
from headrace.errors import DataError
from headrace.runtime.runner import Options
from headrace.validate.rules import judge, tally
from headrace.validate.tallies import times_of
from tests.support.runs import Project, statuses

Row = dict[str, Any]
SCHEMA = "id int, k string, t timestamp, v double, s string, n bigint, whole decimal(4,1)"
START = datetime(2024, 1, 1, tzinfo=UTC)
POOLS: dict[str, list[Any]] = {
    "k": ["a", "b", "", None],
    "t": [None, *(START + timedelta(microseconds=i) for i in range(4))],
    "v": [None, math.nan, math.inf, -math.inf, 0.0, -0.0, 5.0, 10.0, 10.000001],
    "s": [None, "", "  ", "7", " 8 ", "abc", "abc\n", "it's", "NaN", "1e3", "7.5", "a\\c", "99999999999"],
    "n": [None, 1, 2, 3, 2**53 + 1, -(2**63)],
    "whole": [None, 1, 2],
}
COLUMNS = ["id", *POOLS]
RULES: list[dict[str, Any]] = [
    {"not_null": ["k", "v"]},
    {"unique": ["k", "n"]},
    {"unique": "v", "on_fail": "warn"},
    {"column": "v", "between": [0, 10]},
    {"column": "v", "between": [None, 5.5], "name": "v_low"},
    {"column": "s", "between": [0, 100]},
    {"column": "t", "between": ["2024-01-01 00:00:00.000001", None], "on_fail": "fail"},
    {"column": "s", "in": ["abc", "it's", "7", "a\\c"]},
    {"column": "s", "in": [7, 8], "name": "s_number"},
    {"column": "n", "in": [1, 2**53 + 1]},
    {"column": "whole", "in": [1, 2.0]},
    {"column": "s", "matches": "a.c|[0-9]+", "on_fail": "warn", "at_most": "1%"},
    {"column": "s", "matches": r"a\\c", "name": "backslash"},
    {"column": "s", "parses": "int"},
    {"column": ["s"], "parses": "double", "name": "s_double"},
    {"column": "k", "in": "others.key"},
    {"column": "s", "in": "others.rank"},
    {"column": "n", "in": "others.rank", "name": "n_known"},
    {"column": "n", "in": "others.key", "name": "n_key"},
    {"column": "v", "monotonic": "increasing", "by": "k"},
    {"column": "v", "monotonic": "decreasing", "by": "k"},
    {"column": "whole", "monotonic": "increasing", "by": ["k"], "time": "n"},
    {"column": "whole", "monotonic": "decreasing", "by": ["k"], "time": "n"},
    {"name": "across", "check": "v > n"},
    {"ordered": ["v", "n", "whole"]},
    {"ordered": ["s", "n"]},
    {"column": "v", "outlier": {"method": "iqr", "by": "k", "until": "2024-01-01"}},
    {"column": "s", "outlier": {"method": "iqr", "until": "2024-01-01"}},
    {"column": "n", "outlier": {"method": "iqr", "until": "2024-01-01"}},
]
LEARNED: dict[str, Any] = {
    "v_outlier": {"whole": [0.0, 10.0], "groups": {'["a"]': [5.0, None], '[""]': [None, None], "[null]": [None, 5.0]}},
    "s_outlier": {"whole": [None, 100.0], "groups": {}},
}
LEARNED = {name: {**found, "rows": 9} for name, found in LEARNED.items()}
"""Of n_outlier nothing was learned."""


def table(rules: list[dict[str, Any]], key: str | None = None) -> Table:
    source = {"format": "csv", "path": "/x.csv"}
    return Table.model_validate({"source": source, "event_time": "t", "rules": rules, "key": [key] if key else []})


def nasty(rows: int, seed: int) -> list[Row]:
    draw = random.Random(seed)
    return [{"id": i, **{name: draw.choice(pool) for name, pool in POOLS.items()}} for i in range(rows)]


def framed(spark: SparkSession, rows: list[Row]) -> DataFrame:
    plain = [{**row, "whole": None if row["whole"] is None else Decimal(row["whole"])} for row in rows]
    frame = spark.createDataFrame([tuple(row.values()) for row in plain], SCHEMA)
    no_reasons = F.array().cast("array<string>").alias("_reasons")
    return frame.select("*", F.struct("*").alias("_raw"), no_reasons)


def rank(value: Any) -> tuple[int, float]:
    """Spark's order: NaN is greater than all."""
    return (1, 0.0) if isinstance(value, float) and math.isnan(value) else (0, value)


def same(value: Any) -> Any:
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def blank(row: Row) -> bool:
    return row["s"] is None or not row["s"].strip(" ")


def shared(row: Row, rows: list[Row], *columns: str) -> bool:
    mine = [same(row[c]) for c in columns]
    return None not in mine and sum([same(other[c]) for c in columns] == mine for other in rows) > 1


def falls(row: Row, rows: list[Row], column: str, by: tuple[str, ...], time: str, sign: int) -> bool:
    """Whether a value is below (above) one at the latest time before its own that has any."""
    if row[column] is None or row[time] is None or any(row[c] is None for c in by):
        return False
    before = [
        other
        for other in rows
        if all(other[c] == row[c] for c in by)
        and other[column] is not None
        and other[time] is not None
        and other[time] < row[time]
    ]
    latest = [other for other in before if other[time] == max(one[time] for one in before)]
    if sign > 0:
        return any(rank(other[column]) > rank(row[column]) for other in latest)
    return any(rank(other[column]) < rank(row[column]) for other in latest)


def outside(value: Any, low: float, high: float) -> bool:
    return value is not None and not (rank(low) <= rank(value) <= rank(high))


def unread(row: Row) -> bool:
    """Text that is no number, blank text being none at all."""
    return not blank(row) and number(row["s"]) is None


def falling(*values: Any) -> bool:
    there = [value for value in values if value is not None]
    return any(rank(a) > rank(b) for i, a in enumerate(there) for b in there[i + 1 :])


def far(row: Row) -> bool:
    ends = {"a": (5.0, math.inf), "": None, None: (-math.inf, 5.0)}.get(row["k"], (0.0, 10.0))
    if ends and ends[1] == math.inf:  # an open end: NaN lies beyond no threshold
        return row["v"] is not None and rank(row["v"]) < rank(5.0)
    return ends is not None and outside(row["v"], *ends)


Broken = Callable[[Row, list[Row]], bool]
REFERENCE: dict[str, Broken] = {
    "k_not_null": lambda r, _: r["k"] is None,
    "v_not_null": lambda r, _: r["v"] is None,
    "k_n_unique": lambda r, rows: shared(r, rows, "k", "n"),
    "v_unique": lambda r, rows: shared(r, rows, "v"),
    "v_between": lambda r, _: outside(r["v"], 0, 10),
    "v_low": lambda r, _: outside(r["v"], -math.inf, 5.5),
    "s_between": lambda r, _: not blank(r) and (number(r["s"]) is None or outside(number(r["s"]), 0, 100)),
    "t_between": lambda r, _: r["t"] is not None and r["t"] < START + timedelta(microseconds=1),
    "s_in": lambda r, _: r["s"] is not None and r["s"] not in ("abc", "it's", "7", "a\\c"),
    "s_number": lambda r, _: not blank(r) and number(r["s"]) not in (7, 8),
    "n_in": lambda r, _: r["n"] is not None and r["n"] not in (1, 2**53 + 1),
    "whole_in": lambda r, _: r["whole"] is not None and r["whole"] not in (1, 2),
    "s_matches": lambda r, _: r["s"] is not None and not re.fullmatch("a.c|[0-9]+", r["s"]),
    "backslash": lambda r, _: r["s"] is not None and r["s"] != "a\\c",
    "s_parses": lambda r, _: not blank(r) and not (re.fullmatch(r" *\d{1,9} *", r["s"])),
    "s_double": lambda r, _: not blank(r) and number(r["s"]) is None,
    "k_in_others": lambda r, _: r["k"] is not None and r["k"] not in ("a", ""),
    "s_in_others": lambda r, _: r["s"] is not None and r["s"] not in ("1", "7"),
    "n_known": lambda r, _: r["n"] is not None and r["n"] not in (1, 7),
    "n_key": lambda r, _: r["n"] is not None and r["n"] != 2,
    "v_increasing": lambda r, rows: falls(r, rows, "v", ("k",), "t", 1),
    "v_decreasing": lambda r, rows: falls(r, rows, "v", ("k",), "t", -1),
    "whole_increasing": lambda r, rows: falls(r, rows, "whole", ("k",), "n", 1),
    "whole_decreasing": lambda r, rows: falls(r, rows, "whole", ("k",), "n", -1),
    "v_n_whole_ordered": lambda r, _: falling(r["v"], r["n"], r["whole"]),
    "s_n_ordered": lambda r, _: not blank(r) and (not re.fullmatch(r" *\d+ *", r["s"]) or falling(int(r["s"]), r["n"])),
    "v_outlier": lambda r, _: far(r),
    "s_outlier": lambda r, _: not blank(r) and (unread(r) or outside(number(r["s"]), -math.inf, 100)),
    "across": lambda r, _: None not in (r["v"], r["n"]) and not rank(r["v"]) > rank(r["n"]),
}
ACTS = {"v_unique": "_warnings", "s_matches": "_warnings", "t_between": "_failures"}


@pytest.fixture
def others(spark: SparkSession) -> None:
    spark.sql("select * from values ('a', 1), ('', 7), (null, null), ('2', 7) as o(key, rank)").createOrReplaceTempView(
        "others"
    )


def expected(rows: list[Row]) -> list[tuple[int, list[str], list[str], list[str], bool]]:
    found = []
    for row in rows:
        broken = [name for name, breaks in REFERENCE.items() if breaks(row, rows)]
        acts = [
            sorted(n for n in broken if ACTS.get(n, "_reasons") == a) for a in ("_reasons", "_warnings", "_failures")
        ]
        kept = bool(acts[0] or acts[2] or "s_matches" in acts[1])
        found.append((row["id"], acts[0], acts[1], acts[2], kept))
    return found


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize(("rows", "seed"), [(0, 1), (1, 2), (300, 3)])
def test_every_rule_against_brute_force(spark: SparkSession, rows: int, seed: int) -> None:
    data = nasty(rows, seed)
    judged = judge(framed(spark, data), table(RULES), LEARNED)
    assert judged.columns == [*COLUMNS, "_raw", "_reasons", "_warnings", "_failures"]
    sorted_names = [F.array_sort(c).alias(c) for c in ("_reasons", "_warnings", "_failures")]
    found = judged.select("id", *sorted_names, F.col("_raw").isNotNull().alias("raw")).orderBy("id").collect()
    assert [tuple(r) for r in found] == expected(data)


@pytest.mark.usefixtures("others")
def test_jobs_do_not_grow_with_the_rules(spark: SparkSession) -> None:
    frame = framed(spark, nasty(50, 4))

    def jobs(rules: list[dict[str, Any]]) -> int:
        group = f"rules {len(rules)} {random.random()}"
        spark.sparkContext.setJobGroup(group, group)
        try:
            tally(judge(frame, table(rules))).collect()
            return len(spark.sparkContext.statusTracker().getJobIdsForGroup(group))
        finally:
            spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)

    alone = [rule for rule in RULES if not {"unique", "monotonic"} & set(rule) and "others" not in str(rule)]
    grown = [*alone, *({"column": "v", "between": [0, i], "name": f"more_{i}"} for i in range(1, 30))]
    assert jobs(grown) == jobs(alone[:1])
    by_k = [{"column": "v", "monotonic": "increasing", "by": "k"}]
    more = [{"unique": ["k", c], "name": c} for c in ("n", "s", "t")]
    more += [{"column": "n", "monotonic": "decreasing", "by": "k"}, {"unique": "k"}]
    assert jobs([*by_k, *more]) == jobs(by_k)


def test_the_newest_time_is_of_rows_that_are_kept_and_not_in_the_future(spark: SparkSession) -> None:
    later = [{**dict.fromkeys(POOLS), "id": i, "t": START + timedelta(hours=i)} for i in range(4)]
    fresh = table([{"freshness": "1 hour"}, {"name": "early", "check": "id <> 1"}])
    judged = judge(framed(spark, [{k: row[k] for k in COLUMNS} for row in later]), fresh)
    for hours, most in ((5, 3), (2.5, 2), (2, 2), (1.5, 0), (-1, None)):
        counts = tally(judged, most=times_of(judged, fresh, START + timedelta(hours=hours))).collect()
        [found] = [r["_most_t"] for r in counts if r["name"] == "rows"]
        micros = None if most is None else int((START + timedelta(hours=most)).timestamp()) * 1_000_000
        assert found == micros, hours


YAML = """
pipeline: shop
tables:
  shops: {source: {format: csv, path: shops.csv}, key: shop}
  orders:
    source: {format: csv, path: orders.csv, options: {nullValue: NA}}
    key: order
    event_time: at
    rules:
      - {column: shop, in: shops.shop, at_most: 10%}
      - {column: amount, between: [0, null], on_fail: warn, at_most: 20%}
      - {unique: [shop, at]}
      - {freshness: 2 days}
      - {row_count_within: 50%}
"""


def orders(*odd: str, rows: int = 20) -> str:
    lines = [f"{i},a,{i},2024-01-01 00:{i:02d}:00" for i in range(rows - len(odd))]
    return "\n".join(["order,shop,amount,at", *lines, *odd, ""])


def test_what_breaks_limits_stops_the_run_and_the_table_stays(scratch: Project) -> None:
    def run(day: int) -> dict[str, str]:
        return statuses(scratch.run(YAML, options=Options(as_of=datetime(2024, 1, day, 12, tzinfo=UTC))))

    def kept() -> int:
        return scratch.table("orders").count()

    scratch.write("shops.csv", "shop,town\na,Ulm\nNA,x\n")
    bad = ("90,zz,5,2024-01-01 01:00:00", "91,zz,-1,2024-01-01 02:00:00", "92,NA,-1,2024-01-01 02:00:00")
    twins = ("93,a,1,2024-01-01 03:00:00", "94,a,1,2024-01-01 03:00:00", "5,a,5,2024-01-01 04:00:00")
    scratch.write("orders.csv", orders(*bad, *twins))
    run(1)
    assert scratch.rows("orders_quarantine", "order", "_reasons") == [
        ("90", ["shop_in_shops"]), ("91", ["shop_in_shops"]), ("93", ["shop_at_unique"]), ("94", ["shop_at_unique"]),
    ]  # fmt: skip
    assert kept() == 20 - 4 - 1  # of order 5 there are two versions
    assert set(run(2).values()) == {"unchanged"}
    with pytest.raises(DataError, match=r"freshness: the newest row is of 2024-01-01 04:00:00 UTC, 3 days"):
        run(4)
    scratch.write("orders.csv", orders(*bad, "95,zz,1,2024-01-01 05:00:00"))
    with pytest.raises(DataError, match=r"shop_in_shops: 3 of 20 rows \(15 %\), at most 10% may(.|\n)*order=90"):
        run(1)
    negative = [f"{i},a,-1,2024-01-01 1{i - 60}:00:00" for i in range(60, 65)]
    scratch.write("orders.csv", orders(*negative))
    with pytest.raises(DataError, match=r"amount_between: 5 of 20 rows(.|\n)*order=60") as error:
        run(1)
    assert str(error.value).count("\n") == 5
    scratch.write("orders.csv", orders(rows=9))
    with pytest.raises(DataError, match=r"row_count: 9 rows came, and the median of the last 1 loads is 20"):
        run(1)
    assert kept() == 15
    scratch.write("orders.csv", orders(rows=10))
    run(1)
    assert kept() == 10
