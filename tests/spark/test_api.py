"""Headrace from Python: one pipeline on a small sample of the flights, and all that can be asked of it."""

from __future__ import annotations

import doctest
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import headrace
from headrace.api.pipeline import Result
from headrace.api.session import steady
from headrace.engine.point_in_time import point_in_time_join
from headrace.engine.windows import window_features
from tests.conftest import PROJECT
from tests.support.flights import KEPT, SMALL, sample


@pytest.fixture(scope="module")
def flights(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[headrace.Pipeline]:
    folder = tmp_path_factory.mktemp("python")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADRACE_HOME", str(folder / "home"))
        yield headrace.Pipeline.from_yaml(sample(folder, 1_500), sets=SMALL)


@pytest.fixture(scope="module")
def ran(flights: headrace.Pipeline) -> Result:
    return flights.run()


def same(left: DataFrame, right: DataFrame) -> bool:
    """Whether two frames have the same columns, and the same rows as often."""
    assert left.dtypes == right.dtypes
    return left.exceptAll(right).count() == right.exceptAll(left).count() == 0


def test_a_run_returns_what_the_summary_says(flights: headrace.Pipeline, ran: Result) -> None:
    assert [stage["name"] for stage in ran.stages] == list(dict.fromkeys(step.stage for step in flights.steps))
    assert {stage["status"] for stage in ran.stages} == {"done"}
    assert ran.model == {"name": "flights", "version": 1, "alias": "champion"}
    measured = ran.metrics["test"]["areaUnderROC"]
    assert measured["lower"] <= measured["value"] <= measured["upper"]


def test_the_plan_of_what_has_run_is_to_do_nothing(flights: headrace.Pipeline, ran: Result) -> None:
    planned = flights.plan()
    assert [step.step for step in planned] == [step.name for step in flights.steps]
    assert {(step.decision, step.reasons) for step in planned} == {("unchanged", ())}
    changed = headrace.Pipeline.from_yaml(flights.path, sets=[*SMALL, "search.seed=1"]).plan(
        from_="training_set", to="evaluate"
    )
    assert [(step.stage, step.decision) for step in changed] == [
        ("training_set", "unchanged"), ("training_set", "unchanged"), ("search", "run"), ("evaluate", "run")
    ]  # fmt: skip
    forced = flights.plan(job="monitor", force=True)
    assert [(step.stage, step.decision) for step in forced] == [("monitor", "run")]


def test_a_stage_is_forced_by_its_name_and_the_rest_left_alone(flights: headrace.Pipeline, ran: Result) -> None:
    again = flights.run(from_="register", to="score", force="score")
    assert [(stage["name"], stage["status"]) for stage in again.stages] == [
        ("register", "unchanged"),
        ("score", "done"),
    ]
    assert again.run_id != ran.run_id
    assert again.model == ran.model


def test_tables_are_read_by_name_and_version(flights: headrace.Pipeline, ran: Result) -> None:
    flights.run(job="ingest", select="raw_planes")
    first, newest = flights.table("runs", version=0), flights.table("RUNS")
    assert {row["run_id"] for row in first.collect()} == {ran.run_id}
    assert first.exceptAll(newest).count() == 0
    assert newest.select("run_id").distinct().count() > 1
    with pytest.raises(headrace.ConfigError, match=r"flights.nothing is not there.*carrier_delays.*predictions"):
        flights.table("nothing")
    with pytest.raises(headrace.ConfigError, match="no version 99; its log holds 0 to "):
        flights.table("runs", version=99)


def test_features_of_any_spine_are_those_of_the_training_set(
    spark: SparkSession, flights: headrace.Pipeline, ran: Result
) -> None:
    abroad = spark.newSession()  # a user's own session, in which SQL means something else
    abroad.conf.set("spark.sql.session.timeZone", "Asia/Kolkata")
    abroad.conf.set("spark.sql.ansi.enabled", "false")
    stored = flights.table("training_set").where("month(predict_at) = 6")
    keys = ["carrier", "flight", "origin", "departs_at"]
    frame = stored.select(*keys, "predict_at").join(flights.table("flights").select(*keys, "tailnum"), keys)
    path = f"{flights.places.root}/../spine"
    frame.withColumnRenamed("predict_at", "asked_at").write.parquet(path)
    spine = abroad.read.parquet(path)
    found = headrace.training_set(spine, features=list(KEPT), config=flights, time="asked_at")
    features = [name for name in stored.columns if "__" in name]
    assert found.columns[: len(spine.columns)] == spine.columns
    assert same(found.select(*keys, *features), stored.select(*keys, *features))
    assert stored.select(*features).where("carrier_delays__arr_delay_mean_7d is not null").count() > 20
    assert abroad.conf.get("spark.sql.session.timeZone") == "Asia/Kolkata"


def test_a_session_that_says_nothing_of_ansi_is_good_enough(spark: SparkSession) -> None:
    own = spark.newSession()
    own.conf.unset("spark.sql.ansi.enabled")
    assert steady(own).conf.get("spark.sql.ansi.enabled") == "true"


def test_rows_in_are_rows_out(spark: SparkSession, flights: headrace.Pipeline, ran: Result) -> None:
    noon = "timestamp'2013-07-01 12:00:00Z'"
    spine = spark.sql(
        f"select * from values (1, 'UA', {noon}), (1, 'UA', {noon}), (2, null, {noon}), (3, 'UA', null), (4, 'ZZ', {noon}) "
        "as t(id, carrier, predict_at)"
    )
    rows = headrace.training_set(spine, ["carrier_delays"], config=flights.path).orderBy("id").collect()
    assert [(row["id"], row["carrier"]) for row in rows] == [(1, "UA"), (1, "UA"), (2, None), (3, "UA"), (4, "ZZ")]
    weekly = [row["carrier_delays__arr_delay_mean_7d"] for row in rows]
    assert weekly[0] == weekly[1]
    assert [value is None for value in weekly] == [False, False, True, True, True]
    assert headrace.training_set(spine.where("false"), ["carrier_delays"], config=flights).count() == 0


def test_features_as_known_at_an_earlier_time(spark: SparkSession, flights: headrace.Pipeline, ran: Result) -> None:
    spine = spark.sql("select 'UA' carrier, timestamp'2013-07-01 12:00:00Z' predict_at")
    rows = headrace.training_set(spine, ["carrier_delays"], config=flights, as_of="2013-01-01").collect()
    assert {value for name, value in rows[0].asDict().items() if "__" in name} == {None}


def test_what_cannot_be_a_spine_is_refused(spark: SparkSession, flights: headrace.Pipeline, ran: Result) -> None:
    spine = spark.sql("select 'UA' carrier, timestamp'2013-07-01 12:00:00Z' predict_at")
    with pytest.raises(headrace.ConfigError, match=r"no feature table 'carrier_delay'.*did you mean 'carrier_delays'"):
        headrace.training_set(spine, ["carrier_delay"], config=flights)
    with pytest.raises(headrace.ConfigError, match=r"no column 'predict_at' among carrier.*time=\.\.\."):
        headrace.training_set(spine.drop("predict_at"), ["carrier_delays"], config=flights)
    with pytest.raises(headrace.ConfigError, match="origin"):
        headrace.training_set(spine, ["origin_weather"], config=flights)


def test_predictions_are_those_of_the_stages(flights: headrace.Pipeline, ran: Result) -> None:
    rows = flights.table("training_set").where("split = 'test' and label is not null")
    found = headrace.score(rows, "models:/flights@champion")
    assert found.columns == [*rows.columns, "prediction", "probability"]
    expected = flights.table("test_predictions")
    close = F.round("probability", 9).alias("probability")  # the compiled scorer adds up in another order
    columns = ["carrier", "flight", "origin", "departs_at", "prediction", close]
    assert same(found.select(*columns), expected.select(*columns))
    assert dict(found.dtypes)["probability"] == "double"
    numbered = headrace.score(rows.limit(3), "models:/flights/1", config=flights)
    assert numbered.count() == 3


def test_what_cannot_be_scored_is_refused(flights: headrace.Pipeline, ran: Result, tmp_path: Path, monkeypatch) -> None:
    rows = flights.table("training_set")
    wrong = rows.drop("origin").withColumn("distance", F.col("distance").cast("string"))
    with pytest.raises(headrace.DataError) as refused:
        headrace.score(wrong, "models:/flights@champion")
    said = refused.value.message.splitlines()
    assert "  - origin string   (missing)" in said
    assert "  + distance string" in said
    with pytest.raises(headrace.ConfigError, match="has prediction already"):
        headrace.score(rows.withColumn("prediction", F.lit(1)), "models:/flights@champion")
    for address in ("flights", "models:/flights", "models:/flights/1/2", "models:/@champion"):
        with pytest.raises(headrace.ConfigError, match="models:/flights@champion or models:/flights/3"):
            headrace.score(rows, address)
    with pytest.raises(headrace.ConfigError, match="no version or alias 'nobody'"):
        headrace.score(rows, "models:/flights@nobody")
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    with pytest.raises(headrace.ConfigError, match=r"no model store.*train a model first"):
        headrace.score(rows, "models:/flights@champion")
    assert not list(tmp_path.iterdir())


def test_a_refused_model_raises_and_tells_what_it_came_to(flights: headrace.Pipeline, ran: Result) -> None:
    strict = headrace.Pipeline.from_yaml(
        flights.path, sets=[*SMALL, "gates=[{metric: areaUnderROC, at_least: 0.9999}]"]
    )
    with pytest.raises(headrace.GateError, match=r"0\.9999") as refused:
        strict.run(only="register")
    assert [stage["name"] for stage in refused.value.result.stages] == ["register"]


def test_mistakes_are_errors_of_their_type(flights: headrace.Pipeline, tmp_path: Path) -> None:
    with pytest.raises(headrace.ConfigError, match="there is no such stage"):
        flights.run(only="nothing")
    with pytest.raises(headrace.ConfigError, match="there is no job 'nothing'"):
        flights.run(job="nothing")
    with pytest.raises(headrace.ConfigError, match="as_of='soon' is no time"):
        flights.run(as_of="soon")
    empty = tmp_path / "empty.csv"
    empty.write_text("id,label\n")
    config = tmp_path / "empty.yaml"
    config.write_text(f"pipeline: empty\ntables: {{t: {{source: {{format: csv, path: {empty}}}}}}}\n")
    with pytest.raises(headrace.DataError, match="no row"):
        headrace.Pipeline.from_yaml(config).run(only="ingest")


@pytest.mark.parametrize("function", [point_in_time_join, window_features, headrace.training_set, headrace.score])
def test_examples_in_docstrings(spark: SparkSession, flights: headrace.Pipeline, ran: Result, function) -> None:
    found = doctest.DocTestFinder(recurse=False).find(
        function, function.__name__, globs={"spark": spark, "flights": flights}
    )
    results = [doctest.DocTestRunner(verbose=False).run(test) for test in found]
    assert sum(result.attempted for result in results) >= 3
    assert sum(result.failed for result in results) == 0


def test_the_examples_of_the_page_run(flights: headrace.Pipeline, ran: Result) -> None:
    page = (PROJECT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(blocks) >= 6
    names: dict[str, Any] = {}
    for block in blocks:
        exec(
            block.replace('"conf/flights.yaml"', repr(flights.path)).replace('["search.max_evals=4"]', repr(SMALL)),
            names,
        )
    assert names["result"].model == ran.model
    assert {stage["status"] for stage in names["result"].stages} <= {"unchanged", "done"}
    assert names["known"].columns[3] == "carrier_delays__arr_delay_mean_3h"
    assert [tuple(row) for row in names["windows"].select("temp", "delay_mean_3h").collect()] == [(71, 25.0)]


def test_the_notebook_runs(flights: headrace.Pipeline, ran: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: None)
    plt.switch_backend("agg")
    monkeypatch.setenv("HEADRACE_CONFIG", flights.path)
    cells = json.loads((PROJECT / "notebooks" / "explore_features.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    names: dict[str, Any] = {}
    try:
        for cell in code:
            exec("".join(cell["source"]), names)
        figures = [plt.figure(number) for number in plt.get_fignums()]
        assert len(figures) == 4
        assert all(axes.has_data() for figure in figures for axes in figure.axes)
    finally:
        plt.close("all")
