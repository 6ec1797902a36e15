"""A topic as a sink: who reads what was committed sees each row once, whoever is killed and whenever."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from headrace import flow
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime.progress import Progress
from headrace.runtime.runner import Options, Outcome, Runner
from headrace.runtime.sinks import kafka as sink
from headrace.runtime.sinks.kafka import KafkaSink, record_of
from headrace.runtime.step import Output
from tests.support.brokers import PASSWORD, Broker
from tests.support.runs import Project
from tests.support.servers import free_port

pytestmark = pytest.mark.usefixtures("interpreted")

YAML = """
pipeline: shop
tables:
  orders: {source: {format: csv, path: orders.csv}, key: id}
feature_tables:
  facts: {from: orders, entity: id, lookup: [amount]}
training_set: {from: orders, label: "late = 1"}
sinks:
  out:
    from: predictions
    format: kafka
    options:
      kafka.bootstrap.servers: "%s"
      topic: %s
      kafka.security.protocol: SASL_PLAINTEXT
      kafka.sasl.mechanism: PLAIN
      kafka.sasl.username: reader
      kafka.sasl.password: "${secret:KAFKA_PASSWORD}"
  copy: {from: facts, format: kafka, options: {kafka.bootstrap.servers: "%s", topic: %s.facts}}
"""
KEYS = ("id", "predict_at", "revision")


class Shop:
    """Predictions that come as if scored, and deliveries of them."""

    def __init__(self, project: Project, broker: Broker, topic: str) -> None:
        self.project, self.broker, self.topic = project, broker, topic
        project.write("pipeline.yaml", YAML % (broker.login, topic, broker.servers, topic))
        self.pipeline, self.environment = read_pipeline("pipeline.yaml")
        project.pipeline = self.pipeline

    def runner(self) -> Runner:
        return Runner(self.project.spark, self.pipeline, self.environment, Options(), Progress())

    def predict(self, first: int, last: int) -> None:
        frame = self.project.spark.range(first, last + 1).selectExpr(
            "id", "timestamp'2024-01-01 00:00:00.000001' + make_interval(0, 0, 0, 0, 0, 0, id) predict_at", "1 revision",
            "id / 10 prediction", "if(id % 2 = 0, null, map('a', id / 3)) probability", "concat('O\\'Neill é \"', id) note",
        )  # fmt: skip
        self.runner().tables.write(Output("predictions", frame, mode="insert", keys=KEYS), {"stage": "score"})

    def deliver(self, name: str = "out") -> Outcome:
        return self.runner().run([s for s in flow.steps(self.pipeline) if s.name == f"sink:{name}"])

    def wanted(self) -> list[tuple[dict, dict]]:
        """What the topic is to hold, row by row."""

        def plain(value: Any) -> Any:
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if hasattr(value, "strftime") else value

        rows = [{k: plain(v) for k, v in r.asDict().items()} for r in self.project.table("predictions").collect()]
        return by_key([({k: row[k] for k in KEYS}, row) for row in rows])

    def received(self, topic: str = "") -> list[tuple[dict, Any]]:
        """What a reader of committed messages sees."""
        found = self.broker.read(topic or self.topic)
        return by_key([(json.loads(key or b""), value and json.loads(value)) for *_, key, value in found])

    @property
    def record(self) -> str:
        return record_of(self.topic, "shop.out")


def by_key(rows: list[tuple[dict, Any]]) -> list[tuple[dict, Any]]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


@pytest.fixture
def shop(scratch: Project, kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    return Shop(scratch, kafka, re.sub(r"\W", "", tmp_path.name)[-40:])


def sent_rows(outcome: Outcome) -> list[int | None]:
    return [record.rows_out for record in outcome.records]


def test_new_predictions_are_sent_once(shop: Shop) -> None:
    shop.predict(1, 30)
    assert sent_rows(shop.deliver()) == [30]
    assert shop.received() == shop.wanted()
    assert sent_rows(shop.deliver()) == [0]
    shop.predict(20, 40)
    shop.predict(41, 41)
    assert sent_rows(shop.deliver()) == [11]
    assert shop.received() == shop.wanted()
    assert shop.broker.config(shop.record)["cleanup.policy"] == "compact"
    kept = [path for path in shop.project.folder.rglob("*") if path.is_file()]
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes()]


def test_of_a_feature_table_changes_are_sent_and_keys_that_went(shop: Shop) -> None:
    def facts(*rows: tuple[int, int | None]) -> list[tuple[dict, Any]]:
        return by_key([({"id": i}, None if a is None else {"id": i, "amount": a}) for i, a in rows])

    def made(*rows: tuple[int, int]) -> None:
        frame = shop.project.spark.createDataFrame(list(rows), "id int, amount int")
        shop.runner().tables.write(Output("facts", frame), {"stage": "features"})
        shop.deliver("copy")

    topic = f"{shop.topic}.facts"
    made((1, 4), (2, 9))
    assert shop.received(topic) == facts((1, 4), (2, 9))
    made((2, 9), (7, 1), (8, 1))
    assert shop.received(topic) == facts((1, 4), (2, 9), (1, None), (7, 1), (8, 1))
    made((2, 10), (7, 1), (8, 1))
    assert shop.received(topic) == facts((1, 4), (2, 9), (1, None), (7, 1), (8, 1), (2, 10))


def workers(spark: Any) -> list[int]:
    """Python workers of this session's JVM."""
    own = str(spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid())
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            told = stat.read_text().rpartition(")")[2].split()
            parents[stat.parent.name] = told[1]
        except OSError:  # gone while we looked
            continue

    def below(pid: str) -> bool:
        while pid in parents and pid != own:
            pid = parents[pid]
        return pid == own

    daemons = [pid for pid in parents if pid != own and below(pid)]
    return [int(pid) for pid in daemons if b"pyspark.daemon" in Path("/proc", pid, "cmdline").read_bytes()]


