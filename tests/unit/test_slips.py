"""Slips of a first user: each is told in words, where it stands, and hides none of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.config.reading import read_pipeline
from tests.unit.test_config_reading import CHURN, FLIGHTS, mistakes, written


def places(found: list[str]) -> list[str]:
    """`line path` of each mistake."""
    return [f"{line.split(':')[1]} {line.split(' ')[1].rstrip(':')}" for line in found]


def of_env(folder: Path, overlay: str) -> list[str]:
    written(folder / "env", overlay, "dev.yaml")
    return [m.removeprefix("env/dev.yaml:") for m in mistakes(written(folder, CHURN), env="dev")]


def test_a_mistake_in_a_list_neither_hides_nor_moves_the_others(tmp_path: Path) -> None:
    two = CHURN + "gates:\n  - {metric: f1}\n  - {metric: nope, at_least: 0.2}\n"
    assert places(mistakes(written(tmp_path, two))) == ["6 gates[0]", "7 gates[1].metric"]

    three = CHURN + "gates:\n  - {metric: f1}\n  - {at_most: 1}\n  - {metric: rmse, at_most: 2}\n"
    found = mistakes(written(tmp_path, three))
    assert places(found) == ["6 gates[0]", "7 gates[1]", "8 gates[2].metric"]
    assert "'rmse' is no metric of the task binary" in found[2]


def test_the_same_with_rules_and_aggregates(tmp_path: Path) -> None:
    text = """\
pipeline: churn
tables:
  calls:
    source: {format: csv, path: data/calls.csv}
    event_time: at
    rules:
      - {check: "a > 0"}
      - {name: sure, check: "a > 0", on_fail: wran}
      - {name: open, check: "a >"}
feature_tables:
  f:
    from: calls
    entity: a
    aggregates:
      - {column: b, functions: [mean]}
      - {column: c, functions: [mean], windows: [3 hours]}
      - {column: d, functions: [mean, meen], windows: [1 day]}
