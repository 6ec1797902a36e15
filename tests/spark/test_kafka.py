"""Topics as sources, against a real broker. It costs half a minute: asked for by HEADRACE_TEST_KAFKA=1.

Needs the package kafka-python where Spark's Python workers find it (`PYTHONPATH`, or installed).
"""

from __future__ import annotations

import os

import pytest

from headrace.errors import ConfigError, DataError
from headrace.runtime.tables import Tables
from tests.support.runs import statuses
from tests.support.servers import kafka

pytestmark = pytest.mark.skipif(not os.environ.get("HEADRACE_TEST_KAFKA"), reason="HEADRACE_TEST_KAFKA=1 asks for it")
RECORDS = [(None, None, []), (b"", b"", [("h", b"\xff\x00"), ("n", None)]), (b"k", "é\0".encode(), [])]


@pytest.fixture(scope="module")
def servers():
    with kafka() as address:
        yield address


def yaml(servers: str, more: str = "", topic: str = "clicks") -> str:
    return f"pipeline: p\ntables: {{t: {{source: {{format: kafka, servers: '{servers}', topic: {topic}{more}}}}}}}\n"


def landed(scratch) -> list[tuple]:
    rows = scratch.table("raw_t").select("partition", "offset", "key", "value", "headers", "_batch").collect()
    told = [(r[0], r[1], *[None if b is None else bytes(b) for b in r[2:4]], _plain(r[4]), r[5]) for r in rows]
    return sorted(told, key=lambda one: one[:2])


def _plain(headers) -> list[tuple]:
    return [(h["key"], None if h["value"] is None else bytes(h["value"])) for h in headers]


def test_offsets_land_once_whatever_happens(servers, scratch, monkeypatch):
    from kafka import KafkaProducer, TopicPartition
    from kafka.admin import KafkaAdminClient, NewTopic

    admin = KafkaAdminClient(bootstrap_servers=servers)
    admin.create_topics([NewTopic("clicks", 3, 1)])
    producer, sent = KafkaProducer(bootstrap_servers=servers), []

    def send(count: int, batch: int) -> None:
        for n in range(count):
            key, value, headers = RECORDS[n % 3]
            where = producer.send("clicks", partition=n % 2, key=key, value=value, headers=headers).get(30)
            sent.append((where.partition, where.offset, key, value, headers, batch))
        producer.flush()

    with pytest.raises(DataError, match="holds no record"):
        scratch.run(yaml(servers), only="ingest")
    send(1000, 1)
    scratch.run(yaml(servers), only="ingest")
    assert landed(scratch) == sorted(sent, key=lambda one: one[:2])
    assert statuses(scratch.run(yaml(servers), only="ingest")) == {"ingest:t": "unchanged"}

    send(100, 2)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for place in ("_try_write", "_check_rows"):  # before the commit, and after it
        with monkeypatch.context() as patch:
            patch.setattr(Tables, place, killed)
            with pytest.raises(KeyboardInterrupt):
                scratch.run(yaml(servers), only="ingest")
    assert statuses(scratch.run(yaml(servers), only="ingest")) == {"ingest:t": "unchanged"}
    assert landed(scratch) == sorted(sent, key=lambda one: one[:2])

    send(10, 3)  # five of each partition, of which two are cleared away before they are read
    admin.delete_records({TopicPartition("clicks", 0): 552})
    with pytest.raises(DataError, match="partition 0 begins at offset 552, and 550 would have been next"):
        scratch.run(yaml(servers), only="ingest")
    scratch.run(yaml(servers, ", options: {failOnDataLoss: false}"), only="ingest")
    there = [one for one in sent if one[:2] not in ((0, 550), (0, 551))]
    assert landed(scratch) == sorted(there, key=lambda one: one[:2])

    with pytest.raises(ConfigError, match="there is no topic 'click'; there are: clicks"):
        scratch.run(yaml(servers, topic="click"), only="ingest")
    with pytest.raises(ConfigError, match="mend options, by kafka-python's names"):
        scratch.run(yaml(servers, ", options: {nonsense: 1}"), only="ingest")
