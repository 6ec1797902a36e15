"""The engine on Spark: whole frames against brute force in DuckDB, keys, time zones, names."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pandas as pd
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

import headrace
from headrace.engine.point_in_time import lookup_join, point_in_time_join
from headrace.engine.published import Published, published_windows
from headrace.engine.windows import window_features
from headrace.errors import ConfigError

FUNCTIONS = ("count", "sum", "mean", "stddev", "min", "max", "first", "last", "distinct", "p25", "p90")
WINDOWS = ("2 hours", "1 day", "20 days")
START = datetime(2013, 3, 8)
KEYS = [("a", "b|c"), ("a|b", "c"), ("a", "c"), ("", "a"), ("a", ""), (None, "a"), ("a", None)]
SPINE = "id bigint, k1 string, k2 string, t timestamp_ntz"
EVENTS = "k1 string, k2 string, s timestamp_ntz, a timestamp_ntz, x double, i int, w string"


def rows(seed: int, n: int = 150) -> tuple[list[tuple], list[tuple]]:
    """Spine and events in the nights around the switch to summer time, with ties, nulls, duplicates, late events."""
    random.seed(seed)
    moment = lambda: START + timedelta(minutes=random.randrange(0, 5 * 1440, 15), microseconds=random.choice([0, 1]))  # noqa: E731
    events = []
    for i in range(n):
        s = random.choice([moment(), moment(), moment(), None])
        late = random.choice([timedelta(0), timedelta(minutes=15), timedelta(hours=5), timedelta(hours=-1), None])
        x = random.choice([None, 1e15, -1e15, 1e-3, 0.1, random.gauss(5, 3)])
        a = s + late if s and late is not None else None
        events.append(
            (*random.choice(KEYS), s, a, x, random.choice([None, i % 7]), random.choice([None, "é", "z", "a"]))
        )
    spine = [(i, *random.choice(KEYS), random.choice([moment(), moment(), moment(), None])) for i in range(n)]
    return spine + spine[:10], events


def frames(spark: SparkSession, seed: int, n: int = 150) -> tuple[DataFrame, DataFrame]:
    """As timestamps in UTC, whatever the session's time zone."""
    spine, events = rows(seed, n)

    def utc(name: str) -> Column:
        return F.expr(f"timestamp_micros(timestampdiff(MICROSECOND, timestamp_ntz'1970-01-01 00:00:00', {name}))")

    return (
        spark.createDataFrame(spine, SPINE).withColumn("t", utc("t")),
        spark.createDataFrame(events, EVENTS).withColumns({"s": utc("s"), "a": utc("a")}),
    )


def tables(seed: int, n: int = 150) -> duckdb.DuckDBPyConnection:
    spine, events = rows(seed, n)
    db = duckdb.connect()
    db.execute("create table spine (id bigint, k1 varchar, k2 varchar, t timestamp)")
    db.execute("create table events (k1 varchar, k2 varchar, s timestamp, a timestamp, x double, i integer, w varchar)")
    db.executemany("insert into spine values (?, ?, ?, ?)", spine)
    db.executemany("insert into events values (?, ?, ?, ?, ?, ?, ?)", events)
    return db


def asked() -> dict[str, tuple[str, str, str]]:
    out = {f"x_{f}_{w.replace(' ', '')}": ("x", f, w) for f in FUNCTIONS for w in WINDOWS}
    out |= {f"i_{f}": ("i", f, "1 day") for f in FUNCTIONS}
    out |= {f"w_{f}": ("w", f, "1 day") for f in ("count", "min", "max", "first", "last", "distinct")}
    out |= {f"{c}_mode": (c, "mode", "1 day") for c in "xiws"} | {"i_trend": ("i", "trend", "1 day")}
    out |= {"i_ratio": ("i", "mean", "2 hours / 1 day"), "w_approx": ("w", "approx_distinct", "1 day")}
    return out | {"n": ("*", "count", "1 day"), "s_max": ("s", "max", "20 days")}


def ages() -> dict[str, tuple[str, str, str]]:
    """What changes with every instant."""
    return {"x_age": ("x", "since_last", "1 day"), "age": ("*", "since_last", "1 day")}


