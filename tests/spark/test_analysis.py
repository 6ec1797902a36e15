"""`validate --data`: Spark's word on every expression, each mistake once and at its place."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from headrace.cli.analysing.expressions import analysed
from headrace.config.checks.headers import source_columns
from headrace.config.reading import placed
from headrace.config.types import Pipeline, Source
from headrace.ingest.files import listed
from headrace.ingest.reading import rows
from headrace.ingest.schemas import CORRUPT

VISITS = "person,at,known,amount,kind\n1,2024-01-01 00:00:00,2024-01-02 00:00:00,3,a\n2,2024-01-03 00:00:00,,x,b\n"
PEOPLE = "person,age\n1,30\n2,40\n"


@pytest.fixture
def base(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "visits.csv").write_text(VISITS)
    (tmp_path / "people.csv").write_text(PEOPLE)
    return {
        "pipeline": "shop",
        "tables": {
            "people": {"source": {"format": "csv", "path": str(tmp_path / "people.csv")}, "key": "person"},
            "visits": {
                "source": {"format": "csv", "path": str(tmp_path / "visits.csv")},
                "types": {"amount": "double"},
                "columns": {
                    "day": "date_trunc('day', at)",
                    "age": "(select max(p.age) from people p where p.age = amount)",
                    "twice": "amount * 2",
                },
                "key": ["person", "at"],
                "event_time": "at",
                "available_at": "known",
                "known_early": ["kind", "day"],
                "rules": [{"name": "known_person", "check": "person in (select person from people)"}],
            },
        },
        "feature_tables": {
            "spent": {
                "from": "visits",
                "entity": "person",
                "aggregates": [
                    {"column": "amount", "functions": ["sum", "mean"], "windows": "1 day", "where": "kind = 'a'"},
                    {"column": "*", "functions": "count", "windows": "1 day"},
                ],
            },
            "person": {"from": "people", "entity": "person", "lookup": ["age"]},
        },
        "training_set": {
            "from": "visits",
            "label": "twice > 3",
            "predict_at": "at - interval 1 hour",
            "features": ["spent", "person"],
            "row_features": {"hour_of": "hour(at)", "later": "hour_of + spent__count_1d"},
        },
        "gates": [{"metric": "f1", "at_least": 0.1, "slice": "kind"}],
    }


def found(spark: SparkSession, base: dict[str, Any], changes: dict[str, Any]) -> list[tuple[str, str]]:
    data = copy.deepcopy(base)
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        node: Any = data
        for parent in parents:
            node = node[parent]
        node[last] = value
    return analysed(spark, Pipeline.model_validate(data))


def test_what_is_right_and_nothing_is_left_behind(spark: SparkSession, base: dict[str, Any]) -> None:
    assert found(spark, base, {}) == []
    assert [table.name for table in spark.catalog.listTables() if table.name in ("people", "visits")] == []


def test_every_mistake_once_and_nothing_that_follows_from_another(spark: SparkSession, base: dict[str, Any]) -> None:
    changes = {
        "tables.visits.columns.day": "date_trunk('day', at)",
        "tables.visits.columns.twice": "amout * 2",
        "tables.visits.rules": [
            {"name": "a", "check": "amount + 1"},
            {"name": "b", "check": "day is not null"},
            {"name": "c", "check": "person in (select persn from people)"},
        ],
        "feature_tables.spent.aggregates": [
            {"column": "kind", "functions": "mean", "windows": "1 day"},
            {"column": "amount", "functions": "sum", "windows": "1 day", "where": "kind > array(1)"},
        ],
        "training_set.label": "amount > interval 1 day",
        "training_set.predict_at": "array(at)",
        "training_set.row_features": {"later": "spent__amount_sum_1d + 1"},
    }

    mistakes = found(spark, base, changes)

    assert [where for where, _ in mistakes] == [
        "tables.visits.columns.day",
        "tables.visits.columns.twice",
        "tables.visits.rules[0].check",
        "tables.visits.rules[2].check",
        "feature_tables.spent.aggregates[0].column",
        "feature_tables.spent.aggregates[1].where",
        "training_set.label",
        "training_set.predict_at",
    ]
    told = [message for _, message in mistakes]
    assert told[0] == "there is no function 'date_trunk'"
    assert told[1].startswith("no column is called 'amout'; did you mean 'amount'")
    assert "DATATYPE_MISMATCH" in told[2]
    assert told[3].startswith("no column is called 'persn'; did you mean")
    assert "mean needs a number" in told[4]
    assert all(len(message) < 450 and "\n" not in message for message in told)


def test_features_that_are_named_are_there(spark: SparkSession, base: dict[str, Any]) -> None:
    changes = {
        "training_set.leakage": {"allow": {"knd": "known before"}},
        "search": {"preparation": {"columns": {"hour": {"curve": "log"}}, "interactions": [["kind", "nope"]]}},
    }
    mistakes = found(spark, base, changes)
    assert [where for where, _ in mistakes] == [
        "training_set.leakage.allow.knd",
        "search.preparation.columns.hour",
        "search.preparation.interactions[0]",
    ]
    assert "did you mean 'kind'?" in mistakes[0][1]
    assert "did you mean 'hour_of'?" in mistakes[1][1]


def test_topics_are_of_texts(spark: SparkSession, base: dict[str, Any]) -> None:
    plain = {"from": "visits", "task": "topics", "features": ["spent"]}
    assert found(spark, base, {"training_set": {**plain, "texts": "kind"}, "gates": []}) == []
    wrong = found(spark, base, {"training_set": {**plain, "texts": ["spent__count_1d", "knid", "kind"]}, "gates": []})
    assert [where for where, _ in wrong] == ["training_set.texts[0]", "training_set.texts[1]"]
    assert "'spent__count_1d' is bigint, and topics are of words; features of text: kind" in wrong[0][1]
    ((where, message),) = found(spark, base, {"training_set": plain, "gates": []})
    assert where == "training_set.texts"
    assert "'spent__count_1d' is bigint; name those that are to be read, as [kind]" in message


def test_row_features_and_entities(spark: SparkSession, base: dict[str, Any]) -> None:
    changes = {
        "training_set.row_features": {
            "a": "hour(array(kind))",
            "b": "a + 1",
            "c": "spent__count_1d + nothing",
            "d": "1",
        },
        "feature_tables.person": {"from": "people", "entity": "age", "lookup": ["person"]},
        "gates.0.slice": "amount",
    }

    mistakes = found(spark, base, changes)

    assert [where for where, _ in mistakes] == [
        "training_set.features[1]",
        "training_set.row_features.a",
        "training_set.row_features.c",
    ]
    assert "'age' is not there" in mistakes[0][1]
    assert "no column is called 'nothing'" in mistakes[2][1]
    assert [where for where, _ in found(spark, base, {"gates.0.slice": "amount"})] == ["gates[0].slice"]


def test_a_source_that_is_not_there(spark: SparkSession, base: dict[str, Any], tmp_path: Path) -> None:
    mistakes = found(spark, base, {"tables.people.source.path": str(tmp_path / "none.csv")})

    assert [where for where, _ in mistakes] == ["tables.people.source"]


HEADERS: list[tuple[str, dict[str, Any]]] = [
    ("A,B c,,a\n1,2,3,4\n", {}),
    ("a;A;'b;c'\n1;2;3\n", {"sep": ";", "quote": "'"}),
    ("\n# note\nx\ty\n1\t2\n", {"delimiter": "\\t", "comment": "#"}),
    ("\ufeffa,b\n1,2\n", {}),
    ('"a ""b""",c\n1,2\n', {}),
    ("NA,b, c \n1,2,3\n", {"nullValue": "NA"}),
    ("1,2\n", {"header": False}),
]


