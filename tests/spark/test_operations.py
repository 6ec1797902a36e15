"""What surrounds a run: secrets that stay secret, `--set` on record, settings of one stage."""

from __future__ import annotations

import json

import pytest
from pyspark.sql import SparkSession

from headrace import flow
from headrace.config import secrets
from headrace.config.reading import read_pipeline
from headrace.errors import HeadraceError
from headrace.runtime.commits import CommitLog, LocalFiles
from headrace.runtime.progress import Progress
from headrace.runtime.runner import Options, Runner
from headrace.runtime.step import Done, Run, Step
from tests.support.runs import Project
from tests.support.searching import holding

pytestmark = pytest.mark.usefixtures("interpreted")

VALUE = "no-such-charset-4711"
YAML = """\
pipeline: shop
tables:
  orders:
    source: {format: csv, path: orders.csv, options: {charToEscapeQuoteEscaping: "", password: "${secret:SHOP_PW}"}}
    key: id
"""


def test_a_secret_is_nowhere_after_a_run_that_succeeds_and_one_that_fails_with_it(
    scratch: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(secrets, "_known", {})
    monkeypatch.setattr(secrets, "_pattern", [])
    monkeypatch.setenv("SHOP_PW", VALUE)
    scratch.write("orders.csv", "id,amount\n1,2\n2,3\n")
    yaml = YAML.replace('charToEscapeQuoteEscaping: "", ', "")

    scratch.run(yaml)
    with pytest.raises(HeadraceError) as raised:
        scratch.run(yaml.replace("password:", 'encoding: "${secret:SHOP_PW}", password:'), only="ingest")

    assert "***" in raised.value.message
    assert raised.value.__cause__ is None
    assert VALUE not in raised.value.message
    (error,) = scratch.table("runs").where("status = 'failed'").select("error").collect()
    assert "***" in error.error
    assert holding(scratch.folder / "home", VALUE) == []
    note = CommitLog(str(scratch.folder / "home/warehouse/shop"), LocalFiles()).last("raw_orders").note  # type: ignore[union-attr]
    assert "${secret:SHOP_PW}" in json.dumps(note)
    shown = capfd.readouterr()
    assert VALUE not in shown.out + shown.err


def test_what_set_changed_stands_in_the_runs_and_in_the_commits(scratch: Project, spark: SparkSession) -> None:
    scratch.write("orders.csv", "id,amount\n1,2\n2,3\n")
    file = scratch.write("p.yaml", YAML.replace(', password: "${secret:SHOP_PW}"', ""))
    sets = ("tables.orders.source.options.nullValue=NA", "tables.orders.description=a=b")
    written = []
    for given in ((), sets):
        pipeline, environment = read_pipeline(file, sets=given)
        steps = flow.chosen(flow.steps(pipeline), only="ingest")
        Runner(spark, pipeline, environment, Options(), Progress()).run(steps)
        log = CommitLog(str(scratch.folder / "home/warehouse/shop"), LocalFiles())
        written.append(log.last("raw_orders").note.get("overrides"))  # type: ignore[union-attr]
    scratch.pipeline = pipeline

    assert written == [None, list(sets)]
    assert scratch.rows("runs", "stage", "overrides") == [("ingest", json.dumps(sets)), ("ingest", "[]")]


def test_settings_of_a_stage_hold_while_it_runs_and_not_after(scratch: Project, spark: SparkSession) -> None:
    yaml = YAML.replace(', password: "${secret:SHOP_PW}"', "") + (
        "spark: {spark.executor.memory: 1g, stages: {search: {spark.sql.shuffle.partitions: 7, "
        "spark.databricks.delta.properties.defaults.appendOnly: true}}}\n"
    )
    pipeline, environment = read_pipeline(scratch.write("p.yaml", yaml))
    names = ("spark.sql.shuffle.partitions", "spark.databricks.delta.properties.defaults.appendOnly")
    seen: dict[str, list[str | None]] = {}

    def step(stage: str) -> Step:
        def run(run: Run) -> Done:
            seen[stage] = [run.spark.conf.get(name, None) for name in names]
            if stage == "search":
                raise HeadraceError("on purpose")
            return Done()

        return Step(stage, stage, (), (), {}, run)

    for stage in ("features", "search", "evaluate"):
        runner = Runner(spark, pipeline, environment, Options(), Progress())
        if stage == "search":
            with pytest.raises(HeadraceError, match="on purpose"):
                runner.run([step(stage)])
        else:
            runner.run([step(stage)])

    assert seen == {"features": ["2", None], "search": ["7", "true"], "evaluate": ["2", None]}


OWNER = """\
pipeline: shop
tables:
  customers: {source: {format: csv, path: customers.csv}, key: id, event_time: seen_at}
  orders: {source: {format: csv, path: orders.csv}, key: order_id, event_time: paid_at}
  prices: {source: {format: csv, path: prices.csv}, key: [plan, since], event_time: since}
feature_tables:
  spending: {from: orders, entity: id, aggregates: [{column: amount, functions: [sum, count], windows: 30 days}]}
  tariff: {from: prices, entity: plan, latest: [price], max_age: 365 days}
"""
TRAINING = "training_set: {from: customers, label: churned, features: [spending, tariff]}\n"
SHARING = """\
pipeline: churn
tables: {customers: {shared: shop.yaml}, orders: {shared: shop.yaml}, prices: {shared: shop.yaml}}
feature_tables: {spending: {shared: shop.yaml}, tariff: {shared: shop.yaml}}
"""


def test_shared_tables_give_the_training_set_that_own_ones_would_and_their_versions_are_its_inputs(
    scratch: Project, spark: SparkSession
) -> None:
    rows = [f"{i},{'ab'[i % 2]},2024-03-01,{str(i % 3 == 0).lower()}" for i in range(1, 60)]
    scratch.write("customers.csv", "\n".join(["id,plan,seen_at,churned", *rows, ",a,2024-03-02,true\n"]))
    scratch.write("orders.csv", "order_id,id,amount,paid_at\n1,1,5,2024-02-20\n2,1,7,2024-03-02\n3,2,1,2023-01-01\n")
    scratch.write("prices.csv", "plan,since,price\na,2024-01-01,3\na,2024-02-01,\nb,2024-03-02,9\n")

    def run(name: str, text: str, to: str) -> Runner:
        pipeline, environment = read_pipeline(scratch.write(name, text))
        runner = Runner(spark, pipeline, environment, Options(), Progress())
        runner.run(flow.chosen(flow.steps(pipeline), to=to))
        return runner

    scratch.write("shop.yaml", OWNER)
    with pytest.raises(HeadraceError, match=r"shop/customers is not there yet; run the pipeline that makes it first"):
        run("churn.yaml", SHARING + TRAINING, "training_set")
    own = run("shop.yaml", OWNER + TRAINING, "training_set")
    sharing = run("churn.yaml", SHARING + TRAINING, "training_set")
    again = run("churn.yaml", SHARING + TRAINING, "training_set")

    expected = own.tables.read("training_set", own.tables.last("training_set").version)
    found = sharing.tables.read("training_set", sharing.tables.last("training_set").version)
    assert found.columns == expected.columns
    assert sorted(map(repr, found.collect())) == sorted(map(repr, expected.collect()))
    assert {row.id: row.spending__amount_sum_30d for row in found.collect() if row.id in (1, 2)} == {1: 5, 2: None}
    record, _ = sharing.outcome.records
    assert (record.step, record.input_versions) == ("training_set", {"customers": 0, "orders": 0, "tariff": 0})
    assert [r.status for r in again.outcome.records] == ["unchanged", "unchanged"]
    written = {p.name for p in (scratch.folder / "home/warehouse/churn").iterdir()}
    assert written == {"training_set", "leakage_findings", "runs"}
