"""A refreshed feature table is the one that would be made anew, whatever happened to its events."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.engine.published import Published, published_windows
from headrace.engine.time import moment
from headrace.errors import HeadraceError
from headrace.features import changes, refresh, stage
from headrace.runtime import tables
from headrace.runtime.commits import CommitLog, LocalFiles
from headrace.runtime.merging import CHANGE
from headrace.runtime.runner import Options
from headrace.runtime.step import Output
from headrace.runtime.tables import LostRaceError, Tables
from tests.support.runs import Project, statuses

HOUR = 3_600_000_000
AGGREGATES = {
    **{f"n_{w}h": ("*", "count", f"{w} hours") for w in (3, 30)},
    **{f"{f}_30h": ("x", f, "30 hours") for f in ("sum", "mean", "stddev", "min", "max", "first", "last", "distinct")},
    "p50_3h": ("x", "p50", "3 hours"),
    "mode_9h": ("y", "mode", "9 hours"),
    "trend_30h": ("x", "trend", "30 hours"),
}
SCHEMA = "k1 string, k2 int, s timestamp, a timestamp, x double, y string"


def drawn(rng: random.Random, key: tuple[str, int], since: int = 0) -> tuple[Any, ...]:
    """An event of an entity, in hours of a month; sometimes late, never known, or of no value."""
    happened = rng.randrange(since * 4, 700 * 4) * HOUR // 4
    late = rng.choice([0, 0, HOUR, 40 * HOUR, None])
    x = rng.choice([1.5, -2.0, 1e15, float("nan"), None, 1e-3])
    known = None if late is None else happened + late
    return (*key, happened, known, x, rng.choice(["a", "b", None]))


def batches(seed: int, entities: int = 40) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Events before and after: of each entity some stay, go, come late or newest, or are changed; some do nothing."""
    rng, before, after = random.Random(seed), [], []
    for i in range(entities):
        key = (f"e{i // 2}", i % 2)
        mine = [drawn(rng, key) for _ in range(rng.choice([0, 1, 5, 25]))]
        what = ("same", "newest", "late", "gone", "all gone", "changed", "again", "new")[i % 8]
        now = list(mine)
        if what == "newest":
            now += [drawn(rng, key, 650) for _ in range(2)]
        elif what in ("late", "new"):
            now += [drawn(rng, key) for _ in range(3)]
        elif what == "gone":
            now = [e for e in mine if rng.random() < 0.8]
        elif what == "all gone":
            now = []
        elif what == "changed":
            now = [(*e[:4], 7.0, e[5]) if rng.random() < 0.2 else e for e in mine]
        elif what == "again":
            now += mine[:1]
        rng.shuffle(now)
        before += [] if what == "new" else mine
        after += now
    return [*before, (None, 1, 0, 0, 1.0, "a")], after


def frame(spark: SparkSession, rows: list[tuple[Any, ...]]) -> DataFrame:
    typed = spark.createDataFrame(rows, "k1 string, k2 int, s bigint, a bigint, x double, y string")
    return typed.withColumns({c: F.timestamp_micros(F.col(c) + 1_700_000_000_000_000) for c in ("s", "a")})


def known(events: DataFrame, hour: int) -> DataFrame:
    return events.where(F.greatest("s", "a") <= F.timestamp_micros(F.lit(1_700_000_000_000_000 + hour * HOUR)))


def applied(table: DataFrame, rows: DataFrame, keys: list[str]) -> DataFrame:
    """The table with changes merged, slowly."""
    stays = table.join(rows.select(*keys), keys, "left_anti").select(*table.columns)
    return stays.unionByName(rows.where(f"{CHANGE} <> 'delete'").drop(CHANGE))


