"""Published feature tables: at which times they have rows, how long these stay true, and the views over them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import functions as F

import headrace
from headrace.cli.feature_store.job import told, values
from headrace.cli.feature_store.samples import query
from headrace.cli.sql import init_sql
from headrace.config.values import moment_of
from headrace.errors import ConfigError, DataError
from headrace.features.views import views
from headrace.runtime import runner
from headrace.runtime.commits import CommitLog, LocalFiles
from headrace.runtime.tables import Tables
from tests.support.runs import Project, statuses

DAY = timedelta(days=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
YAML = """
pipeline: shop
tables:
  orders: {source: {format: csv, path: orders.csv}, key: id, event_time: at, available_at: known}
feature_tables:
  spending:
    from: orders
    entity: [customer, shop]
    aggregates:
      - {column: amount, functions: [count, sum, max, last], windows: [6 hours, 3 days]}
  daily:
    from: orders
    entity: [customer, shop]
    publish: {every: 1 day}
    aggregates:
      - {column: "*", functions: count, windows: [2 days]}
      - {column: amount, functions: [sum], windows: [1 day, 2 days]}
  last_order: {from: orders, entity: customer, latest: [amount]}
"""


def orders(count: int = 60, seed: int = 3, more: str = "") -> str:
    """Orders of three customers in two shops, some known late, some never, some of nobody; with a silence of weeks."""
    drawn, lines = random.Random(seed), ["id,customer,shop,at,known,amount"]
    for i in range(count):
        at = START + timedelta(hours=drawn.randrange(150) + 800 * (i % 5 == 0))
        known = at + timedelta(hours=drawn.choice([0, 0, 1, 7, 100]))
        told = "" if i % 11 == 5 else known.isoformat()
        lines.append(
            f"{i},{'' if i % 13 == 7 else 'abc'[i % 3]},{i % 2},{at.isoformat()},{told},{drawn.choice([1, 2, '', 5])}"
        )
    return "\n".join(lines) + "\n" + more


class Clock(datetime):
    """A clock that stands."""

    at = datetime(2025, 1, 1, tzinfo=UTC)

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return cls.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    Clock.at = datetime(2025, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(runner, "datetime", Clock)
    return Clock


def events(project: Project, until: datetime) -> list[tuple[Any, datetime, datetime, int | None]]:
    """Entity, when it happened, when it was known, amount: what can count until a moment."""
    found = [r.asDict() for r in project.table("orders").collect()]
    rows = [((r["customer"], r["shop"]), r["at"], r["known"], r["amount"]) for r in found]
    usable = [(e, *(t and t.replace(tzinfo=UTC) for t in times), v) for e, *times, v in rows if e[0] is not None]
    return [(e, s, max(s, k), v) for e, s, k, v in usable if k is not None and max(s, k) <= until]


def expected(rows: list[Any], entity: Any, at: datetime, windows: tuple[timedelta, ...]) -> list[list[Any]]:
    """Per window the values of the events that count, oldest first."""
    return [
        [v for e, s, k, v in sorted(rows, key=lambda r: (r[1], r[2])) if e == entity and k <= at and at - w < s <= at]
        for w in windows
    ]


def changes(rows: list[Any], entity: Any, at: datetime, windows: tuple[timedelta, ...]) -> datetime | None:
    """When the next event of the entity is known, or one leaves a window."""
    known = [k for e, s, k, _ in rows if e == entity and k > at]
    left = [s + w for e, s, k, _ in rows for w in windows if e == entity and k <= at < s + w]
    return min([*known, *left], default=None)


def test_rows_hold_from_and_until_as_brute_force_says(scratch: Project, clock: type[Clock]) -> None:
    scratch.write("orders.csv", orders())
    scratch.run(YAML, to="features")
    rows = events(scratch, clock.at)
    published = {
        ((r["customer"], r["shop"]), r["valid_from"].replace(tzinfo=UTC)): r
        for r in scratch.table("spending").collect()
    }
    assert set(published) == {(e, k) for e, _, k, _ in rows}
    windows = (timedelta(hours=6), 3 * DAY)
    for (entity, at), row in published.items():
        for name, inside in zip(("6h", "3d"), expected(rows, entity, at, windows), strict=True):
            there = [v for v in inside if v is not None]
            assert row[f"amount_count_{name}"] == len(there)
            assert row[f"amount_sum_{name}"] == (sum(there) if there else None)
            assert row[f"amount_max_{name}"] == max(there, default=None)
        until = row["valid_until"] and row["valid_until"].replace(tzinfo=UTC)
        assert until == changes(rows, entity, at, windows)
    grid = {
        ((r["customer"], r["shop"]), r["valid_from"].replace(tzinfo=UTC)): r for r in scratch.table("daily").collect()
    }
    assert set(grid) == set(instants(rows, DAY, 2 * DAY, clock.at))
    for (entity, at), row in grid.items():
        one, two = expected(rows, entity, at, (DAY, 2 * DAY))
        assert row["count_2d"] == len(two)
        assert row["amount_sum_1d"] == (sum(v or 0 for v in one) if any(v is not None for v in one) else None)
        until = row["valid_until"] and row["valid_until"].replace(tzinfo=UTC)
        assert until == changes(rows, entity, at, (DAY, 2 * DAY))


def test_values_at_any_time_are_computed_though_no_row_holds_then(scratch: Project, clock: type[Clock]) -> None:
    scratch.write("orders.csv", orders())
    scratch.run(YAML, to="features")
    pipeline, tables = scratch.pipeline, Tables(scratch.spark, str(scratch.folder / "home/warehouse/shop"), "shop")
    rows, silent = events(scratch, clock.at), 0
    for hours in (5, 60, 100, 200, 2000):
        at = START + timedelta(hours=hours, minutes=7)
        known = sorted({e for e, _, k, _ in rows if k <= at})
        found = {(r["customer"], r["shop"]): r for r in values(pipeline, tables, "spending", at, {}).collect()}
        assert sorted(found) == known
        for entity, row in found.items():
            for name, inside in zip(
                ("6h", "3d"), expected(rows, entity, at, (timedelta(hours=6), 3 * DAY)), strict=True
            ):
                there = [v for v in inside if v is not None]
                assert row[f"amount_count_{name}"] == len(there)
                assert row[f"amount_sum_{name}"] == (sum(there) if there else None)
                silent += not inside
    assert silent > 3
    at = START + timedelta(hours=5, minutes=7)  # before the grid's first instant after the first events
    found = {(r["customer"], r["shop"]): r["count_2d"] for r in values(pipeline, tables, "daily", at, {}).collect()}
    assert found == {e: len(expected(rows, e, at, (2 * DAY,))[0]) for e in {e for e, _, k, _ in rows if k <= at}}
    at = START + timedelta(hours=100)
    some = values(pipeline, tables, "spending", at, {"customer": "a"}, "amount_last_3d")
    assert some.columns == ["customer", "shop", "as_of", "amount_last_3d"]
    assert {r["customer"] for r in some.collect()} == {"a"}
    assert told(some).startswith("customer\tshop\tas_of\tamount_last_3d\na\t0\t2024-")
    assert told(values(pipeline, tables, "spending", START - DAY, {})) == ""


DIMENSION = """
pipeline: shop
tables:
  segments:
    source: {format: csv, path: segments.csv}
    types: {starts: timestamp, ends: timestamp}
    key: [customer, starts]
    event_time: starts