def sql(column: str, function: str, window: str, late: bool) -> str:
    """One aggregate as a correlated subquery in DuckDB."""
    if "/" in window:
        above, below = (sql(column, function, length.strip(), late) for length in window.split("/"))
        return f"({above}) / nullif({below}, 0)"
    there = "true" if column == "*" else f"{column} is not null"
    known = "greatest(s, a)" if late else "s"
    order = f"order by s, {known}, {column}"
    made: dict[str, str] = {
        "count": f"count({column})",
        "stddev": f"stddev_samp({column})",
        "mean": f"avg({column})",
        "first": f"first({column} {order}) filter ({column} is not null)",
        "last": f"last({column} {order}) filter ({column} is not null)",
        "distinct": f"count(distinct {column})",
        "approx_distinct": f"count(distinct {column})",
        "since_last": f"epoch_us(max(s) filter ({there}))",
        "trend": f"case when count(distinct s) filter ({there}) > 1 then regr_slope({column}, epoch_us(s) / 86400e6) end",
    }
    term = made.get(function, f"{function}({column})")
    if function.startswith("p"):
        term = f"quantile_cont({column}::double, {int(function[1:]) / 100})"
    when = f"s <= t and s > t - interval '{window}'" + (" and a <= t" if late else "")
    counted = f"from events e where e.k1 = spine.k1 and e.k2 = spine.k2 and {when}"
    value = f"(select {term} {counted})"
    if function == "mode":
        value = f"(select {column} {counted} and {there} group by {column} order by count(*) desc, {column} limit 1)"
    if function == "since_last":
        value = f"(epoch_us(t) - {value}) / 1e6"
    return f"case when k1 is not null and k2 is not null and t is not null then {value} end"


def local(frame: DataFrame) -> pd.DataFrame:
    """Rows in a fixed order; times as microseconds, so that no time zone plays a part."""
    times = [f.name for f in frame.schema if f.dataType.typeName() == "timestamp"]
    frame = frame.withColumns({name: F.unix_micros(name) for name in times})
    return frame.toPandas().sort_values(list(frame.columns[:4]), ignore_index=True)