@pytest.mark.parametrize(("seed", "every"), [(1, None), (2, 5 * HOUR)])
def test_random_batches_refreshed_are_as_if_made_anew(spark: SparkSession, seed: int, every: int | None) -> None:
    before, after = (frame(spark, rows) for rows in batches(seed))
    moments = [500, 720]  # some events are known only between the two
    then, now = (datetime.fromtimestamp(1_700_000_000 + h * 3600, UTC) for h in moments)
    made = [
        Published(["k1", "k2"], "s", AGGREGATES, "a", every, round(at.timestamp() * 1_000_000)) for at in (then, now)
    ]
    old, new = known(before, moments[0]), known(after, moments[1])
    table = published_windows(old, made[0]).localCheckpoint()
    of = made[1]
    found = [changes.differing(old, new, of)]
    if every:
        found.append(changes.instants_to_come(new, of, then))
    differs = changes.earliest(*found, entity=of.entity).localCheckpoint()
    standing = changes.concerned(table, differs, of)
    rows = changes.changed_rows(new, differs, standing, of).localCheckpoint()
    keys = ["k1", "k2", "valid_from"]
    assert rows.groupBy(*keys).count().where("count > 1").isEmpty()
    refreshed, anew = applied(table, rows, keys).localCheckpoint(), published_windows(new, of).localCheckpoint()
    assert refreshed.count() == anew.count() > 200
    assert refreshed.exceptAll(anew).isEmpty()  # every value, also of sums and moments, bit by bit
    kinds = {r[CHANGE]: r["count"] for r in rows.groupBy(CHANGE).count().collect()}
    assert min(kinds.get(k, 0) for k in ("insert", "update", "delete")) > 0
    again = changes.differing(new, new, of)
    assert again.isEmpty()
    untouched = anew.join(differs, ["k1", "k2"], "left_anti")
    assert every or not untouched.isEmpty()


YAML = """
pipeline: shop
tables:
  orders: {source: {format: csv, path: orders/}, key: id, event_time: at, types: {at: timestamp, known: timestamp}, available_at: known}
feature_tables:
  spending:
    from: orders
    entity: customer
    aggregates:
      - {column: amount, functions: [count, sum, max], windows: [6 hours, 3 days]}
  daily: {from: orders, entity: customer, every: 1 day, aggregates: [{column: amount, functions: sum, windows: 2 days}]}
"""
START = datetime(2024, 1, 1, tzinfo=UTC)


def orders(first: int, count: int, start: float, customers: str = "abcdefgh") -> str:
    lines = ["id,customer,at,known,amount"]
    for i in range(first, first + count):
        at = START + timedelta(hours=start + 5 * (i - first))
        lines.append(f"{i},{customers[i % len(customers)]},{at.isoformat()},{at.isoformat()},{i % 7}")
    return "\n".join(lines) + "\n"


def ended(*_: Any) -> None:
    raise RuntimeError("killed")


