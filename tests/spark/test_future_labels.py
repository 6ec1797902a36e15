"""Labels over later events and spines on a grid, against what a loop in Python makes of the same rows."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from headrace.config.spines import EntityGrid
from headrace.config.types import Pipeline, Table
from headrace.errors import ConfigError
from headrace.runtime.runner import Options
from headrace.training.grid import on_grid
from headrace.training.spine import spine
from tests.support.runs import Project, statuses

START, DAY = datetime(2024, 1, 1), timedelta(days=1)
AS_OF = datetime(2024, 3, 1)
WITHIN, DELAY = 10 * DAY, 3 * DAY
LABEL = (
    "named_struct('n', count(*), 'paid', count(amount), 'total', sum(amount), 'kinds', count(distinct kind), "
    "'most', max(amount * 2), 'large', count_if(amount > 5), 'gone', count(*) = 0, "
    "'big', coalesce(sum(amount) filter (where kind = 'b'), -1) > 5)"
)
Event = tuple[int | None, datetime | None, datetime | None, int | None, str | None]


def visits() -> list[tuple[int | None, datetime | None]]:
    """Whom and when; a hot customer, one without events, nobody, no time; twice the same moment for two."""
    rng = random.Random(1)
    rows: list[tuple[int | None, datetime | None]] = [
        (rng.choice([1, 1, 1, 1, 2, 3, 4]), START + timedelta(hours=rng.randrange(24 * 58))) for _ in range(150)
    ]
    return [*dict.fromkeys(rows), (99, START), (None, START), (1, None), (5, START), (6, START)]


def events() -> list[Event]:
    """On the borders of windows, tied, null in every column, known late, and never."""
    rng = random.Random(2)
    rows: list[Event] = []
    for _ in range(400):
        at = START + timedelta(hours=rng.randrange(24 * 70))
        known = None if rng.random() < 0.1 else at + timedelta(hours=rng.choice([0, 0, 1, 60, 24 * 14]))
        amount = None if rng.random() < 0.2 else rng.randrange(-3, 9)
        rows.append((rng.choice([1, 1, 1, 2, 3, 4, None]), at, known, amount, rng.choice(["a", "b", None])))
    tick = timedelta(microseconds=1)
    for off in (-tick, timedelta(0), tick, WITHIN - tick, WITHIN, WITHIN + tick):
        rows.append((5, START + off, START, 1, "a"))  # around both ends of the window
    ends = START + WITHIN + DELAY
    rows += [(6, START + DAY, ends + off, 7, "b") for off in (-tick, timedelta(0), tick)]  # around the end of waiting
    return [*rows, *rows[:9], (1, None, START, 5, "a")]


def told(who: int | None, at: datetime | None, known_column: bool) -> dict[str, Any] | None:
    """The label of one visit, the slow way."""
    if who is None or at is None or at + WITHIN + DELAY > AS_OF:
        return None
    chosen = []
    for customer, happened, known, amount, kind in events():
        when = known if known_column else happened
        if customer == who and happened and when and at < happened <= at + WITHIN and when <= at + WITHIN + DELAY:
            chosen.append((amount, kind))
    paid = [amount for amount, _ in chosen if amount is not None]
    big = [amount for amount, kind in chosen if amount is not None and kind == "b"]
    return {
        "n": len(chosen),
        "paid": len(paid),
        "total": sum(paid) if paid else None,
        "kinds": len({kind for _, kind in chosen if kind is not None}),
        "most": max(paid) * 2 if paid else None,
        "large": sum(amount > 5 for amount in paid),
        "gone": not chosen,
        "big": (sum(big) if big else -1) > 5,
    }


def frames(spark: SparkSession) -> dict[str, DataFrame]:
    visited = spark.createDataFrame(visits(), "customer long, at timestamp")
    happened = "buyer int, happened timestamp, known timestamp, amount long, kind string"
    return {"visits": visited, "orders": spark.createDataFrame(events(), happened)}


def pipeline(label: dict[str, Any], known: bool = True, **more: Any) -> Pipeline:
    source = {"format": "csv", "path": "x.csv"}
    orders = {"source": source, "event_time": "happened", **({"available_at": "known"} if known else {})}
    return Pipeline.model_validate(
        {
            "pipeline": "shop",
            "tables": {"visits": {"source": source, "key": ["customer", "at"], "event_time": "at"}, "orders": orders},
            "training_set": {"from": "visits", "label": {"from": "orders", "within": "10 days", **label}, **more},
        }
    )


@pytest.mark.parametrize("known", [True, False])
def test_a_label_is_what_a_loop_over_the_events_makes_of_it(spark: SparkSession, known: bool) -> None:
    config = pipeline({"aggregate": LABEL, "entity": {"customer": "buyer"}}, known, label_delay="3 days")
    there = frames(spark)
    rows = spine(there["visits"], config, AS_OF.replace(tzinfo=UTC), there.__getitem__)
    assert rows.columns == ["customer", "at", "predict_at", "label", "label_known_at"]
    found = [(r.customer, r.at, r.label.asDict() if r.label else None, r.label_known_at) for r in rows.collect()]
    expected = [(who, at, told(who, at, known), at and at + WITHIN + DELAY) for who, at in visits()]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    labels = [label for _, _, label, _ in expected if label]
    assert 50 < len(labels) < len(expected) - 20  # windows that have ended, and some that have not
    assert {label["gone"] for label in labels} == {label["big"] for label in labels} == {True, False}
    on_the_borders = next(label for who, _, label, _ in expected if who == 5 and label)
    assert (on_the_borders["n"], [label["n"] for who, _, label, _ in expected if who == 6 and label]) == (
        3, [2 if known else 3],
    )  # fmt: skip


def test_where_and_the_rows_own_time_of_knowledge(spark: SparkSession) -> None:
    """`where` leaves out events; a spine's `available_at` delays a label, and never brings it forward."""
    config = pipeline({"aggregate": "sum(amount)", "where": "kind = 'a'", "entity": {"customer": "buyer"}}, False)
    table = config.tables["visits"].model_copy(update={"available_at": "seen"})
    config = config.model_copy(update={"tables": {**config.tables, "visits": table}})
    there = frames(spark)
    seen = "case when customer = 2 then null when customer = 3 then at + interval 20 days else at end"
    visited = there["visits"].selectExpr("*", f"{seen} seen")
    rows = spine(visited, config, AS_OF.replace(tzinfo=UTC), there.__getitem__).where("customer is not null").collect()
    waits = {2: None, 3: 20 * DAY}
    for row in rows:
        wait = waits.get(row.customer, WITHIN)
        known = None if wait is None or row.at is None else row.at + wait
        counted = [
            amount for who, happened, _, amount, kind in events()
            if happened and row.at and kind == "a" and who == row.customer and row.at < happened <= row.at + WITHIN
            and amount is not None
        ]  # fmt: skip
        value = sum(counted) if counted and known is not None and known <= AS_OF else None
        assert (row.label, row.label_known_at) == (value, known), row