@pytest.mark.parametrize(("content", "options"), HEADERS)
def test_headers_are_read_as_spark_reads_them(
    spark: SparkSession, tmp_path: Path, content: str, options: dict[str, Any]
) -> None:
    (tmp_path / "x.csv").write_text(content)
    source = Source(format="csv", path=str(tmp_path / "x.csv"), options=options)
    frame = rows(spark, "csv", {k: str(v) for k, v in options.items()}, listed(spark, source.path))

    assert frame is not None
    technical = (CORRUPT, "_source", "_source_version")
    assert source_columns(source) in (None, tuple(c for c in frame.columns if c not in technical))


def test_places_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("pipeline: x\ntables:\n  t:\n    columns: {a: 'b + 1'}\n    key: id\n")

    told = placed(
        file,
        ["tables.t.columns.z=1"],
        [("tables.t.key[0]", "k"), ("tables.t.columns.a", "c"), ("tables.t.columns.z", "z")],
    )

    assert [str(one) for one in told] == [
        "--set tables.t.columns.z=1: tables.t.columns.z: z",
        f"{file}:4:18 tables.t.columns.a: c",
        f"{file}:5:10 tables.t.key: k",
    ]


def test_a_label_over_later_events_of_entities_on_a_grid(spark: SparkSession, base: dict[str, Any]) -> None:
    label = {"from": "visits", "aggregate": "sum(amount) > 1", "within": "3 days", "where": "kind = 'a'"}
    base["training_set"] = {"from": {"entities": "people", "every": "1 day", "since": "2024-01-01"}, "label": label}
    base["gates"] = []
    assert found(spark, base, {}) == []
    wrong = {"training_set.label.aggregate": "sum(kind)", "training_set.label.where": "upr(kind) = 'a'"}
    mistakes = found(spark, base, wrong)
    assert [where for where, _ in mistakes] == ["training_set.label.aggregate", "training_set.label.where"]
    assert "sum needs a number" in mistakes[0][1]
    assert mistakes[1][1] == "there is no function 'upr'"
    around = found(spark, base, {"training_set.label.aggregate": "count(*) > interval 1 day"})
    assert [where for where, _ in around] == ["training_set.label.aggregate"]
