"""What a model's features are made of, as the commits of tables tell it, and what differs from it now."""

from __future__ import annotations

import copy
import json
from typing import Any

from headrace.models.definitions import changed, definitions, digest, whole
from headrace.models.made import made

CONFIG: dict[str, Any] = {
    "training_set": {
        "from": "orders",
        "predict_at": None,
        "label": "late",
        "features": ["habits", "sky"],
        "row_features": {"twice": "2 * habits__paid_mean_7d", "unused": "1"},
        "transform": None,
    },
    "tables": {
        "orders": {"key": ["id"], "event_time": "at", "available_at": "known_at", "columns": {"at": "yaml of now"}},
        "payments": {"event_time": "paid_at", "available_at": None},
    },
    "feature_tables": {
        "habits": {
            "from": "payments",
            "entity": ["customer"],
            "time": None,
            "aggregates": [
                {"column": "paid", "functions": ["mean", "max"], "windows": ["7 days"], "where": "Kind = 'x'"},
                {"column": "*", "name": None, "functions": ["count"], "windows": ["1 day"]},
            ],
        },
        "sky": {"from": "weather", "entity": ["city"], "latest": ["temp"], "lookup": [], "max_age": "3 hours"},
    },
}
COMMITS: dict[tuple[str, int], dict[str, Any]] = {
    ("orders", 4): {
        "config": {"tables": {"orders": {"columns": {"at": "to_date(raw_at)", "raw_at": "trim(raw_at)", "odd": "1"}}}}
    },
    ("payments", 2): {
        "config": {"tables": {"payments": {"columns": {"paid": "cents / 100"}, "types": {"cents": "int"}}}},
    },
    ("sky", 7): {
        "config": {
            "feature_tables": {"sky": CONFIG["feature_tables"]["sky"]},
            "tables": {"weather": {"event_time": "seen_at", "available_at": None}},
        },
        "inputs": {"weather": 1},
    },
    ("weather", 1): {
        "config": {"tables": {"weather": {"columns": {"temp": "(f - 32) / 1.8"}, "transform": "my:clean"}}},
        "facts": {"code": {"my": "abc"}},
    },
}
INPUTS = {"orders": 4, "payments": 2, "sky": 7}


def rows(config: dict[str, Any] = CONFIG, commits: dict[tuple[str, int], Any] = COMMITS, code: Any = None) -> Any:
    return made(config, INPUTS, lambda table, version: commits[table, version], code or {})


def test_each_feature_is_followed_to_the_source_through_the_commits_that_made_its_rows() -> None:
    found = definitions(rows(), ["twice", "sky__temp"])
    assert found == {
        "code of my": "abc",
        "feature_tables.habits.entity": '["customer"]',
        "feature_tables.habits.from": "payments",
        "feature_tables.habits.paid_mean_7d": "mean of paid over 7 days where Kind = 'x'",
        "feature_tables.habits.time": "paid_at",
        "feature_tables.sky.entity": '["city"]',
        "feature_tables.sky.from": "weather",
        "feature_tables.sky.max_age": "3 hours",
        "feature_tables.sky.temp": "latest temp",
        "feature_tables.sky.time": "seen_at",
        "tables.orders.columns.at": "to_date(raw_at)",
        "tables.orders.columns.raw_at": "trim(raw_at)",
        "tables.orders.event_time": "at",
        "tables.payments.columns.paid": "cents / 100",
        "tables.payments.types.cents": "int",
        "tables.weather.columns.temp": "(f - 32) / 1.8",
        "tables.weather.transform": "my:clean",
        "training_set.from": "orders",
        "training_set.label": "late",
        "training_set.row_features.twice": "2 * habits__paid_mean_7d",
    }


def edited(path: list[Any], value: Any) -> Any:
    """The rows, with one value of the configuration changed."""
    config = copy.deepcopy(CONFIG)
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return rows(config)


def test_what_the_model_does_not_use_may_change() -> None:
    used = ["twice", "sky__temp"]
    trained = definitions(rows(), used)
    habits = CONFIG["feature_tables"]["habits"]
    more = [habits["aggregates"][0] | {"functions": ["mean", "max", "min"]}, *habits["aggregates"][1:]]
    for same in (
        rows(),
        edited(["feature_tables", "habits", "aggregates"], more),
        edited(["training_set", "row_features", "unused"], "2"),
        edited(["training_set", "features"], ["habits"]),
    ):
        assert changed(trained, same, used) == []
    other = copy.deepcopy(COMMITS)
    other["payments", 2]["config"]["tables"]["payments"]["columns"]["paid"] = "cents / 10"
    assert changed(trained, rows(commits=other), used) == [
        "  - tables.payments.columns.paid: cents / 100",
        "  + tables.payments.columns.paid: cents / 10",
    ]
    assert changed(trained, edited(["feature_tables", "sky", "from"], "weather"), used) == []  # its commit counts
    assert changed(trained, edited(["training_set", "label"], "later"), used)[0] == "  - training_set.label: late"
    assert changed(trained, edited(["feature_tables", "habits", "time"], "booked_at"), used) == [
        "  - feature_tables.habits.time: paid_at",
        "  + feature_tables.habits.time: booked_at",
    ]
    where = [habits["aggregates"][0] | {"where": None}]
    assert changed(trained, edited(["feature_tables", "habits", "aggregates"], where), used) == [
        "  - feature_tables.habits.paid_mean_7d: mean of paid over 7 days where Kind = 'x'",
        "  + feature_tables.habits.paid_mean_7d: mean of paid over 7 days",
    ]


