"""Spines of entities, labels over later events: what may be written, and what is said of what may not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.config.checks import leaks
from headrace.config.checks.modelling import task_of
from headrace.config.reading import read_pipeline
from headrace.config.spines import EntityGrid
from headrace.config.sql.aggregates import PLACE, Call, aggregation, columns
from headrace.errors import ConfigError

A, B = PLACE.format(0), PLACE.format(1)


@pytest.mark.parametrize(
    ("text", "around", "calls"),
    [
        ("count(*) = 0", f"{A} = 0", [Call("count", "*")]),
        ("coalesce(SUM(a * 2), 0) > 10", f"coalesce({A}, 0) > 10", [Call("sum", "a * 2")]),
        ("avg(a) / avg(a) - max(b)", f"{A} / {A} - {B}", [Call("mean", "a"), Call("max", "b")]),
        ("count(distinct a) filter (where b > 1)", A, [Call("distinct", "a", "b > 1")]),
        ("count_if(a) filter (where b or c)", A, [Call("count", "*", "(a) and (b or c)")]),
        ("percentile(a, 0.9) - median(a)", f"{A} - {B}", [Call("p90", "a"), Call("p50", "a")]),
        ("any(x = 'sum(')", A, [Call("max", "x = 'sum('")]),
        ("max(if(a > 1, f(b, c), d[0])) /* sum(x) */", f"{A} /* sum(x) */", [Call("max", "if(a > 1, f(b, c), d[0])")]),
        ("case when count(*) > 1 then 'sum(a)' end", f"case when {A} > 1 then 'sum(a)' end", [Call("count", "*")]),
    ],
)
def test_an_expression_is_taken_apart(text: str, around: str, calls: list[Call]) -> None:
    found = aggregation(text)
    assert (found.around, list(found.calls)) == (around, calls)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("amount", "no aggregate of the events is in it"),
        ("max_by(a, b)", "no aggregate of the events is in it"),
        ("sum(amount) > target", "'target' stands in no aggregate"),
        ("sum(max(a))", r"an aggregate cannot stand inside of sum\(\)"),
        ("count(*) over (partition by a)", "`over` is for windows"),
        ("sum()", r"sum\(\) takes 1 argument; 0 came"),
        ("sum(a, b)", r"sum\(\) takes 1 argument; 2 came"),
        ("sum(*)", r"sum\(\*\) has no meaning"),
        ("sum(distinct a)", "`distinct` goes with count"),
        ("percentile(a, 0.125)", "two digits"),
        ("percentile(a, b)", "two digits"),
        ("sum(a) filter (b)", "filter"),
    ],
)
def test_what_cannot_be_aggregated_is_told(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        aggregation(text)


def test_the_columns_of_the_events() -> None:
    assert columns("sum(if(a > 1, `b`, c)) filter (where d) + count(*)") == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("grid", "at", "following"),
    [
        ({"every": "1 day"}, "2024-01-01", "2024-01-02"),
        ({"every": "1 day"}, "1960-05-05T12:00:00", "1960-05-06"),
        ({"every": "1 day"}, "2024-01-01T23:59:59.999999", "2024-01-02"),
        ({"every": "7 days", "since": "2024-01-03T05:00:00"}, "2024-01-04", "2024-01-10T05:00:00"),
        ({"every": "7 days", "since": "2024-01-03T05:00:00"}, "2020-01-04", "2024-01-03T05:00:00"),
        ({"every": "1 day", "until": "2024-01-02"}, "2023-12-31", "2024-01-01"),
        ({"every": "1 day", "until": "2024-01-02"}, "2024-01-01", None),
    ],
)
def test_the_next_point_of_a_grid(grid: dict[str, str], at: str, following: str | None) -> None:
    found = EntityGrid.model_validate({"entities": "people", **grid}).next_after(_utc(at))
    assert found == (None if following is None else _utc(following))


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


BASE = """
pipeline: shop
tables:
  customers: {source: {format: csv, path: customers.csv}, key: customer, event_time: joined}
  orders: {source: {format: csv, path: orders.csv}, event_time: ordered}
  baskets: {source: {format: csv, path: orders.csv}, event_time: opened}
  places: {source: {format: csv, path: places.csv}, key: place}
