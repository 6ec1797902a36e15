"""Feature tables of rows as they are, brought up to date: the same rows as made anew, however often each."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import SparkSession

from headrace.features import follow
from headrace.runtime.commits import CommitLog, LocalFiles
from headrace.runtime.merging import CHANGE
from headrace.runtime.runner import Options
from tests.support.runs import Project, statuses

COLUMNS = "k string, x double, y int"


def value(cell: object) -> object:
    """NaN equals itself here, and the zeros each other."""
    return "NaN" if cell != cell else cell


@pytest.mark.parametrize("seed", range(3))
def test_rows_counted_and_merged_give_the_multiset(spark: SparkSession, seed: int) -> None:
    rng = random.Random(seed)
    cells = (["a", "b", None], [1.5, float("nan"), None, -0.0], [1, None])
    drawn = [tuple(rng.choice(c) for c in cells) for _ in range(60)]
    stands, gone, come = drawn[:40], drawn[:40:3], drawn[40:]
    net = [(*r, -1) for r in gone] + [(*r, 1) for r in come]
    table = spark.createDataFrame(stands, COLUMNS)
    found = follow.counted(follow.summed(spark.createDataFrame(net, f"{COLUMNS}, {follow._N} bigint")), table)
    rows = [tuple(map(value, r)) for r in follow.merged(found).select("k", "x", "y", CHANGE).collect()]
    deleted = {r[:3] for r in rows if r[3] == "delete"}
    left = Counter(r for r in (tuple(map(value, s)) for s in stands) if r not in deleted)
    left.update(r[:3] for r in rows if r[3] == "insert")
    wanted = Counter(tuple(map(value, s)) for s in stands)
    wanted.subtract(tuple(map(value, s)) for s in gone)
    wanted.update(tuple(map(value, s)) for s in come)
    assert left == +wanted
    assert len(deleted) == sum(r[3] == "delete" for r in rows) > 0


YAML = """
pipeline: shop
tables:
  orders: {source: {format: csv, path: orders/}, key: id, event_time: at, types: {at: timestamp, known: timestamp}, available_at: known}
  customers: {source: {format: csv, path: customers/}, key: customer}
feature_tables:
  last_order: {from: orders, entity: customer, latest: [amount]}
  town: {from: customers, entity: customer, lookup: [city]}
"""
START = datetime(2024, 1, 1, tzinfo=UTC)


def orders(first: int, count: int, customers: str = "abcdefgh", late: float | None = 0) -> str:
    """Two orders of a customer at a time are alike but for their number."""
    lines = ["id,customer,at,known,amount"]
    for i in range(first, first + count):
        at = START + timedelta(hours=i // 16)
        known = "" if late is None else (at + timedelta(hours=late)).isoformat()
        lines.append(f"{i},{customers[i % len(customers)]},{at.isoformat()},{known},{i // 16 % 3}")
    return "\n".join(lines) + "\n"


def customers(*pairs: str) -> str:
    return "customer,city\n" + "".join(f"{p}\n" for p in pairs)


def test_only_rows_that_came_or_went_are_written(scratch: Project) -> None:
    log = CommitLog(str(scratch.folder / "home" / "warehouse" / "shop"), LocalFiles())
    names = ("last_order", "town")

    def run(hours: float = 1000) -> dict[str, str]:
        options = Options(as_of=START + timedelta(hours=hours))
        return statuses(scratch.run(YAML, to="features", options=options))

    def operations() -> list[tuple[str, int]]:
        return [(log.last(n).operation, log.last(n).rows or 0) for n in names]

    def as_anew(hours: float = 1000) -> None:
        there = {n: scratch.table(n).localCheckpoint() for n in names}
        assert {n: log.rows(n) for n in names} == {n: f.count() for n, f in there.items()}
        scratch.run(YAML, only="features", options=Options(force="features", as_of=START + timedelta(hours=hours)))
        for name, frame in there.items():
            assert log.last(name).operation == "WRITE"
            assert frame.exceptAll(scratch.table(name)).isEmpty()
            assert scratch.table(name).exceptAll(frame).isEmpty()

    scratch.write("orders/1.csv", orders(0, 160))
    scratch.write("customers/1.csv", customers(*(f"{c},Rome" for c in "abcdefgh")))
    run()
    scratch.write("orders/2.csv", orders(160, 16) + f"999,a,{START.isoformat()},{START.isoformat()},\n")
    scratch.write("customers/2.csv", customers("i,Oslo"))
    run()
    assert operations() == [("WRITE", 17), ("WRITE", 1)]  # appended
    scratch.write("orders/3.csv", orders(176, 8, "ab", late=2000))  # known later
    scratch.write("customers/2.csv", customers("j,Bonn"))  # one went, one came
    run()
    assert [o for o, _ in operations()] == ["WRITE", "MERGE"]
    as_anew()
    scratch.write("orders/2.csv", orders(160, 3))  # two of these alike but for their number; the rest went
    run(2012)
    assert operations()[0][0] == "MERGE"
    assert scratch.table("last_order").where("event_time > timestamp'2024-01-01 10:30:00Z'").count() > 0
    as_anew(2012)
    assert set(run(2012).values()) == {"unchanged"}
    path = scratch.folder / "home" / "warehouse" / "shop" / "orders"
    scratch.spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES (delta.enableChangeDataFeed = false)")
    for number in (
        4,
        5,
    ):  # the second time all commits since are our own: that no feed was kept is seen when it is read
        scratch.write(f"orders/{number}.csv", orders(100 * number, 5))
        run(2012)
        assert operations()[0][0] == "WRITE"
        assert operations()[0][1] > 100
    as_anew(2012)


def test_where_most_rows_changed_the_table_is_made_anew(scratch: Project) -> None:
    log = CommitLog(str(scratch.folder / "home" / "warehouse" / "shop"), LocalFiles())
    scratch.write("orders/1.csv", orders(0, 32))
    scratch.write("customers/1.csv", customers("a,Rome"))
    scratch.run(YAML[: YAML.index("feature_tables:")])  # nobody follows the cleaned tables yet
    scratch.run(YAML, to="features")
    scratch.write("orders/2.csv", orders(32, 1))
    scratch.run(YAML, to="features")
    assert log.last("last_order").rows == log.rows("last_order") == 33
    scratch.write("orders/3.csv", orders(33, 320))
    scratch.run(YAML, to="features")
    assert log.last("last_order").rows == log.rows("last_order") == 353
    assert not log.followed("orders", log.last("orders").version - 1, log.last("orders").version)
