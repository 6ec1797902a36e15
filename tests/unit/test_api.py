"""The door for Python code, as far as it needs no Spark."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.api import session
from headrace.api.pipeline import Result, moment
from headrace.cli.running import Request, check
from headrace.config.types import Environment, Pipeline
from headrace.errors import ConfigError
from headrace.runtime import launch, settings

JUNE = datetime(2024, 6, 1, tzinfo=UTC)


def test_nothing_heavy_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, headrace; headrace.ConfigError; headrace.Pipeline; "
        "print([m for m in ('pyspark', 'pandas', 'mlflow') if m in sys.modules])"
    )
    path = os.pathsep.join(sys.path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": path})
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_plan_needs_neither_pandas_nor_a_jvm(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,label\n1,yes\n")
    (tmp_path / "p.yaml").write_text(
        "pipeline: p\ntables: {t: {source: {format: csv, path: t.csv}, key: id}}\ntraining_set: {from: t, label: label}\n"
    )
    code = (
        "import sys, headrace; steps = headrace.Pipeline.from_yaml('p.yaml').plan(to='training_set'); "
        "print([(step.step, step.decision) for step in steps]); "
        "print([m for m in ('pandas', 'mlflow', 'pyspark.ml') if m in sys.modules])"
    )
    env = {"PYTHONPATH": os.pathsep.join(sys.path), "HEADRACE_HOME": str(tmp_path / "home"), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=env)
    expected = [("ingest:t", "run"), ("validate:t", "run"), ("clean:t", "run"), ("training_set", "run")]
    expected.append(("training_set:leakage", "run"))
    assert done.stdout.splitlines() == [str(expected), "[]"], done.stderr
    assert not (tmp_path / "home").exists()


def test_all_that_is_offered_is_there() -> None:
    assert set(headrace.__all__) <= set(dir(headrace))
    with pytest.raises(AttributeError, match="nothing"):
        headrace.nothing  # noqa: B018 - asking is the test


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (None, None),
        ("2024-06-01", JUNE),
        ("2024-06-01T02:00:00+02:00", JUNE),
        (date(2024, 6, 1), JUNE),
        (datetime(2024, 6, 1), JUNE),
        (datetime(2024, 6, 1, 2, tzinfo=timezone(timedelta(hours=2))), JUNE),
    ],
)
def test_times_of_arguments_are_utc(given: Any, meant: datetime | None) -> None:
    assert moment("since", given) == meant


def test_a_time_that_is_none_is_told_with_its_argument() -> None:
    with pytest.raises(ConfigError, match=r"since='June' is no time; write 2013-12-01"):
        moment("since", "June")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request(job="pipelin"), "there is no job 'pipelin'; there are ingest, clean"),
        (Request(sample="much"), "--sample much"),
        (Request(sample="0%"), "--sample 0%"),
        (Request(sample="0.05"), r"a share of 1, or percent\? Write 5%, or 0.05% if that is meant"),
        (Request(since=JUNE, until=JUNE), "the window would be empty"),
    ],
)
def test_requests_that_cannot_be_are_refused(request_: Request, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check(request_)


@pytest.mark.parametrize("sample", ["5%", "5", "100", "0.05%", "0.1"])
def test_samples(sample: str) -> None:
    check(Request(sample=sample))


def test_a_result_is_the_summary() -> None:
    content = {"run_id": "r", "pipeline": "p", "stages": [{"name": "ingest"}], "model": None, "metrics": {}}
    assert Result.of(content) == Result("r", "p", ({"name": "ingest"},), None, {})


class Conf:
    """Settings of a session that is not there."""

    def __init__(self, **found: str) -> None:
        self.conf = self
        self.found = found

    def get(self, key: str, default: str) -> str:
        return self.found.get(key, default)


def test_a_session_without_delta_is_refused_with_ways_out() -> None:
    others = Conf(**{settings.EXTENSIONS: "org.other.Extensions"})
    for spark in (Conf(), others):
        with pytest.raises(ConfigError, match="no Delta Lake") as refused:
            session.with_delta(spark)  # type: ignore[arg-type]
        assert "./spark-submit.sh" in refused.value.message
        assert "delta-spark_4.2_2.13-4.4.0.jar" in refused.value.message
    both = Conf(
        **{**settings.DELTA, settings.EXTENSIONS: f"org.other.Extensions,{settings.DELTA[settings.EXTENSIONS]}"}
    )
    assert session.with_delta(both) is both  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [None, "--master local[2] --conf spark.a='x y' --driver-memory 1g pyspark-shell"])
def test_a_new_session_starts_as_jobs_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str | None) -> None:
    asked: list[launch.Wishes] = []

    def prepare(home: Path, wishes: launch.Wishes) -> launch.Launch:
        asked.append(wishes)
        env = {"JAVA_HOME": "/java", "HEADRACE_HOME": str(home), "SECRET": "mine"}
        return launch.Launch(Path("/spark"), Path("/my home/spark.conf"), env)

    monkeypatch.setattr(launch, "prepare", prepare)
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", "/old")
    monkeypatch.delenv(session.ARGUMENTS, raising=False)
    if given:
        monkeypatch.setenv(session.ARGUMENTS, given)
    pipeline = Pipeline.model_validate(
        {"pipeline": "p", "tables": {"t": {"source": {"format": "csv", "path": "t.csv"}}}, "spark": {"spark.x": 1}}
    )
    with session.prepared(pipeline, Environment(master="yarn")):
        words = os.environ[session.ARGUMENTS]
    assert words.startswith("--properties-file '/my home/spark.conf'")
    assert words.endswith("pyspark-shell")
    assert ("--conf 'spark.a=x y'" in words, "--driver-memory 1g" in words) == (bool(given), bool(given))
    assert os.environ.get(session.ARGUMENTS) == given
    assert (os.environ["JAVA_HOME"], os.environ["HEADRACE_HOME"], "SECRET" in os.environ) == (
        "/java",
        str(tmp_path),
        False,
    )
    wishes = asked[0]
    assert (wishes.pipeline, wishes.environment["spark.master"]) == ({"spark.x": 1}, "yarn")
    assert (wishes.user.get("spark.master"), wishes.archive) == ("local[2]" if given else None, False)


def test_without_java_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(home: Path, wishes: launch.Wishes) -> launch.Launch:
        raise ConfigError("Spark needs Java")

    monkeypatch.setattr(launch, "prepare", prepare)
    monkeypatch.delenv(session.ARGUMENTS, raising=False)
    with pytest.raises(ConfigError, match="needs Java"), session.prepared(None, None):
        pass
    assert session.ARGUMENTS not in os.environ