def recovered(spark: Any) -> None:
    """Until Spark counts on no worker any more that is gone: each of these fails one job."""
    for _ in range(8):
        try:
            spark.range(0, 8, 1, 8).mapInArrow(lambda batches: batches, "id long").count()
        except (Py4JError, PySparkException):
            continue
        return


def killed_in_the_middle(shop: Shop, there: int) -> None:
    """Deliver, and kill what sends as soon as more rows have arrived than were there."""

    def kill() -> None:
        while not stop.is_set():
            begun = {shop.topic, shop.record} <= set(shop.broker.admin.list_topics().topics)
            if begun and len(shop.received()) > there:
                for pid in workers(shop.project.spark):
                    os.kill(pid, signal.SIGKILL)
                killed.set()
                return
            time.sleep(0.02)

    stop, killed = threading.Event(), threading.Event()
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(Exception, match=r"(?i)worker|stream|connection"):  # Spark's, of a worker that is gone
            shop.deliver()
        assert killed.is_set()
    finally:
        stop.set()
        killer.join()
        recovered(shop.project.spark)


def test_killed_in_the_middle_and_run_again_each_row_is_there_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "ROWS", 20)
    shop.predict(1, 4000)
    killed_in_the_middle(shop, there=0)
    there = shop.received()
    assert 0 < len(there) < 4000
    shop.predict(4001, 4100)  # what was begun is now against another version
    killed_in_the_middle(shop, there=len(there))
    more = shop.received()
    assert len(there) < len(more) < 4100
    shop.deliver()
    assert shop.received() == shop.wanted()
    assert sent_rows(shop.deliver()) == [0]


def test_of_two_runs_that_send_at_once_each_row_arrives_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.predict(1, 50)
    deliver, others = KafkaSink.deliver, []

    def overtaken(self: KafkaSink, *given: Any) -> None:
        if not others:
            others.append(None)
            shop.predict(51, 60)
            shop.deliver()
        deliver(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(KafkaSink, "deliver", overtaken)
        with pytest.raises(HeadraceError, match="another run has sent rows meanwhile"):
            shop.deliver()
    assert shop.received() == shop.wanted()

    shop.predict(61, 3000)
    monkeypatch.setattr(sink, "ROWS", 20)
    errors: list[Exception] = []

    def one() -> None:
        try:
            shop.deliver()
        except HeadraceError as error:
            errors.append(error)

    both = [threading.Thread(target=one) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert all("another run" in str(error) for error in errors), errors
    shop.deliver()
    assert shop.received() == shop.wanted()


def test_what_cannot_be_told_any_more_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    shop.predict(1, 3)
    shop.deliver()
    shutil.rmtree(shop.project.folder / "home/warehouse/shop/predictions")
    shop.predict(3, 4)
    with pytest.raises(ConfigError, match=r"made anew since.*delete the topic .*headrace\.shop\.out"):
        shop.deliver()
    assert len(shop.received()) == 3
    shop.broker.drop(shop.topic)
    with pytest.raises(ConfigError, match="and that topic is gone"):
        shop.deliver()
    shop.broker.make(shop.topic)
    shop.broker.widen(shop.record, 9)
    with pytest.raises(ConfigError, match="it told of 8 parts, and has 9 partitions now"):
        shop.deliver()
    shop.broker.drop(shop.record)
    shop.broker.make(shop.record, 2)
    with pytest.raises(ConfigError, match=r"cleanup\.policy is delete"):
        shop.deliver()
    monkeypatch.setattr(sink, "WAIT", 2.0)
    monkeypatch.setenv("KAFKA_PASSWORD", "wrong-Pw-77")
    with pytest.raises(ConfigError, match="Invalid username or password") as raised:
        shop.deliver()
    assert "wrong-Pw-77" not in raised.value.message
    shop.project.write("pipeline.yaml", YAML % (f"127.0.0.1:{free_port()}", "t", "h", "t"))
    shop.pipeline, _ = read_pipeline("pipeline.yaml")
    with pytest.raises(ConfigError, match="do not answer, or refuse"):
        shop.deliver()
    monkeypatch.setattr(sink, "_LIBRARY", "confluent_kafka_that_is_missing")
    with pytest.raises(ConfigError, match="pip install 'confluent-kafka"):
        shop.deliver()
