"""What one section of a pipeline says of another."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from headrace.config.checks.references import check
from headrace.config.types import Pipeline

BASE: dict[str, Any] = {
    "pipeline": "flights",
    "tables": {
        "flights": {
            "source": {"format": "csv", "path": "/f.csv"},
            "columns": {"departs_at": "make_timestamp(y, m, d, 0, 0, 0)"},
            "key": ["carrier", "departs_at"],
            "event_time": "departs_at",
            "available_at": "arrived_at",
            "known_early": ["carrier", "origin", "dest"],
            "rules": [{"name": "dest", "check": "dest in (select faa from airports)"}],
        },
        "airports": {"source": {"format": "csv", "path": "/a.csv"}, "key": "faa"},
        "weather": {"source": {"format": "csv", "path": "/w.csv"}, "event_time": "at"},
    },
    "feature_tables": {
        "delays": {
            "from": "flights",
            "entity": "carrier",
            "aggregates": [{"column": "arr_delay", "functions": ["mean", "p90"], "windows": ["1 day"]}],
        },
        "now": {"from": "weather", "entity": "origin", "latest": ["temp"], "max_age": "3 hours"},
        "places": {"from": "airports", "entity": "dest", "lookup": ["lat"]},
    },
    "training_set": {
        "from": "flights",
        "predict_at": "departs_at - interval 2 hours",
        "label": "arr_delay >= 15",
        "task": "binary",
        "features": ["delays", "now", "places"],
        "row_features": {"warm": "now__temp > 20"},
    },
}


def found(changes: dict[str, Any], base: dict[str, Any] = BASE) -> list[tuple[str, str]]:
    """Mistakes of the base with values put at dotted paths; None removes."""
    data = copy.deepcopy(base)
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        node: Any = data
        for parent in parents:
            node = node.setdefault(parent, {}) if isinstance(node, dict) else node[parent]
        if value is None:
            del node[last]
        else:
            node[last] = value
    return check(Pipeline.model_validate(data))


def test_the_base_is_right() -> None:
    assert found({}) == []


def test_every_function_may_stand_with_one_window_or_two() -> None:
    functions = ["mode", "trend", "since_last", "approx_distinct", "p05"]
    assert found({f"{AGGREGATE}.functions": functions, f"{AGGREGATE}.windows": ["1 day", "1 day / 7 days"]}) == []
    assert found({f"{AGGREGATE}.column": "*", f"{AGGREGATE}.functions": ["count", "since_last"]}) == []


AGGREGATE = "feature_tables.delays.aggregates.0"


@pytest.mark.parametrize(
    ("changes", "where", "says"),
    [
        ({"training_set.from": "flight"}, "training_set.from", "did you mean 'flights'?"),
        ({"training_set.features": ["delay", "now"]}, "training_set.features[0]", "did you mean 'delays'?"),
        ({"feature_tables.now.from": "wether"}, "feature_tables.now.from", "did you mean 'weather'?"),
        ({"training_set.features": ["now", "NOW"]}, "training_set.features", "stands twice"),
        ({f"{AGGREGATE}.functions": ["men"]}, "feature_tables.delays.aggregates[0].functions[0]", "mean 'mean'?"),
        ({f"{AGGREGATE}.functions": ["p00"]}, "feature_tables.delays.aggregates[0].functions[0]", "p01 ... p99"),
        ({f"{AGGREGATE}.functions": ["p100"]}, "feature_tables.delays.aggregates[0].functions[0]", "p01 ... p99"),
        (
            {f"{AGGREGATE}.column": "*", f"{AGGREGATE}.functions": ["mean"]},
            "feature_tables.delays.aggregates[0].functions[0]",
            "have only count and since_last",
        ),
        (
            {f"{AGGREGATE}.windows": ["1 day / 7 days", "24 hours / 7 days", "1 day/1 week", "1 day / 7 days "]},
            "feature_tables.delays",
            "'arr_delay_mean_1d_per_7d' stands twice",
        ),
        ({f"{AGGREGATE}.where": "a >"}, "feature_tables.delays.aggregates[0].where", "no SQL expression"),
        ({f"{AGGREGATE}.windows": ["1 day", "day"]}, "feature_tables.delays", "'arr_delay_mean_1d' stands twice"),
        ({"tables.weather.event_time": None}, "feature_tables.now", "needs a clock"),
        ({"tables.raw_x": BASE["tables"]["airports"]}, "tables.raw_x", "Headrace uses itself"),
        ({"tables.x_quarantine": BASE["tables"]["airports"]}, "tables.x_quarantine", "Headrace uses itself"),
        ({"tables.training_set": BASE["tables"]["airports"]}, "tables.training_set", "Headrace uses itself"),
        ({"feature_tables.runs": BASE["feature_tables"]["now"]}, "feature_tables.runs", "Headrace uses itself"),
        ({"feature_tables.weather": BASE["feature_tables"]["now"]}, "feature_tables.weather", "a table is called"),
        ({"tables.weather.known_early": ["x"]}, "tables.weather.known_early", "no effect without available_at"),
        ({"tables.weather.key": ["a", "A"]}, "tables.weather.key", "stands twice"),
        ({"tables.weather.columns": {"ab": "x +"}}, "tables.weather.columns.ab", "ends with '+'"),
        ({"tables.flights.rules.0.check": "(dest"}, "tables.flights.rules[0].check", "never closed"),
        ({"tables.flights.rules.0.check": "a in (select b from c)"}, "tables.flights.rules[0].check", "no table"),
        ({"training_set.label": "arr_delay >="}, "training_set.label", "ends with '>='"),
        ({"training_set.predict_at": "- interval )"}, "training_set.predict_at", "closes nothing"),
        ({"training_set.row_features": {"x": "'a"}}, "training_set.row_features.x", "never closed"),
        ({"training_set.row_features": {"dest": "1"}}, "training_set.row_features.dest", "known early"),
        ({"training_set.row_features": {"now__temp": "1"}}, "training_set.row_features.now__temp", "a feature of now"),
        ({"training_set.row_features": {"label": "1"}}, "training_set.row_features.label", "every training set"),
        ({"search.estimators": ["xgbost"]}, "search.estimators[0]", "did you mean 'xgboost'?"),
        (
            {"search.estimators": [{"name": "xgboost", "space": {"dept": {"uniformint": [2, 4]}}}]},
            "search.estimators[0].space",
            "did you mean 'depth'?",
        ),
        (
            {"search.estimators": [{"name": "xgboost", "first": {"dept": 3}}]},
            "search.estimators[0].first",
            "xgboost has no 'dept'",
        ),
        ({"search.points": [{"depth": 3}]}, "search.points[0]", "there is no `estimator`"),
        ({"search.points": [{"estimator": "kmean"}]}, "search.points[0]", "'kmean' is none; allowed: xgboost"),
        ({"search.points": [{"estimator": "gbt", "dept": 3}]}, "search.points[0]", "gbt has no 'dept'"),
        (
            {
                "search.estimators": [{"name": "gbt", "space": {"depth": {"uniformint": [2, 4]}}}],
                "search.points": [{"estimator": "gbt", "depth": 9}],
            },
            "search.points[0]",
            "outside of its space",
        ),
        (
            {
                "search.estimators": [{"name": "gbt", "params": {"depth": 3}}],
                "search.points": [{"estimator": "gbt", "depth": 9}],
            },
            "search.points[0]",
            "gbt has no 'depth'; allowed: trees, learning_rate",
        ),
        ({"search.estimators": ["linear_regression"]}, "search.estimators[0]", "the task binary"),
        ({"search.metric": "rmse"}, "search.metric", "the task binary"),
        ({"gates": [{"metric": "areaUnderRoc", "at_least": 0.7}]}, "gates[0].metric", "mean 'areaUnderROC'?"),
        (
            {"search.metric": "f1", "training_set.task": None, "gates": [{"metric": "rmse", "at_most": 1}]},
            "gates[0].metric",
            "no metric of the task binary",
        ),
        (
            {
                "search.metric": "f1",
                "training_set.task": None,
                "training_set.label": "arr_delay",
                "gates": [{"metric": "rmse", "at_most": 1}],
            },
            "gates[0].metric",
            "no metric of the task that has 'f1'",
        ),
        (
            {"search.metric": "rmse", "training_set.task": "regression"},
            "training_set.task",
            "the label is true or false",
        ),
        ({"tables.weather.types": {"at": "timestmp"}}, "tables.weather.types.at", "did you mean 'timestamp'?"),
        ({"tables.weather.types": {"at": "int) or (1=1"}}, "tables.weather.types.at", "is no type"),
        ({"tables.weather.source.path": "/x\0y"}, "tables.weather.source.path", "control characters"),
        ({"scoring.model": "x; drop"}, "scoring.model", "write `champion`"),
        ({"feature_tables.now.from": "delays"}, "feature_tables.now.from", "'delays' is a feature table"),
        ({"training_set.label": "arr_delay > (select max(x) from weather)"}, "training_set.label", "cannot stand here"),
        (
            {f"{AGGREGATE}.where": "a in (select b from weather)"},
            "feature_tables.delays.aggregates[0].where",
            "cannot stand here",
        ),
        ({"scoring.output": "weather"}, "scoring.output", "a table is called"),
        ({"scoring.output": "runs"}, "scoring.output", "Headrace uses itself"),
    ],
)
def test_mistakes(changes: dict[str, Any], where: str, says: str) -> None:
    all_found = found(changes)

    assert [place for place, _ in all_found] == [where] * len(all_found)
    assert all_found
    assert says in all_found[0][1]


def test_a_split_by_time_needs_a_time() -> None:
    split = {"by": "time", "train_until": "2013-01-01", "validation_until": "2013-02-01", "test_until": "2013-03-01"}
    changes = {"training_set.split": split, "training_set.predict_at": None, "training_set.from": "airports"}

    assert "training_set.split" in [where for where, _ in found(changes)]
    assert "training_set.split" not in [where for where, _ in found({"training_set.split": split})]


def test_tables_that_wait_for_each_other() -> None:
    changes = {"tables.airports.columns": {"n": "(select count(*) from flights where dest = faa)"}}

    assert found(changes) == [
        (
            "tables.flights.rules[0].check",
            "tables wait for each other: flights -> airports -> flights; break the circle",
        )
    ]


LATE: dict[str, Any] = {"tables.flights.available_at": None, "tables.flights.known_early": None}


def test_a_lookup_would_tell_the_label() -> None:
    lookup = {"from": "flights", "entity": ["carrier"], "lookup": ["arr_delay", "late"]}
    changes = {"feature_tables.again": lookup, "tables.flights.columns.late": "arr_delay > 15"}

    assert [(where, "a lookup knows no time" in text) for where, text in found(changes)] == [
        ("feature_tables.again.lookup[0]", True),
        ("feature_tables.again.lookup[1]", True),
    ]


@pytest.mark.parametrize(
    ("changes", "leaks"),
    [
        ({}, True),
        ({"training_set.label": "late", "tables.flights.columns.late": "arr_delay > 15"}, True),
        ({f"{AGGREGATE}.column": "late", "tables.flights.columns.late": "arr_delay > 15"}, True),
        ({f"{AGGREGATE}.column": "dep_delay", f"{AGGREGATE}.where": "arr_delay > 3"}, True),
        ({f"{AGGREGATE}.column": "dep_delay"}, False),
        ({"training_set.label": "cancelled"}, False),
    ],
)
def test_aggregates_that_would_tell_the_label(changes: dict[str, Any], leaks: bool) -> None:
    places = [where for where, message in found({**LATE, **changes}) if "has no available_at" in message]

    assert bool(places) == leaks
    assert all(where.startswith("feature_tables.delays.aggregates[0]") for where in places)


def test_a_second_table_of_the_same_source_tells_the_label_too() -> None:
    other = {"source": {"format": "csv", "path": "/f.csv"}, "event_time": "departs_at"}
    changes = {"tables.again": other, "feature_tables.delays.from": "again"}

    assert [where for where, _ in found(changes)] == ["feature_tables.delays.aggregates[0].column"]
    assert found({**changes, "tables.again.source.path": "/g.csv"}) == []
    assert found({**changes, "tables.again.available_at": "arrived_at"}) == []


@pytest.mark.parametrize(
    ("changes", "where", "says"),
    [
        ({"tables.weather.source.format": "cvs"}, "tables.weather.source.format", "did you mean 'csv'?"),
        ({"tables.weather.source.format": "orcc"}, "tables.weather.source.format", "did you mean 'orc'?"),
        ({"tables.weather.source.format": "tsv"}, "tables.weather.source.format", "`format: csv` with"),
        (
            {"tables.weather.source.options": {"Header": "yes"}},
            "tables.weather.source.options.Header",
            "'yes' came; write true or false",
        ),
        (
            {"tables.weather.source.options": {"encoding": "latin-9000"}},
            "tables.weather.source.options.encoding",
            "'latin-9000' is no encoding; write UTF-8, windows-1252",
        ),
        (
            {"tables.weather.source.options": {"dateFormat": "dd.MM.yyyy"}},
            "tables.weather.source.options.dateFormat",
            'it does nothing: columns of CSV are text until they are cast. Write columns: {day: "to_date(',
        ),
        ({"tables.weather.source.options": {"sep": [","]}}, "tables.weather.source.options.sep", "a list came"),
        ({"tables.weather.source.options": {"x.y": {}}}, 'tables.weather.source.options["x.y"]', "a mapping came"),
        ({"feature_tables.places.entity": []}, "feature_tables.places.entity", "the list is empty"),
        (
            {"feature_tables.delays.aggregates.0.functions": []},
            "feature_tables.delays.aggregates[0].functions",
            "the list is empty",
        ),
        (
            {"feature_tables.delays.aggregates.0.windows": []},
            "feature_tables.delays.aggregates[0].windows",
            "the list is empty",
        ),
        ({"scoring.model": "champoin"}, "scoring.model", "did you mean 'champion'?"),
        (
            {"tables.flights.known_early": ["carrier", "origin", "dest", "split"]},
            "training_set.from",
            "named split, which",
        ),
    ],
)
def test_a_single_value_that_cannot_be(changes: dict[str, Any], where: str, says: str) -> None:
    mistakes = found(changes)

    assert [place for place, _ in mistakes] == [where]
    assert says in mistakes[0][1]


@pytest.mark.parametrize(
    "source",
    [
        {"format": "geojson"},
        {"format": "CSV", "options": {"header": True, "multiLine": "FALSE", "nullValue": "yes", "sep": 1}},
        {"format": "com.shop.reader", "options": {"header": "yes"}},
        {"format": "xlsx", "options": {"header": "yes"}},
        {"format": "csv", "options": {"header": None}},
    ],
)
def test_nothing_is_said_of_formats_and_options_that_may_be_right(source: dict[str, Any]) -> None:
    assert found({"tables.weather.source": {"path": "/w.csv", **source}}) == []


@pytest.mark.parametrize(
    ("function", "meant"),
    [
        ("median", "p50"), ("avg", "mean"), ("average", "mean"), ("std", "stddev"), ("nunique", "distinct"),
        ("count_distinct", "distinct"),
    ],
)  # fmt: skip
def test_functions_by_the_names_of_other_tools(function: str, meant: str) -> None:
    [(_, message)] = found({"feature_tables.delays.aggregates.0.functions": [function]})

    assert message.endswith(f"; did you mean {meant!r}?")


@pytest.mark.parametrize("key", ["max_evals", "parallelism", "seed", "max_categories"])
def test_true_is_no_number(key: str) -> None:
    with pytest.raises(ValueError, match="valid integer"):
        found({f"search.{key}": True})