def test_columns_that_are_not_there_are_told(spark: SparkSession) -> None:
    there = frames(spark)
    with pytest.raises(ConfigError, match=r"none of the key columns of visits \(customer, at\).*entity"):
        spine(there["visits"], pipeline({"aggregate": "count(*)"}), AS_OF.replace(tzinfo=UTC), there.__getitem__)
    wrong = pipeline({"aggregate": "count(*)", "entity": {"customer": "bayer"}})
    with pytest.raises(ConfigError, match="entity: the table orders has no column bayer; it has buyer, happened"):
        spine(there["visits"], wrong, AS_OF.replace(tzinfo=UTC), there.__getitem__)


BORN = [
    (1, datetime(2024, 1, 1), datetime(2024, 1, 1)),
    (2, datetime(2024, 1, 1, 0, 0, 0, 1), datetime(2023, 1, 1)),
    (3, datetime(2024, 1, 5), datetime(2024, 1, 20, 12)),
    (4, datetime(2024, 2, 1), datetime(2024, 1, 1)),
    (5, None, datetime(2024, 1, 1)),
    (6, datetime(2024, 1, 1), None),
    (7, datetime(1969, 12, 1, 5), datetime(1969, 12, 1)),
    (8, datetime(2030, 1, 1), datetime(2030, 1, 1)),
]
GRIDS: list[tuple[dict[str, str], tuple[str, ...]]] = [
    ({"every": "7 days"}, ("event_time", "available_at")),
    ({"every": "7 days"}, ("event_time",)),
    ({"every": "36 hours", "since": "2024-01-02T03:00:00Z"}, ("event_time", "available_at")),
    ({"every": "1 day", "since": "2024-01-01", "until": "2024-01-06"}, ()),
    ({"every": "1 day", "since": "2024-01-01", "until": "2024-02-07T00:00:00.000001Z"}, ("available_at",)),
]


@pytest.mark.parametrize(("config", "times"), GRIDS)
def test_a_grid_has_every_point_at_which_an_entity_is_there(
    spark: SparkSession, config: dict[str, str], times: tuple[str, ...]
) -> None:
    grid = EntityGrid.model_validate({"entities": "people", **config})
    source = {"format": "csv", "path": "x.csv"}
    table = Table.model_validate({"source": source, "key": "id", **{name: name for name in times}})
    as_of = datetime(2024, 2, 7)
    people = spark.createDataFrame(BORN, "id int, event_time timestamp, available_at timestamp")
    rows = on_grid(people, grid, table, as_of.replace(tzinfo=UTC))
    assert rows.columns == ["id", "event_time", "available_at", "predict_at"]
    found = sorted((r.id, r.predict_at) for r in rows.collect())

    since = grid.since.replace(tzinfo=None) if grid.since else None
    until = grid.until.replace(tzinfo=None) if grid.until else datetime(9999, 1, 1)
    step = timedelta(days=7) if config["every"] == "7 days" else timedelta(hours=int(config["every"].split()[0]) or 1)
    step = DAY if config["every"] == "1 day" else step
    points, point = [], since or datetime(1970, 1, 1) - 20 * step
    while point <= as_of and point < until:
        points, point = [*points, point], point + step
    expected = []
    for who, happened, known in BORN:
        starts = [{"event_time": happened, "available_at": known}[name] for name in times]
        if None not in starts:
            expected += [(who, at) for at in points if all(start <= at for start in starts if start)]
    assert found == sorted(expected)
    assert len(found) > 5


