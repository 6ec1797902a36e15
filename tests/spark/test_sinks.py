"""Sinks: every row arrives once, whoever is killed and whenever; what was sent, the sink itself tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame

from headrace import flow
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime.progress import Progress
from headrace.runtime.runner import Options, Outcome, Runner
from headrace.runtime.sinks.jdbc import JdbcSink
from headrace.runtime.sinks.parquet import ParquetSink
from headrace.runtime.step import Output
from tests.support.runs import Project

pytestmark = pytest.mark.usefixtures("interpreted")

YAML = """
pipeline: shop
tables:
  orders: {source: {format: csv, path: orders.csv}, key: id}
feature_tables:
  facts: {from: orders, entity: id, lookup: [amount]}
training_set: {from: orders, label: "late = 1"}
sinks:
  lake: {from: predictions, format: parquet, path: lake}
  copy: {from: facts, format: parquet, path: copy}
  crm:
    from: predictions
    format: jdbc
    options: {url: "%s", dbtable: SCORES, driver: org.apache.derby.iapi.jdbc.AutoloadedDriver}
  crm_facts:
    from: facts
    format: jdbc
    options: {url: "%s", dbtable: FACTS, driver: org.apache.derby.iapi.jdbc.AutoloadedDriver}
"""
KEYS = ("id", "predict_at", "revision")


class Shop:
    """Predictions that come as if scored, and deliveries of them."""

    def __init__(self, project: Project, database: str) -> None:
        self.project, self.url = project, f"jdbc:derby:memory:{database};create=true"
        project.write("pipeline.yaml", YAML % (self.url, self.url))
        project.write("orders.csv", "id,amount,late\n1,4,0\n2,9,1\n")
        self.pipeline, self.environment = read_pipeline("pipeline.yaml")
        project.pipeline = self.pipeline

    def runner(self) -> Runner:
        return Runner(self.project.spark, self.pipeline, self.environment, Options(), Progress())

    def predict(self, *ids: int) -> None:
        values = ", ".join(f"({i}, timestamp'2024-01-01', 1, {i / 10}D, map('a', {i / 10}D))" for i in ids)
        frame = self.project.spark.sql(
            f"select * from values {values} as t(id, predict_at, revision, prediction, probability)"
        )
        self.runner().tables.write(Output("predictions", frame, mode="insert", keys=KEYS), {"stage": "score"})

    def deliver(self, *names: str) -> Outcome:
        wanted = {f"sink:{name}" for name in names}
        return self.runner().run([s for s in flow.steps(self.pipeline) if s.name in wanted])

    def table(self, name: str) -> DataFrame:
        options = {"url": self.url, "driver": "org.apache.derby.iapi.jdbc.AutoloadedDriver"}
        return self.project.spark.read.format("jdbc").options(**options, dbtable=name).load()

    def ids(self, name: str) -> list[int]:
        return sorted(row["id"] for row in self.table(name).collect())

    def lake(self, name: str = "lake") -> list[int]:
        frame = self.project.spark.read.parquet(str(self.project.folder / name))
        return sorted(row["id"] for row in frame.collect())


@pytest.fixture
def shop(scratch: Project, tmp_path: Path) -> Shop:
    return Shop(scratch, tmp_path.name)


def sent_rows(outcome: Outcome) -> list[int | None]:
    return [record.rows_out for record in outcome.records]


def test_new_predictions_are_added_once(shop: Shop) -> None:
    shop.predict(1, 2, 3)
    assert sent_rows(shop.deliver("lake", "crm")) == [3, 3]
    assert sent_rows(shop.deliver("lake", "crm")) == [0, 0]
    shop.predict(3, 4, 5)
    shop.predict(6)
    assert sent_rows(shop.deliver("lake", "crm")) == [3, 3]
    assert (shop.ids("SCORES"), shop.lake()) == ([1, 2, 3, 4, 5, 6],) * 2
    row = shop.table("SCORES").where("id = 5").collect()[0].asDict()
    assert (row["prediction"], row["probability"]) == (0.5, '{"a":0.5}')
    assert "headrace_run" not in row


def test_a_feature_table_stands_in_place_of_the_one_before(shop: Shop) -> None:
    shop.runner().run([s for s in flow.steps(shop.pipeline) if s.stage in ("ingest", "validate", "clean", "features")])
    assert (shop.ids("FACTS"), shop.lake("copy")) == ([1, 2], [1, 2])
    shop.project.write("orders.csv", "id,amount,late\n2,8,0\n7,1,0\n8,1,1\n")
    shop.runner().run([s for s in flow.steps(shop.pipeline) if s.stage in ("ingest", "validate", "clean", "features")])
    assert (shop.ids("FACTS"), shop.lake("copy")) == ([2, 7, 8], [2, 7, 8])
    assert [p.name for p in (shop.project.folder / "copy").glob("[!.]*")] == ["delivery=1"]


def test_killed_at_any_instant_and_run_again_nothing_is_lost_or_doubled(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        """As if the process had ended here."""

    def killed(*_: Any) -> None:
        raise KilledError

    shop.predict(1, 2)
    shop.deliver("lake", "crm")
    shop.predict(3)
    instants = [(JdbcSink, "_move", "crm"), (JdbcSink, "_keep", "crm"), (ParquetSink, "_rename", "lake"),
                (ParquetSink, "_write", "lake")]  # fmt: skip
    for owner, method, sink in instants:
        with monkeypatch.context() as patch:
            patch.setattr(owner, method, killed)
            with pytest.raises(KilledError):
                shop.deliver(sink)
        assert shop.ids("SCORES") == [1, 2], method
        assert shop.lake() in ([1, 2], [1, 2, 3]), method  # there, and not yet marked as whole
    shop.deliver("lake", "crm")
    assert (shop.ids("SCORES"), shop.lake()) == ([1, 2, 3], [1, 2, 3])


def test_of_two_runs_that_send_the_same_one_gives_way(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.predict(1)
    shop.deliver("crm")
    shop.predict(2)
    keep = JdbcSink._keep

    def overtaken(self: JdbcSink, connection: Any, delivery: Any) -> None:
        self._run(connection, "UPDATE headrace_sent SET table_state = 'another'")
        keep(self, connection, delivery)

    with monkeypatch.context() as patch:
        patch.setattr(JdbcSink, "_keep", overtaken)
        with pytest.raises(HeadraceError, match="another run has sent rows meanwhile"):
            shop.deliver("crm")
    assert shop.ids("SCORES") == [1]
    shop.deliver("crm")
    assert shop.ids("SCORES") == [1, 2]


def test_a_table_made_anew_is_sent_whole_to_a_database_and_refused_by_a_folder(shop: Shop) -> None:
    shop.predict(1, 2)
    shop.deliver("lake", "crm")
    import shutil

    shutil.rmtree(shop.project.folder / "home/warehouse/shop/predictions")
    shop.predict(2, 3)
    shop.predict(4)
    shop.deliver("crm")
    assert shop.ids("SCORES") == [1, 2, 3, 4]
    with pytest.raises(ConfigError, match="has been made anew since"):
        shop.deliver("lake")
    (shop.project.folder / "lake" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds notes.txt as well; give the sink a folder of its own"):
        shop.deliver("lake")


def test_rows_of_a_refreshed_feature_table_change_and_go_in_the_sink_too(shop: Shop) -> None:
    """A refresh commits the keys it merges by, and yet its rows are no additions."""

    def refreshed(values: str) -> None:
        frame = shop.project.spark.sql(f"select * from values {values} as t(id, amount)")
        shop.runner().tables.write(Output("facts", frame, mode="overwrite", keys=("id",)), {"stage": "features"})

    refreshed("(1, 4), (2, 9)")
    shop.deliver("copy", "crm_facts")
    refreshed("(1, 5), (3, 7)")
    shop.deliver("copy", "crm_facts")
    rows = [shop.table("FACTS"), shop.project.spark.read.parquet(str(shop.project.folder / "copy"))]
    for found in rows:
        assert sorted((r["id"], r["amount"]) for r in found.collect()) == [(1, 5), (3, 7)]


def test_a_delivery_that_another_run_has_cleared_is_not_marked_as_whole(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    shop.predict(1)
    rename = ParquetSink._rename

    def cleared(self: ParquetSink, old: str, new: str) -> None:
        rename(self, old, new)
        shutil.rmtree(new)

    with monkeypatch.context() as patch:
        patch.setattr(ParquetSink, "_rename", cleared)
        with pytest.raises(HeadraceError, match="another run has cleared"):
            shop.deliver("lake")
    assert sent_rows(shop.deliver("lake")) == [1]
    assert shop.lake() == [1]