"""
    assert places(mistakes(written(tmp_path, text))) == [
        "7 tables.calls.rules[0]",
        "8 tables.calls.rules[1].on_fail",
        "9 tables.calls.rules[2].check",
        "15 feature_tables.f.aggregates[0].windows",
        "17 feature_tables.f.aggregates[2].functions[1]",
    ]


@pytest.mark.parametrize("wrong", ["2021", "20240101", "1.7e9", "true"])
def test_a_number_is_no_time(tmp_path: Path, wrong: str) -> None:
    found = mistakes(written(tmp_path, FLIGHTS.replace("2013-10-01", wrong)))
    assert len(found) == 1
    assert "training_set.split.train_until: " in found[0]
    assert "is no time; write 2013-12-01" in found[0]


@pytest.mark.parametrize("right", ["2013-10-01", '"2013-10-01"', '"20131001"', "2013-10-01 02:00:00+02:00"])
def test_dates_of_yaml_and_quoted_ones_are_times(tmp_path: Path, right: str) -> None:
    pipeline, _ = read_pipeline(written(tmp_path, FLIGHTS.replace("2013-10-01", right)))
    assert pipeline.training_set is not None
    assert str(pipeline.training_set.split.train_until) == "2013-10-01 00:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (CHURN.replace("key: customer_id", 'columns: {x: "1", X: "2"}'), "tables.customers.columns.X"),
        (CHURN.replace("key: customer_id", "types: {a: int, A: date}"), "tables.customers.types.A"),
        (CHURN.replace("key: customer_id", "describe: {a: one, A: two}"), "tables.customers.describe.A"),
        (CHURN.replace("label:", 'row_features: {r: "1", R: "2"}, label:'), "training_set.row_features.R"),
        (FLIGHTS.replace("entity: carrier", "entity: carrier\n    describe: {a: b, A: c}"), "delays.describe.A"),
    ],
)
def test_names_that_differ_in_case_only_stand_twice(tmp_path: Path, text: str, where: str) -> None:
    found = [line for line in mistakes(written(tmp_path, text)) if "stands twice: it differs from" in line]
    assert len(found) == 1
    assert f"{where}: " in found[0]


def test_settings_of_spark_may_differ_in_case_only(tmp_path: Path) -> None:
    text = CHURN + "spark: {spark.hadoop.a: 1, spark.hadoop.A: 2}\n"
    assert len(read_pipeline(written(tmp_path, text))[0].spark.application) == 2


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("${MLF:-${OTHER:-x}}/a.csv", "in ${MLF... stands another variable; a default is plain text"),
        ("/data/${X", "${X... is not closed"),
        ("${{X}}", "is not closed"),
        ("${PASS:-hunter2", "${PASS... is not closed"),
    ],
)
def test_variables_that_are_not_closed_or_stand_in_each_other(tmp_path: Path, path: str, says: str) -> None:
    found = mistakes(written(tmp_path, CHURN.replace("data/churn.csv", f'"{path}"')))
    assert len(found) == 1
    assert found[0].startswith("pipe.yaml:3:43 tables.customers.source.path: ")
    assert says in found[0]
    assert "hunter2" not in found[0]


def test_the_two_signs_themselves_can_be_written(tmp_path: Path) -> None:
    pipeline, _ = read_pipeline(written(tmp_path, CHURN.replace("'Yes'", "'$${ and $${x}'")))
    assert pipeline.training_set is not None
    assert pipeline.training_set.label == "churn = '${ and ${x}'"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"])
def test_an_overlay_may_be_empty(tmp_path: Path, text: str) -> None:
    written(tmp_path / "env", text, "dev.yaml")
    assert read_pipeline(written(tmp_path, CHURN), env="dev") == read_pipeline(written(tmp_path, CHURN))


def test_an_unknown_key_of_an_overlay_hides_nothing(tmp_path: Path) -> None:
    assert of_env(
        tmp_path, "werehouse: x\non_failure: {webhok: 'https://x'}\nspark: {spark.sql.shufle.partitions: 3}"
    ) == [
        "1:1 werehouse: unknown key 'werehouse'; allowed here: jars, master, metastore, mlflow, on_failure, prefix, "
        "spark, warehouse; did you mean 'warehouse'?",
        "2:14 on_failure.webhok: unknown key 'webhok'; allowed here: webhook; did you mean 'webhook'?",
        "3:9 spark[\"spark.sql.shufle.partitions\"]: Spark has no setting 'spark.sql.shufle.partitions'; did you mean "
        "'spark.sql.shuffle.partitions'?",
    ]


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("nope://user:hunter2@x", "the scheme 'nope' came"),
        ("/data/mlruns", "a path came; MLflow takes no folder of files"),
        ("file:///data/mlruns", "a path came; MLflow takes no folder of files"),
        ("localhost:5000", "the scheme 'localhost' came"),
    ],
)
def test_a_model_store_that_mlflow_does_not_know(tmp_path: Path, uri: str, says: str) -> None:
    found = of_env(tmp_path, f"mlflow: {uri}")
    assert says in found[-1]
    assert "sqlite, postgresql, mysql, mssql), or a server (http, https, databricks)" in found[-1]
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(
    "uri",
    [
        *("sqlite:////a/b.db", "postgresql+psycopg2://h/db", "http://h:5000", "databricks", "databricks://profile"),
        *('"${secret:MLF}"', '"${NOT_SET:-}"'),
    ],
)
def test_model_stores_of_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLF", "https://h")
    written(tmp_path / "env", f"mlflow: {uri}", "dev.yaml")
    assert read_pipeline(written(tmp_path, CHURN), env="dev")[1].mlflow is not None


def test_a_misspelt_table_in_a_flag_is_not_made(tmp_path: Path) -> None:
    file = written(tmp_path, CHURN)
    assert mistakes(file, sets=["tables.custmers.key=zip"]) == [
        "--set tables.custmers.key=zip: tables has no 'custmers'; did you mean 'customers'? (a new one is set as a "
        "whole: --set 'tables.custmers={...}')"
    ]
    made = read_pipeline(file, sets=["tables.custmers={source: {format: csv, path: /x}}"])[0]
    assert list(made.tables) == ["customers", "custmers"]


@pytest.mark.parametrize(
    ("flag", "application", "stage"),
    [
        ("spark.spark.sql.shuffle.partitions=5", {"spark.sql.shuffle.partitions": 5}, {}),
        ('spark."spark.sql.shuffle.partitions"=5', {"spark.sql.shuffle.partitions": 5}, {}),
        ("spark.stages.search.spark.sql.shuffle.partitions=5", {}, {"spark.sql.shuffle.partitions": 5}),
    ],
)
def test_settings_of_spark_by_flag(
    tmp_path: Path, flag: str, application: dict[str, int], stage: dict[str, int]
) -> None:
    spark = read_pipeline(written(tmp_path, CHURN), sets=[flag])[0].spark
    assert (spark.application, spark.of_stage("search")) == (application, stage)