CUSTOMERS = [(i, "basic" if i % 3 else "plus", START + (i % 5) * DAY) for i in range(40)]
YAML = """
pipeline: churn
tables:
  customers:
    source: {format: csv, path: customers.csv}
    key: customer
    event_time: joined
  orders:
    source: {format: csv, path: orders.csv}
    event_time: ordered
feature_tables:
  spending:
    from: orders
    entity: customer
    aggregates: [{column: amount, functions: [count, sum], windows: 14 days}]
training_set:
  from: {entities: customers, every: 7 days, since: 2024-01-08}
  label: {from: orders, aggregate: "count(*) = 0", within: 7 days}
  features: spending
  split: {by: time, train_until: 2024-02-13, validation_until: 2024-02-27, test_until: 2024-03-11}
search: {estimators: [logistic_regression], max_evals: 1}
gates: [{metric: areaUnderROC, at_least: 0.3}]
"""


def orders() -> list[tuple[int, datetime, int]]:
    """Every third customer orders seldom."""
    rng = random.Random(3)
    return [
        (who, START + timedelta(hours=1 + rng.randrange(24 * 90)), rng.randrange(1, 50))
        for who, plan, _ in CUSTOMERS
        for _ in range(6 if plan == "plus" else 25)
    ]


def write(scratch: Project) -> None:
    people = [f"{who},{plan},{joined.isoformat()}" for who, plan, joined in CUSTOMERS]
    bought = [f"{who},{at.isoformat()},{amount}" for who, at, amount in orders()]
    scratch.write("customers.csv", "\n".join(["customer,plan,joined", *people]) + "\n")
    scratch.write("orders.csv", "\n".join(["customer,ordered,amount", *bought]) + "\n")


def spine_rows(as_of: datetime) -> list[tuple[int, datetime, str, bool | None, int]]:
    """Customer, time, split, label and orders of the last 14 days, the slow way."""
    rows = []
    for who, _, joined in CUSTOMERS:
        at = datetime(2024, 1, 8)
        while at <= as_of:
            known = at + timedelta(days=7)
            after = sum(w == who and at < t <= known for w, t, _ in orders())
            before = sum(w == who and at - timedelta(days=14) < t <= at for w, t, _ in orders())
            ends = {"train": datetime(2024, 2, 13), "validation": datetime(2024, 2, 27), "test": datetime(2024, 3, 11)}
            part = next((name for name, end in ends.items() if at < end), "score")
            part = "purged" if part in ends and known > ends[part] else part
            if joined <= at:
                rows.append((who, at, part, (after == 0) if known <= as_of else None, before))
            at += timedelta(days=7)
    return sorted(rows, key=repr)


def test_from_entities_and_events_to_predictions_and_their_quality(scratch: Project) -> None:
    """Train, score, monitor; again unchanged; a week later new points are scored and the first labels have come."""
    write(scratch)
    columns = ("customer", "predict_at", "split", "label", "spending__amount_count_14d")
    now = datetime(2024, 3, 19, 5)
    done = scratch.run(YAML, to="monitor", options=Options(as_of=now.replace(tzinfo=UTC)))
    assert scratch.rows("training_set", *columns) == spine_rows(now)
    assert {split for _, _, split, _, _ in spine_rows(now)} == {"train", "validation", "test", "score", "purged"}
    due = [(who, at, 1) for who, at, split, _, _ in spine_rows(now) if split == "score"]
    assert scratch.rows("predictions", "customer", "predict_at", "revision") == due
    assert {r.expires for r in done.done if r.expires} >= {datetime(2024, 3, 25, tzinfo=UTC)}
    measured = "metric = 'accuracy' and granularity = 'all'"
    quality = scratch.table("quality_metrics").where(measured).select("rows", "labelled_rows")
    assert [tuple(row) for row in quality.collect()] == [(80, 40)]
    assert done.done[-1].expires == datetime(2024, 3, 25, tzinfo=UTC)

    again = scratch.run(YAML, to="monitor", options=Options(as_of=now.replace(tzinfo=UTC)))
    assert set(statuses(again).values()) == {"unchanged"}

    later = datetime(2024, 3, 25)
    for stage in ("score", "monitor"):
        done = scratch.run(YAML, only=stage, options=Options(as_of=later.replace(tzinfo=UTC)))
    due = [(who, at, 1) for who, at, split, _, _ in spine_rows(later) if split == "score"]
    assert scratch.rows("predictions", "customer", "predict_at", "revision") == due
    quality = scratch.table("quality_metrics").where(measured).select("rows", "labelled_rows")
    assert [tuple(row) for row in quality.collect()] == [(120, 80)]
    assert done.done[-1].expires == datetime(2024, 4, 1, tzinfo=UTC)