def test_a_transform_may_use_every_feature_and_new_ones_change_nothing() -> None:
    config = copy.deepcopy(CONFIG)
    config["training_set"]["transform"] = "my:risk"
    before = rows(config, code={"my": "1", "helpers": "1"})
    trained = whole(before, ["risk"])
    assert "feature_tables.sky.temp" in trained
    assert trained["code of helpers"] == "1"
    more = copy.deepcopy(config)
    more["training_set"]["row_features"]["new"] = "3"
    again = rows(more, code={"my": "1", "helpers": "1"})
    assert digest(whole(again, ["risk"])) != digest(trained)
    assert changed(trained, again, ["risk"]) == []
    assert changed(trained, rows(more, code={"my": "1", "helpers": "2"}), ["risk"]) == [
        "  - code of helpers: 1",
        "  + code of helpers: 2",
    ]


def test_columns_that_are_made_of_each_other_end() -> None:
    commits = copy.deepcopy(COMMITS)
    commits["orders", 4]["config"]["tables"]["orders"]["columns"] = {"at": "at + b", "b": "at - AT"}
    found = definitions(rows(commits=commits), ["at"])
    assert found["tables.orders.columns.b"] == "at - AT"


def test_tables_of_others_say_nothing_of_their_columns() -> None:
    silent = {key: {} for key in COMMITS}
    assert definitions(rows(commits=silent), ["sky__temp"])["feature_tables.sky.temp"] == "latest temp"


def test_a_label_over_later_events_is_followed_to_their_table_and_the_grid_is_no_definition() -> None:
    config = copy.deepcopy(CONFIG)
    later = {
        "from": "payments",
        "aggregate": "sum(paid) > 3",
        "within": "30 days",
        "where": None,
        "entity": {"id": "Who"},
    }
    config["training_set"] |= {"from": {"entities": "orders", "every": "7 days"}, "label": later, "row_features": {}}
    commits = copy.deepcopy(COMMITS)
    commits["payments", 2]["config"]["tables"]["payments"]["columns"]["who"] = "trim(payer)"
    commits["orders", 4]["config"]["tables"]["orders"]["columns"]["odd"] = "1"
    found = definitions(rows(config, commits), ["odd"])
    assert json.loads(found.pop("training_set.label"))["aggregate"] == "sum(paid) > 3"
    assert found == {
        "tables.orders.columns.at": "to_date(raw_at)",
        "tables.orders.columns.odd": "1",
        "tables.orders.columns.raw_at": "trim(raw_at)",
        "tables.orders.event_time": "at",
        "tables.payments.columns.paid": "cents / 100",
        "tables.payments.columns.who": "trim(payer)",
        "tables.payments.event_time": "paid_at",
        "tables.payments.types.cents": "int",
        "training_set.from": "orders",
    }
    oftener = copy.deepcopy(config)
    oftener["training_set"]["from"]["every"] = "1 day"
    assert changed(definitions(rows(config, commits), ["odd"]), rows(oftener, commits), ["odd"]) == []
    later["within"] = "60 days"
    assert [line[4:22] for line in changed(found, rows(config, commits), ["odd"])] == ["training_set.label"]


def test_without_a_label_features_and_times_are_what_there_is() -> None:
    config = copy.deepcopy(CONFIG)
    config["training_set"] |= {"task": "clustering", "label": None, "features": [], "row_features": {}}
    assert set(definitions(rows(config), ["odd"])) == {
        "tables.orders.columns.at",
        "tables.orders.columns.odd",
        "tables.orders.columns.raw_at",
        "tables.orders.event_time",
        "training_set.from",
        "training_set.task",
    }
    config["training_set"] |= {"task": None, "user": "customer", "item": "id", "rating": "odd + 1"}
    assert definitions(rows(config), ["customer", "id"])["training_set.rating"] == "odd + 1"
    assert "tables.orders.columns.odd" in definitions(rows(config), ["customer", "id"])
