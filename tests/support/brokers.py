"""A real Kafka broker (KRaft, one node) for tests, and a client that writes to it and reads from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyspark
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec

from headrace.runtime.packages import jars
from tests.support.servers import answers, cached, free_port

BROKER = "org.apache.kafka:kafka_2.13:4.1.0"
PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},LOGIN://127.0.0.1:{login}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},LOGIN://127.0.0.1:{login}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.login.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
 user_reader="{password}";
log.dirs={folder}/data
num.partitions=3
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=500
log.cleaner.backoff.ms=200
"""
PASSWORD = "br0ker-Zq7x"


@dataclass(frozen=True)
class Broker:
    """A broker.

    Attributes:
        servers: Where it is.
        login: Where it wants the user `reader` and `PASSWORD`.
    """

    servers: str
    login: str

    @cached_property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.servers, "log_level": 0})

    def make(self, topic: str, partitions: int = 1, **config: str) -> None:
        """Make a topic, also one whose name was deleted just now."""
        settings = {name.replace("_", "."): value for name, value in config.items()}
        for _ in range(100):
            try:
                self.admin.create_topics([NewTopic(topic, partitions, 1, config=settings)])[topic].result(10)
                return
            except KafkaException as error:
                if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                    raise
                time.sleep(0.1)
        raise AssertionError(f"{topic} is still there")

    def drop(self, topic: str) -> None:
        self.admin.delete_topics([topic])[topic].result(10)
        time.sleep(0.3)  # until all have heard of it

    def widen(self, topic: str, partitions: int) -> None:
        from confluent_kafka.admin import NewPartitions

        self.admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(10)
        time.sleep(0.3)

    def forget(self, topic: str, partition: int, before: int) -> None:
        """Delete what lies before an offset, as retention does."""
        place = TopicPartition(topic, partition, before)
        self.admin.delete_records([place])[place].result(10)

    def config(self, topic: str) -> dict[str, str]:
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        found = self.admin.describe_configs([resource])[resource].result(10)
        return {name: entry.value for name, entry in found.items()}

    def send(
        self, topic: str, messages: Sequence[tuple[Any, Any]], partition: int = 0, commit: bool | None = None
    ) -> None:
        """Produce (key, value) pairs; in a transaction that is committed or aborted where `commit` says which."""
        settings: dict[str, Any] = {"bootstrap.servers": self.servers, "linger.ms": 0, "log_level": 0}
        if commit is not None:
            settings["transactional.id"] = "of-the-tests"
        producer = Producer(settings)
        if commit is not None:
            producer.init_transactions(20)
            producer.begin_transaction()
        for key, value in messages:
            producer.produce(topic, value, key, partition=partition)
        assert producer.flush(20) == 0
        if commit is not None:
            (producer.commit_transaction if commit else producer.abort_transaction)(20)

    def read(self, topic: str, isolation: str = "read_committed") -> list[tuple[int, int, bytes | None, bytes | None]]:
        """All messages of a topic: partition, offset, key, value."""
        consumer = Consumer(
            {"bootstrap.servers": self.servers, "group.id": "tests", "log_level": 0, "enable.auto.commit": False,
             "isolation.level": isolation, "enable.partition.eof": True}
        )  # fmt: skip
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        found, waiting = [], set(partitions)
        deadline = time.monotonic() + 60
        while waiting:
            assert time.monotonic() < deadline, f"no end of {topic}"
            message = consumer.poll(1)
            if message is None:
                continue
            if message.error():
                waiting.discard(message.partition())
                continue
            found.append((message.partition(), message.offset(), message.key(), message.value()))
        consumer.close()
        return sorted(found, key=lambda one: one[:2])

    def end(self, topic: str, partition: int = 0) -> int:
        place = TopicPartition(topic, partition)
        return int(self.admin.list_offsets({place: OffsetSpec.latest()})[place].result(10).offset)


def _class_path() -> str:
    """The broker's jars, and what Spark has of those that it needs."""
    spark = Path(pyspark.__file__).parent
    home = cached().parent
    own = jars(home, spark, [BROKER], {**os.environ, "SPARK_HOME": str(spark)})
    shared = [
        p
        for name in ("slf4j-api-*", "scala-library-*", "scala-reflect-*")
        for p in (spark / "jars").glob(f"{name}.jar")
    ]
    return ":".join(map(str, (*own, *shared)))


@contextmanager
def broker() -> Iterator[Broker]:
    """A broker on free ports of the loopback."""
    path, folder = _class_path(), Path(tempfile.mkdtemp())
    port, controller, login = free_port(), free_port(), free_port()
    java = str(Path(os.environ["JAVA_HOME"], "bin", "java")) if os.environ.get("JAVA_HOME") else "java"
    properties = folder / "server.properties"
    properties.write_text(
        PROPERTIES.format(port=port, controller=controller, login=login, folder=folder, password=PASSWORD)
    )
    light = [java, "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", path]
    subprocess.run(
        [*light, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(properties)],
        check=True, capture_output=True,
    )  # fmt: skip
    log = (folder / "log").open("w")
    server = subprocess.Popen([*light, "kafka.Kafka", str(properties)], stdout=log, stderr=log, cwd=folder)
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            alive = server.poll() is None and time.monotonic() < deadline
            assert alive, (folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        yield Broker(f"127.0.0.1:{port}", f"127.0.0.1:{login}")
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)
