"""Settings of Spark in the YAML: misspelt ones, those that Headrace sets, those of one stage."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from headrace.config.checks.spark_names import is_known, known
from headrace.config.reading import read_pipeline
from headrace.config.spark_types import Stage
from headrace.runtime.settings import held
from headrace.runtime.step import STAGES
from tests.unit.test_config_reading import CHURN, mistakes, written


def test_the_stages_are_those_of_the_flow() -> None:
    assert get_args(Stage) == STAGES


def test_each_mistake_has_its_place_and_a_suggestion(tmp_path: Path) -> None:
    text = CHURN + (
        "spark:\n"
        "  spark.sql.shuffel.partitions: 8\n"
        "  sql.shuffle.partitions: 8\n"
        "  spark.sql.ansi.enabled: false\n"
        "  spark.executor.memory: [8g]\n"
        "  stages:\n"
        "    search: {spark.executor.memory: 8g, spark.sql.shuffle.partitions: 4, spark.hadoop.fs.s3a.x: 1}\n"
        "    serch: {}\n"
    )

    assert mistakes(written(tmp_path, text)) == [
        "pipe.yaml:6:3 spark[\"spark.sql.shuffel.partitions\"]: Spark has no setting 'spark.sql.shuffel.partitions'; "
        "did you mean 'spark.sql.shuffle.partitions'?",
        "pipe.yaml:7:3 spark[\"sql.shuffle.partitions\"]: 'sql.shuffle.partitions' is no setting of Spark: their "
        "names begin with `spark.`; did you mean 'spark.sql.shuffle.partitions'?",
        'pipe.yaml:8:3 spark["spark.sql.ansi.enabled"]: spark.sql.ansi.enabled is set by Headrace itself: SQL means '
        "the same everywhere; leave it out",
        'pipe.yaml:9:26 spark["spark.executor.memory"]: a setting is text, a number, true or false; a list came',
        'pipe.yaml:11:14 spark.stages.search["spark.executor.memory"]: spark.executor.memory is read when Spark '
        "starts, and cannot change for one stage; put it directly under `spark`",
        'pipe.yaml:11:74 spark.stages.search["spark.hadoop.fs.s3a.x"]: spark.hadoop.fs.s3a.x is read when Spark '
        "starts, and cannot change for one stage; put it directly under `spark`",
        "pipe.yaml:12:5 spark.stages.serch: 'serch' is not one of ingest, validate, clean, features, training_set, "
        "search, evaluate, register, score, monitor; did you mean 'search'?",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "spark.master",
        "spark.executor.memoryOverhead",
        "spark.jars.packages",
        "spark.shuffle.io.maxRetries",
        "spark.sql.hive.metastore.version",
        "spark.databricks.delta.optimize.maxFileSize",
        "spark.kubernetes.driver.label.team",
        "spark.hadoop.fs.s3a.endpoint",
        "spark.openlineage.transport.type",
        "spark.python.worker.memory",
        "spark.python.profile",
        "spark.python.profile.dump",
        "spark.python.profile.memory",
        "spark.security.credentials.hive.enabled",
        "spark.security.credentials.hbase.enabled",
    ],
)
def test_settings_of_spark_delta_and_plugins_are_known(name: str) -> None:
    assert is_known(name)


@pytest.mark.parametrize(
    "name",
    [
        "spark.sqll.shuffle.partitions",
        "spark.executer.memory",
        "spark.x",
        "spark.hadoop.",
        "spark.security.credentials.hive.enabeld",
    ],
)
def test_misspelt_groups_are_no_plugins(name: str) -> None:
    assert not is_known(name)


def test_the_packaged_list_tells_what_can_be_set_while_spark_runs() -> None:
    assert len(known()) > 2000
    assert known()["spark.sql.shuffle.partitions"]
    assert not known()["spark.executor.memory"]


def test_settings_of_an_overlay_are_checked_and_may_be_by_stage(tmp_path: Path) -> None:
    file = written(tmp_path, CHURN)
    written(tmp_path / "env", "spark: {spark.sql.shufle.partitions: 8}", "wrong.yaml")
    overlay = "spark: {spark.executor.memory: 8g, stages: {score: {spark.sql.shuffle.partitions: 9}}}"
    written(tmp_path / "env", overlay, "right.yaml")

    assert mistakes(file, env="wrong") == [
        "env/wrong.yaml:1:9 spark[\"spark.sql.shufle.partitions\"]: Spark has no setting 'spark.sql.shufle.partitions'; "
        "did you mean 'spark.sql.shuffle.partitions'?"
    ]
    found = read_pipeline(file, env="right")[1].spark
    assert (found.application, found.stages) == (
        {"spark.executor.memory": "8g"},
        {"score": {"spark.sql.shuffle.partitions": 9}},
    )


def test_an_overlay_says_where_things_are_never_what_is_computed(tmp_path: Path) -> None:
    file = written(tmp_path, CHURN)
    written(tmp_path / "env", "{prefix: dev_, search: {max_evals: 1}, tables: {}, werehouse: /x}", "dev.yaml")

    told = "says what is computed, and an overlay (--env) only where things are: put it into the pipeline's file, or "
    assert mistakes(file, env="dev") == [
        f"env/dev.yaml:1:16 search: 'search' {told}change it for one run by --set search... (which is recorded)",
        f"env/dev.yaml:1:40 tables: 'tables' {told}change it for one run by --set tables... (which is recorded)",
        "env/dev.yaml:1:52 werehouse: unknown key 'werehouse'; allowed here: jars, master, metastore, mlflow, "
        "on_failure, prefix, spark, warehouse; did you mean 'warehouse'?",
    ]


class Conf(dict):
    """A session's settings."""

    def set(self, key: str, value: str) -> None:
        self[key] = value

    def unset(self, key: str) -> None:
        del self[key]


def test_settings_of_a_stage_are_held_and_put_back_also_after_an_error() -> None:
    class Session:
        conf = Conf({"spark.a": "1"})

    def step() -> None:
        with held(Session, {"spark.a": 2, "spark.b": True}):  # type: ignore[arg-type]
            assert Session.conf == {"spark.a": "2", "spark.b": "true"}
            raise ValueError("step")

    with pytest.raises(ValueError, match="step"):
        step()

    assert Session.conf == {"spark.a": "1"}