feature_tables:
  spending: {from: orders, entity: customer, aggregates: [{column: amount, functions: sum, windows: 7 days}]}
training_set:
  from: {entities: customers, every: 7 days}
  label: {from: orders, aggregate: "sum(amount) > 5", within: 30 days, where: "kind = 'a'"}
  features: [spending]
"""
SPENDING = (
    "  spending: {from: orders, entity: customer, aggregates: [{column: amount, functions: sum, windows: 7 days}]}"
)


GRID = "from: {entities: customers, every: 7 days}"
LABEL = """label: {from: orders, aggregate: "sum(amount) > 5", within: 30 days, where: "kind = 'a'"}"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, header in (
        ("customers", "customer,joined,city"), ("orders", "customer,ordered,opened,amount,kind"), ("places", "place,city"),
    ):  # fmt: skip
        (tmp_path / f"{name}.csv").write_text(header + "\n")
    return tmp_path


def mistakes(folder: Path, *changes: tuple[str, str]) -> list[str]:
    """What is said of the base with some texts replaced, each with line and place."""
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "shop.yaml").write_text(text)
    try:
        read_pipeline(folder / "shop.yaml")
    except ConfigError as error:
        return [f"{m.line} {m.where}: {m.message}" for m in error.mistakes]
    return []


def test_the_base_is_valid_and_its_task_is_told_by_the_label(folder: Path) -> None:
    assert mistakes(folder) == []
    pipeline, _ = read_pipeline(folder / "shop.yaml")
    assert task_of(pipeline) == "binary"
    assert (pipeline.training_set.spine, leaks.hidden_columns(pipeline)) == ("customers", set())