def test_a_run_refreshes_what_is_touched(scratch: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    log = CommitLog(str(scratch.folder / "home" / "warehouse" / "shop"), LocalFiles())

    def operation(table: str = "spending") -> str:
        return log.last(table).operation

    def as_anew() -> None:
        there = {t: scratch.table(t).localCheckpoint() for t in ("spending", "daily")}
        assert {t: log.rows(t) for t in there} == {t: f.count() for t, f in there.items()}
        scratch.run(YAML, only="features", options=Options(force="features"))
        for name, frame in there.items():
            assert operation(name) == "WRITE"
            assert frame.exceptAll(scratch.table(name)).isEmpty()
            assert scratch.table(name).exceptAll(frame).isEmpty()

    fed: list[bool] = []
    changes_of = Tables.changes
    monkeypatch.setattr(
        Tables, "changes", lambda *given: [fed.append((found := changes_of(*given)) is not None), found][1]
    )
    scratch.write("orders/1.csv", orders(0, 80, 0))
    scratch.run(YAML, to="features")
    assert operation() == "WRITE"
    scratch.write("orders/2.csv", orders(80, 4, 400, "abz"))
    scratch.run(YAML, to="features")
    assert (operation(), operation("daily")) == ("MERGE", "MERGE")
    feed = scratch.spark.read.format("delta").option("readChangeFeed", "true")
    feed = feed.option("startingVersion", log.latest_version("spending")).load(log.folder("spending"))
    assert {r["customer"] for r in feed.select("customer").distinct().collect()} == set("abz")
    assert set(statuses(scratch.run(YAML, to="features")).values()) == {"unchanged"}
    as_anew()
    late = orders(90, 1, 30.5, "c") + f"91,c,{START.isoformat()},,5\n"
    scratch.write("orders/3.csv", late)
    scratch.write("orders/2.csv", orders(80, 2, 400, "ab"))  # replaced: two of its rows are gone
    with monkeypatch.context() as killed:
        killed.setattr(tables, "merge", ended)
        with pytest.raises((RuntimeError, HeadraceError), match="killed"):
            scratch.run(YAML, to="features")
    assert operation() == "WRITE"
    scratch.run(YAML, to="features")
    assert operation() == "MERGE"
    assert fed
    assert all(fed)
    stale = Output("spending", scratch.table("spending").limit(0), "merge", keys=("customer",), based_on=0)
    with pytest.raises(LostRaceError, match="another run is writing"):
        Tables(scratch.spark, str(scratch.folder / "home" / "warehouse" / "shop"), "shop").write(stale, {})
    as_anew()


def test_what_is_mostly_touched_or_made_otherwise_is_made_anew(
    scratch: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CommitLog(str(scratch.folder / "home" / "warehouse" / "shop"), LocalFiles())
    alone = YAML[: YAML.index("  daily:")]
    monkeypatch.setattr(Tables, "changes", lambda *_: None)  # as of a table that nobody followed
    scratch.write("orders/1.csv", orders(0, 40, 0))
    scratch.run(alone, to="features")
    scratch.write("orders/2.csv", orders(40, 8, 0.5))
    scratch.run(alone, to="features")
    assert log.last("spending").operation == "WRITE"
    monkeypatch.setattr(refresh, "SHARE", 2.0)
    scratch.write("orders/3.csv", orders(50, 1, 7, "a"))
    scratch.run(alone.replace("3 days", "4 days"), to="features")
    assert log.last("spending").operation == "WRITE"
    scratch.write("orders/4.csv", "id,customer,at,known,amount\n60,,2024-01-02T00:00:00Z,2024-01-02T00:00:00Z,5\n")
    version = log.last("spending").identity
    scratch.run(alone.replace("3 days", "4 days"), to="features")
    assert log.last("spending").identity == version  # an order of nobody changes nothing
    scratch.spark.sql(f"DELETE FROM delta.`{log.folder('spending')}` WHERE customer = 'b'")
    scratch.run(alone.replace("3 days", "4 days"), to="features")
    assert log.last("spending").operation == "WRITE"
    assert scratch.table("spending").where("customer = 'b'").count() > 0


def test_a_backfill_mends_its_window_and_nothing_else(scratch: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    log = CommitLog(str(scratch.folder / "home" / "warehouse" / "shop"), LocalFiles())
    scratch.write("orders/1.csv", orders(0, 80, 0))
    scratch.run(YAML, to="features")
    good, made = scratch.table("spending").localCheckpoint(), stage.windows

    def spoilt(*given: Any) -> DataFrame:
        return made(*given).where("customer <> 'c'").withColumn("amount_count_6h", F.lit(99).cast("bigint"))

    with monkeypatch.context() as wrong:  # an engine with a mistake that nobody noticed
        wrong.setattr(stage, "windows", spoilt)
        scratch.run(YAML, only="features", options=Options(force="features"), select="spending")
    since, until = START + timedelta(hours=100), START + timedelta(hours=300)
    backfill = Options(force="features", since=since, until=until)
    done = scratch.run(YAML, only="features", options=backfill, select="spending").done
    assert log.last("spending").operation == "MERGE"
    assert "backfilled from 2024-01-05" in " ".join(done[0].notes)
    inside = F.col("valid_from").between(moment(since), moment(until - timedelta(microseconds=1)))
    mended = scratch.table("spending").localCheckpoint()
    assert mended.where(inside).count() > 10
    assert mended.where(inside).exceptAll(good.where(inside)).isEmpty()
    assert good.where(inside).exceptAll(mended.where(inside)).isEmpty()
    after = mended.where(F.col("valid_from") >= moment(until))
    assert {r[0] for r in after.select("amount_count_6h").distinct().collect()} == {99}
    assert after.where("customer = 'c'").isEmpty()
    scratch.run(YAML, only="features", options=Options(force="features", since=START), select="spending")
    assert scratch.table("spending").exceptAll(good).isEmpty()
    assert scratch.table("spending").count() == good.count()


def test_a_merge_names_few_entities_and_of_many_the_time_alone(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("a", 1, 5), ("a", 2, 5), ("b", 1, 5), ("b", 1, 4)]
    table = spark.createDataFrame(rows, "k1 string, k2 int, at bigint")
    table = table.select("k1", "k2", F.timestamp_micros("at").alias("valid_from")).alias("t")
    touched, of = table.where("k1 = 'b'").select("k1", "k2").distinct(), Published(["k1", "k2"], "s", {})
    only = changes.only_rows(touched, of, 5, 1)
    assert [(r["k1"], r["k2"]) for r in table.where(only).collect()] == [("b", 1)]
    monkeypatch.setattr(changes, "NAMED", 0)
    assert table.where(changes.only_rows(touched, of, 5, 1)).count() == 3
    monkeypatch.undo()
    ignoring = touched.select(F.expr("k1 collate UTF8_LCASE").alias("k1"), "k2")  # equal values, other hashes
    assert "xxhash64" not in changes.only_rows(ignoring, of, 5, 1)