feature_tables:
  segment: {from: segments, entity: customer, latest: [name], until: ends}
"""
SEGMENTS = """customer,starts,ends,name
a,2024-01-01,2024-02-01,new
a,2024-02-01,2024-06-01,good
a,2024-03-01,2024-03-08,on leave
a,2024-07-01,,gone
b,2024-01-01,,new
"""


def test_rows_of_a_dimension_hold_until_they_end(scratch: Project, clock: type[Clock]) -> None:
    scratch.write("segments.csv", SEGMENTS)
    scratch.run(DIMENSION, to="features")
    published = scratch.table("segment")
    assert published.columns == ["customer", "event_time", "available_at", "valid_until", "name"]
    assert published.schema["valid_until"].metadata["comment"].endswith("until this, ends")
    asked = {
        ("a", "2024-01-31 23:59:59"): "new",
        ("a", "2024-02-01"): "good",
        ("a", "2024-03-02"): "on leave",
        ("a", "2024-03-08"): "good",  # the other, within it, has ended
        ("a", "2024-06-10"): None,
        ("a", "2024-07-01"): "gone",
        ("a", "2023-12-31"): None,
        ("b", "2024-07-01"): "new",
        ("c", "2024-07-01"): None,
    }
    cells = ", ".join(f"('{c}', timestamp'{at}')" for c, at in asked)
    spine = scratch.spark.sql(f"select * from values {cells} as t(customer, at)")
    got = headrace.training_set(spine, config=str(scratch.folder / "pipeline.yaml"), time="at").collect()
    assert {(r["customer"], str(r["at"]).removesuffix(" 00:00:00")): r["segment__name"] for r in got} == asked
    (
        scratch.spark.read.format("delta").load(str(scratch.folder / "home/warehouse/shop/segment"))
    ).createOrReplaceTempView("s")
    table = scratch.pipeline.feature_tables["segment"]
    for (customer, at), name in asked.items():
        text = query("shop", "segment", table, moment_of(at), {"customer": customer}).replace("`shop`.`segment`", "s")
        assert [r["name"] for r in scratch.spark.sql(text).collect()] == ([name] if name else [])
    view = views("segment", table, published.columns)["latest_segment"].replace("{schema}.segment", "s")
    assert {r["customer"]: r["name"] for r in scratch.spark.sql(view).collect()} == {"a": "gone", "b": "new"}
    scratch.write("segments.csv", SEGMENTS.replace("a,2024-07-01,,", "a,2024-07-01,2024-08-01,"))
    scratch.run(DIMENSION, to="features")
    assert scratch.spark.sql(view).collect()[0]["customer"] == "b"
    with pytest.raises(ConfigError, match="until belongs to `latest`"):
        scratch.run(DIMENSION.replace("latest: [name]", "lookup: [name]"), to="features")
    with pytest.raises(ConfigError, match="until: column 'name' is string, not a timestamp"):
        scratch.run(DIMENSION.replace("until: ends", "until: name").replace("[name]", "[ends]"), to="features")


def test_a_lookup_of_several_rows_per_entity_says_so_at_once(scratch: Project, clock: type[Clock]) -> None:
    scratch.write("orders.csv", orders())
    several = YAML.replace("latest: [amount]", "lookup: [amount]")
    with pytest.raises(
        DataError, match=r"last_order.lookup: orders has more than one row for customer = a \("
    ) as raised:
        scratch.run(several, to="features")
    assert "write `latest` in its place" in str(raised.value)


def instants(rows: list[Any], every: timedelta, longest: timedelta, until: datetime) -> list[Any]:
    """Per entity the instants at which something counts, and the first after."""
    found, monday = [], datetime(1970, 1, 5, tzinfo=UTC)
    for entity in {e for e, *_ in rows}:
        at = min(k for e, _, k, _ in rows if e == entity)
        at = monday - (monday - at) // every * every
        last = False
        while at <= until and at < START + 400 * DAY:
            mine = [(s, k) for e, s, k, _ in rows if e == entity]
            now = any(k <= at < s + longest for s, k in mine)
            fresh = any(at - every < k <= at for _, k in mine)
            if now or last or fresh:
                found.append((entity, at))
            last, at = now, at + every
    return found


def test_what_becomes_known_later_is_picked_up_though_nothing_changed(scratch: Project, clock: type[Clock]) -> None:
    clock.at = datetime(2024, 1, 4, 12, tzinfo=UTC)
    scratch.write("orders.csv", orders())
    scratch.run(YAML, to="features")
    log = CommitLog(str(scratch.folder / "home" / "warehouse" / "shop"), LocalFiles())
    later = [r["known"].replace(tzinfo=UTC) for r in scratch.table("orders").collect() if r["known"]]
    first = min(k for k in later if k > clock.at)
    assert datetime.fromisoformat(log.last("last_order").note["expires"]) == first
    before = scratch.table("last_order").count()
    clock.at = first - timedelta(seconds=1)
    assert set(statuses(scratch.run(YAML, to="features")).values()) == {"unchanged"}
    clock.at = first
    again = statuses(scratch.run(YAML, to="features"))
    assert again["features:last_order"] == again["features:spending"] == "done"
    assert again["clean:orders"] == "unchanged"
    assert scratch.table("last_order").count() > before
    assert datetime.fromisoformat(log.last("daily").note["expires"]) <= datetime(2024, 1, 5, tzinfo=UTC)
    clock.at = datetime(2024, 1, 5, tzinfo=UTC)
    assert statuses(scratch.run(YAML, to="features"))["features:daily"] == "done"
    assert scratch.table("daily").where("valid_from = timestamp'2024-01-05'").count() > 0
    assert scratch.table("daily").where("valid_from > timestamp'2024-01-05'").isEmpty()


def test_views_of_the_newest_rows_and_the_change_feed(scratch: Project, clock: type[Clock]) -> None:
    scratch.write("orders.csv", orders())
    scratch.run(YAML, to="features")
    spark, warehouse = scratch.spark, scratch.folder / "home" / "warehouse"
    for statement in init_sql(warehouse, "shop").split(";\n"):
        if statement.startswith("CREATE"):
            spark.sql(statement)
    newest = {(r["customer"], r["shop"]): r["valid_from"] for r in spark.table("shop.latest_spending").collect()}
    want = scratch.table("spending").groupBy("customer", "shop").agg(F.max("valid_from").alias("at")).collect()
    assert newest == {(r["customer"], r["shop"]): r["at"] for r in want}
    rows = [r for r in scratch.table("orders").collect() if r["known"] and r["customer"]]
    last = {r["customer"]: r["amount"] for r in spark.table("shop.latest_last_order").collect() if r["customer"]}
    for customer, amount in last.items():
        mine = [(r["at"], r["known"]) for r in rows if r["customer"] == customer]
        assert amount in {r["amount"] for r in rows if r["customer"] == customer and (r["at"], r["known"]) == max(mine)}
    every = spark.table("shop.latest_features")
    assert every.columns == ["feature_table", "entity", "valid_from", "valid_until", "features"]
    assert {r[0] for r in every.select("feature_table").distinct().collect()} == {"spending", "daily", "last_order"}
    one = every.where("feature_table = 'spending' and entity['customer'] = 'a' and entity['shop'] = '0'").collect()
    assert [r["valid_from"] for r in one] == [newest["a", 0]]
    assert set(one[0]["features"]) == {f"amount_{f}_{w}" for f in ("count", "sum", "max", "last") for w in ("6h", "3d")}
    feed = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 0)
    assert feed.load(str(warehouse / "shop" / "daily")).count() == scratch.table("daily").count()
    spark.sql("DROP SCHEMA shop CASCADE")