@pytest.mark.parametrize(
    ("entity", "read"),
    [
        ("customer", {"customer": "customer"}),
        ("[customer, joined]", {"customer": "customer", "joined": "joined"}),
        ("{Customer: KIND}", {"customer": "kind"}),
    ],
)
def test_one_column_or_several_tell_whose_events_count(folder: Path, entity: str, read: dict[str, str]) -> None:
    (folder / "orders.csv").write_text("customer,joined,ordered,opened,amount,kind\n")
    assert mistakes(folder, ("within:", f"entity: {entity}, within:")) == []
    assert dict(read_pipeline(folder / "shop.yaml")[0].training_set.future.entity) == read


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("30 days", "1 month", "12 training_set.label.within: '1 month' has no fixed length"),
        ("every: 7 days", "every: 1 month", "11 training_set.from.every: '1 month' has no fixed length"),
        ("within", "whithin", "12 training_set.label.whithin: ... did you mean 'within'?"),
        ("every: 7", "evry: 7", "11 training_set.from.evry: ... did you mean 'every'?"),
        ("label: {from: orders,", "label: {", "12 training_set.label.from: 'from' is missing"),
        ("label: {from: orders", "label: {from: ordrs", "12 training_set.label.from: ... did you mean 'orders'?"),
        ("label: {from: orders", "label: {from: spending", "12 training_set.label.from: 'spending' is a feature table"),
        ("label: {from: orders", "label: {from: places", "12 training_set.label.from: a label over later events needs their time"),
        ("{entities: customers", "{entities: custmers", "11 training_set.from.entities: no table is called 'custmers'"),
        ("key: customer, event", "event", "11 training_set.from.entities: tables.customers has no key"),
        (", event_time: joined", "", "11 training_set.from: the grid has no beginning: give `since`"),
        ("every: 7 days", "every: 7 days, since: 2024-02-01, until: 2024-01-01", "11 training_set.from: the grid would be empty"),
        ("features: [spend", "predict_at: joined\n  features: [spend", "13 training_set.predict_at: a spine of entities is predicted at"),
        ("sum(amount) > 5", "sum(amout) > 5", "12 training_set.label.aggregate: ... did you mean 'amount'?"),
        ("sum(amount) > 5", "sum(amount > 5", "12 training_set.label.aggregate: no SQL expression: '(' at character 4 is never closed"),
        ("sum(amount) > 5", "amount > 5", "12 training_set.label.aggregate: no aggregate of the events is in it"),
        ("sum(amount) > 5", "count(*) > (select 1 from places)", "12 training_set.label.aggregate: a subquery over places"),
        ("kind = 'a'", "kid = 'a'", "12 training_set.label.where: ... did you mean 'kind'?"),
        ("within:", "entity: {customer: custmer}, within:", "12 training_set.label.entity.customer: ... did you mean 'customer'?"),
        ("within:", "entity: [buyer], within:", "12 training_set.label.entity.buyer: no column of the table customers"),
        (LABEL, "label: 5", "12 training_set.label: 5 came; it must be text"),
        (GRID, "from: places", "12 training_set.label: `within` counts from the time of the prediction"),
        (GRID, "from: places\n  predict_at: now()",
         "13 training_set.label: the table orders has none of the key columns of places (place)"),
        (GRID, "from: orders", "12 training_set.label: tables.orders has no key besides times; name the columns"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_their_place(folder: Path, old: str, new: str, says: str) -> None:
    found = mistakes(folder, (old, new))
    assert [line for line in found if all(part in line for part in says.split(" ... "))], found
    assert len(found) == 1 or "places" in new, found  # which has neither time nor customers


@pytest.mark.parametrize(
    ("feature", "says"),
    [
        ("from: orders, entity: customer, latest: [amount]", None),
        ("from: orders, entity: customer, aggregates: [{column: '*', functions: count, windows: 7 days}]", None),
        ("from: orders, entity: customer, time: opened, aggregates: [{column: amount, functions: sum, windows: 7 days}]",
         "... 'amount', and tables.orders has no available_at"),
        ("from: orders, entity: customer, time: opened, aggregates: [{column: '*', functions: count, windows: 7 days}]",
         "... rows of orders, and tables.orders has no available_at"),
        ("from: baskets, entity: customer, aggregates: [{column: amount, functions: sum, windows: 7 days}]",
         "... 'amount', and tables.baskets has no available_at"),
        ("from: baskets, entity: customer, lookup: [kind]", "the label uses 'kind', and a lookup knows no time"),
        ("from: orders, entity: customer, lookup: [opened]", "the label counts rows of orders, and a lookup knows no time"),
        ("from: customers, entity: customer, lookup: [city]", None),
    ],
)  # fmt: skip
def test_features_of_the_same_events_end_where_the_label_begins(folder: Path, feature: str, says: str | None) -> None:
    found = mistakes(folder, (SPENDING, f"  spending: {{{feature}}}"))
    assert len(found) == (says is not None), found
    assert all(says and says.removeprefix("... ") in line for line in found), found
    known = mistakes(
        folder, (SPENDING, f"  spending: {{{feature}}}"), ("event_time: o", "available_at: ordered, event_time: o")
    )
    assert len(known) == (says is not None and "lookup" in feature), known


def test_a_row_predicted_before_its_own_time_hides_what_the_label_counts(folder: Path) -> None:
    spine = (GRID, "from: orders\n  predict_at: ordered - interval 1 day")
    own = ("where: \"kind = 'a'\"}", "entity: customer}\n  row_features: {large: amount > 3}")
    assert mistakes(folder, spine, own) == [
        "14 training_set.row_features.large: 'amount' is not known when the prediction is made: the label is made of it"
    ]
    assert mistakes(folder, (GRID, "from: orders"), own) == []
    # the same rows under another time: a row may be one of the events after its own
    assert len(mistakes(folder, (GRID, "from: baskets"), own)) == 1