def same(got: pd.DataFrame, want: pd.DataFrame) -> None:
    assert list(got.columns) == list(want.columns)
    for name in want:
        if want[name].dtype.kind == "M":
            want[name] = [None if pd.isna(v) else v.value // 1000 for v in want[name].astype("datetime64[ns]")]
    want = want.sort_values(list(want.columns[:4]), ignore_index=True)
    inexact = [c for c in want if c.split("_")[1:2] and c.split("_")[1] in ("sum", "mean", "stddev") and c[0] == "x"]
    plain = [c for c in want if c not in inexact]
    pd.testing.assert_frame_equal(got[plain], want[plain], check_dtype=False)
    # DuckDB sums outliers of 1e15 with less care than the engine; the exact test of the kernels is in tests/unit.
    pd.testing.assert_frame_equal(got[inexact], want[inexact], check_dtype=False, rtol=1e-6, atol=10)


@pytest.mark.parametrize("late", [False, True])
def test_window_features_agree_with_brute_force(spark: SparkSession, late: bool) -> None:
    spine, events = frames(spark, 1)
    got = window_features(
        spine,
        events,
        entity=["k1", "k2"],
        spine_time="t",
        event_time="s",
        available_at="a" if late else None,
        aggregates=asked() | ages(),
    )
    features = [f"{sql(*spec, late)} as {name}" for name, spec in (asked() | ages()).items()]
    parts = [["*"], *(features[i : i + 20] for i in range(0, len(features), 20))]  # DuckDB plans many together slowly
    db = tables(1)
    found = [db.execute(f"select {', '.join(part)} from spine order by id").df() for part in parts]
    same(local(got), pd.concat(found, axis=1))
    types = dict(got.dtypes)
    assert [types[c] for c in ("w_approx", "i_ratio", "i_trend", "age")] == ["bigint", "double", "double", "double"]
    assert [types[c] for c in ("n", "i_sum", "i_mode", "i_mean", "w_mode", "s_mode")] == [
        "bigint",
        "bigint",
        "int",
        "double",
        "string",
        "timestamp",
    ]


ENDS = "case when i % 2 = 0 then a + interval 3 hours when i % 3 = 0 then s + interval 1 day when i % 5 = 0 then s end"
"""Until when an event holds; null: for ever."""


@pytest.mark.parametrize(
    ("late", "max_age", "ends"),
    [
        (True, None, False),
        (True, "2 hours", False),
        (False, "1 day", False),
        (True, None, True),
        (False, "2 hours", True),
    ],
)
def test_point_in_time_join_agrees_with_brute_force(
    spark: SparkSession, late: bool, max_age: str | None, ends: bool
) -> None:
    spine, events = frames(spark, 2, 400)
    got = point_in_time_join(
        spine,
        events.withColumn("u", F.expr(ENDS)),
        entity=["k1", "k2"],
        spine_time="t",
        feature_time="s",
        available_at="a" if late else None,
        valid_until="u" if ends else None,
        max_age=max_age,
        columns=["x", "i", "w"],
    )
    age = f"and s > t - interval '{max_age}'" if max_age else ""
    known = "and a <= t" if late else ""
    holds = f"and coalesce(({ENDS}) > t, true)" if ends else ""
    order = f"s desc, {'a desc,' if late else ''} x desc nulls last, i desc nulls last, w desc nulls last"
    want = (
        tables(2, 400)
        .execute(
            "select spine.*, e.x, e.i, e.w from spine left join lateral (select * from events e where e.k1 = spine.k1 "
            f"and e.k2 = spine.k2 and s <= t {known} {age} {holds} order by {order} limit 1) e on true"
        )
        .df()
    )
    same(local(got), want)
    assert got.columns == ["id", "k1", "k2", "t", "x", "i", "w"]
    assert got.where("x is not null").count() > 20


def test_neither_time_zone_nor_partitions_nor_order_of_rows_matter(spark: SparkSession) -> None:
    def results(spine: DataFrame, events: DataFrame, num_buckets: int | None) -> list[pd.DataFrame]:
        common: dict[str, Any] = {
            "entity": ["k1", "k2"],
            "spine_time": "t",
            "available_at": "a",
            "num_buckets": num_buckets,
        }
        joined = point_in_time_join(spine, events, feature_time="s", **common)
        return [local(joined), local(window_features(spine, events, event_time="s", aggregates=asked(), **common))]

    first = results(*frames(spark, 3), None)
    shuffled = [f.repartition(5, F.rand(7)) for f in frames(spark, 3)]
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    try:
        second = results(*shuffled, 1)
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    for one, other in zip(first, second, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.parametrize("late", [False, True])
def test_slices_of_time_change_nothing(spark: SparkSession, late: bool) -> None:
    spine, events = frames(spark, 5, 300)
    few = {name: spec for name, spec in asked().items() if spec[2] != "20 days"}
    common: dict[str, Any] = {"entity": ["k1", "k2"], "spine_time": "t", "event_time": "s", "aggregates": few}
    common["available_at"] = "a" if late else None
    sliced = local(window_features(spine, events, slice_by="1 day", **common))
    pd.testing.assert_frame_equal(sliced, local(window_features(spine, events, **common)), check_exact=True)
    with pytest.raises(ConfigError, match="shorter than the longest window"):
        window_features(spine, events, slice_by="1 hour", **common)


def test_published_rows_are_the_features_for_as_long_as_they_say(spark: SparkSession) -> None:
    spine, events = frames(spark, 4, 500)
    common: dict[str, Any] = {"entity": ["k1", "k2"], "event_time": "s", "available_at": "a"}
    published = published_windows(events, Published(aggregates=asked() | ages(), **common))
    assert set(published.columns).isdisjoint(ages())
    assert published.columns[:4] == ["k1", "k2", "valid_from", "valid_until"]
    assert published.groupBy("k1", "k2", "valid_from").count().where("count > 1").isEmpty()
    within = (F.col("t") >= F.col("valid_from")) & F.coalesce(F.col("t") < F.col("valid_until"), F.lit(True))
    looked_up = spine.dropDuplicates(["id"]).join(published, ["k1", "k2"]).where(within)
    looked_up = looked_up.select("id", "k1", "k2", "t", *asked())
    direct = window_features(spine.dropDuplicates(["id"]), events, spine_time="t", aggregates=asked(), **common)
    found = local(looked_up)
    assert len(found) > 30
    want = local(direct)
    want = want[want["id"].isin(found["id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, want, check_exact=True, check_dtype=False)
    assert published.where("valid_until <= valid_from").isEmpty()


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("decimal(20,2)", ["1.10", "1.1", "-3", None]),
        ("date", ["2013-03-10", "2013-03-11", "1600-01-01", None]),
        ("timestamp", ["2013-03-10 02:30:00", "2013-11-03 01:30:00", "2013-11-03 01:30:00.000001", None]),
        ("boolean", ["true", "false", "false", None]),
        ("binary", ["", "a", "ab", None]),
        ("double", ["0.0", "-0.0", "NaN", None]),
        ("int", ["1", "2", "3", None]),
    ],
)
def test_keys_of_any_type(spark: SparkSession, kind: str, values: list[str | None]) -> None:
    spine = spark.createDataFrame([(i, v) for i, v in enumerate(values)], "id int, v string").select(
        "id", F.col("v").cast(kind).alias("k"), F.timestamp_seconds(F.lit(100)).alias("t")
    )
    side = "bigint" if kind == "int" else "decimal(25,4)" if kind.startswith("decimal") else kind
    events = spine.select(
        F.col("k").cast(side).alias("K"), F.timestamp_seconds("id").alias("s"), F.col("id").alias("x")
    )
    want = (
        spine.alias("l")
        .join(events.alias("r"), F.col("l.k") == F.col("r.K"), "left")
        .groupBy("id")
        .agg(F.when(F.first(F.col("l.k").isNotNull()), F.count("x")).alias("n"), F.max("x").alias("newest"))
    )
    common: dict[str, Any] = {"entity": ["k"], "spine_time": "t"}
    got = window_features(spine, events, event_time="s", aggregates={"n": ("*", "count", "1 day")}, **common)
    got = point_in_time_join(got, events.withColumnRenamed("x", "newest"), feature_time="s", **common)
    unique = events.dropDuplicates(["K"]).select("K", F.lit(True).alias("found"))
    got = lookup_join(got, unique, entity=["k"])
    assert got.where("coalesce(n, 0) > 0 and not coalesce(found, false)").isEmpty()
    rows = got.select("id", "n", "newest").orderBy("id").collect()
    assert rows == want.orderBy("id").collect()


def test_dates_are_midnight_in_utc(spark: SparkSession) -> None:
    spine = spark.sql("select 1 as k, date'2013-03-10' as t union all select 1, date'2013-03-11'")
    events = spark.sql(
        "select 1 as k, s::timestamp_ntz from values ('2013-03-10 00:00:00'), ('2013-03-10 00:00:00.000001') as v(s)"
    )
    aggregates = {"n": ("*", "count", "1 day")}
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    try:
        for slice_by in (None, "1 day"):
            got = window_features(
                spine, events, entity=["k"], spine_time="t", event_time="s", aggregates=aggregates, slice_by=slice_by
            )
            assert [r["n"] for r in got.orderBy("t").collect()] == [1, 1]
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")


def test_spine_columns_of_any_type_pass_through_in_any_time_zone(spark: SparkSession) -> None:
    spine = spark.sql(
        "select 1 as k, t, array(t) as many, struct(t as inner) as one, map('x', t) as m, t::timestamp_ntz as plain, "
        "null::array<string> as none, interval 3 days as span from values (timestamp'2013-03-10 12:00:00Z') as v(t)"
    )
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    try:
        events = spine.select("k", F.col("t").alias("s"), F.col("one").alias("value"))
        got = point_in_time_join(spine, events, entity=["k"], spine_time="t", feature_time="s")
        assert got.select(spine.columns).collect() == spine.collect()
        assert [r["value"] for r in got.collect()] == [r["one"] for r in spine.collect()]
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")


def test_empty_sides(spark: SparkSession) -> None:
    spine, events = frames(spark, 1)
    nothing = {"entity": ["k1", "k2"], "spine_time": "t"}
    aggregates = {"n": ("*", "count", "1 day"), "m": ("x", "mean", "1 day"), "w1": ("w", "last", "1 day")}
    got = window_features(spine, events.where("false"), event_time="s", aggregates=aggregates, **nothing)  # type: ignore[arg-type]
    values = {
        (r["n"], r["m"], r["w1"]) for r in got.where("k1 is not null and k2 is not null and t is not null").collect()
    }
    assert values == {(0, None, None)}
    assert window_features(spine.where("false"), events, event_time="s", aggregates=aggregates, **nothing).isEmpty()  # type: ignore[arg-type]
    joined = point_in_time_join(spine, events.where("false"), feature_time="s", columns=["x"], **nothing)  # type: ignore[arg-type]
    assert (joined.count(), joined.where("x is not null").count()) == (spine.count(), 0)


def test_lookup_keeps_every_row_and_refuses_a_key_that_stands_twice(spark: SparkSession) -> None:
    spine = spark.sql("select * from values (1, 'a'), (1, 'a'), (2, 'b'), (3, null) as t(id, k)")
    table = spark.sql("select * from values ('a', 1, null), ('c', 2, 5), (null, 3, 6), (null, 4, 7) as t(k, v, u)")
    got = lookup_join(spine, table, entity=["k"])
    rows = sorted(map(tuple, got.collect()), key=str)
    assert rows == [(1, "a", 1, None), (1, "a", 1, None), (2, "b", None, None), (3, None, None, None)]
    assert got.columns == ["id", "k", "v", "u"]
    twice = table.union(spark.sql("select 'a', 9, 9"))
    with pytest.raises(PySparkException, match="more than one row for k = a"):
        lookup_join(spine, twice, entity=["k"]).collect()


def test_columns_with_dots_and_backquotes(spark: SparkSession) -> None:
    spine, events = frames(spark, 2, 40)
    odd = {"k1": "key.one", "k2": "k`2", "t": "at.t", "s": "ev.s", "a": "ev.a", "x": "x.y", "id": "i.d"}
    spine_odd, events_odd = spine.withColumnsRenamed(odd), events.withColumnsRenamed(odd)
    plain: dict[str, Any] = {"entity": ["k1", "k2"], "spine_time": "t"}
    other: dict[str, Any] = {"entity": ["key.one", "k`2"], "spine_time": "at.t"}

    found = window_features(
        spine_odd, events_odd, event_time="ev.s", available_at="ev.a", slice_by="2 days",
        aggregates={"f.x": ("x.y", "sum", "1 day")}, **other,
    )  # fmt: skip
    wanted = window_features(
        spine, events, event_time="s", available_at="a", aggregates={"f.x": ("x", "sum", "1 day")}, **plain
    )
    assert found.columns == ["i.d", "key.one", "k`2", "at.t", "f.x"]
    assert sorted(map(repr, map(tuple, found.collect()))) == sorted(map(repr, map(tuple, wanted.collect())))

    joined = point_in_time_join(
        spine_odd, events_odd, feature_time="ev.s", available_at="ev.a", columns=["x.y"], **other
    )
    expected = point_in_time_join(spine, events, feature_time="s", available_at="a", columns=["x"], **plain)
    assert joined.columns == ["i.d", "key.one", "k`2", "at.t", "x.y"]
    assert sorted(map(repr, map(tuple, joined.collect()))) == sorted(map(repr, map(tuple, expected.collect())))

    table = spark.createDataFrame([("a", 1)], ["key.one", "v.w"])
    looked_up = lookup_join(spine_odd.select("`key.one`").distinct(), table, entity=["key.one"])
    assert sorted(map(repr, looked_up.where("`v.w` is not null").collect())) == ["Row(key.one='a', v.w=1)"]


def test_the_package_offers_both_functions() -> None:
    assert headrace.point_in_time_join is point_in_time_join
    assert headrace.window_features is window_features
