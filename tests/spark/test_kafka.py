"""Topics as sources: a real broker, and what lands held against what was sent, whoever is killed and whenever."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import ConfigError, DataError, HeadraceError
from headrace.ingest import brokers
from headrace.runtime.runner import Options
from headrace.runtime.tables import Tables
from tests.support.brokers import PASSWORD, Broker
from tests.support.runs import Project, statuses
from tests.support.servers import free_port

pytestmark = pytest.mark.usefixtures("interpreted")

INGEST = {"ingest:orders": "done"}
SAME = {"ingest:orders": "unchanged"}


def yaml(servers: str, topics: str, more: str = "", table: str = "") -> str:
    return f"""
pipeline: p
tables:
  orders:
    source:
      format: kafka
      options: {{kafka.bootstrap.servers: "{servers}", {topics}}}
      {more}
    {table}
"""


def landed(scratch: Project, *columns: str) -> list[tuple]:
    """What is in the raw table: by default where each message was, its key and its value."""
    return scratch.rows("raw_orders", *(columns or ("topic", "partition", "offset", "key", "value")))


def sent(kafka: Broker, *topics: str, isolation: str = "read_committed") -> list[tuple]:
    """What a plain consumer reads."""

    def text(value: bytes | None) -> str | None:
        return None if value is None else value.decode()

    found = [(t, p, o, text(k), text(v)) for t in topics for p, o, k, v in kafka.read(t, isolation)]
    return sorted(found, key=repr)


def killed(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_message_lands_once_whatever_happens(
    kafka: Broker, scratch: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.make("once", 3)
    text = yaml(kafka.servers, "subscribe: once")
    with pytest.raises(DataError, match="holds no message; put data there"):
        scratch.run(text, only="ingest")
    kafka.send("once", [(f"k{n}", f"O'Neill é {n}") for n in range(50)], 0)
    kafka.send("once", [("gone", None), (None, ""), (None, "日本\n")], 1)
    with monkeypatch.context() as patch:  # between the commit and the end of the run
        patch.setattr(Tables, "_check_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            scratch.run(text, only="ingest")
    assert statuses(scratch.run(text, only="ingest")) == SAME
    assert landed(scratch) == sent(kafka, "once")

    kafka.send("once", [("k1", "new")], 0)
    kafka.widen("once", 5)
    kafka.send("once", [("k5", "in a partition that was added")], 4)
    with monkeypatch.context() as patch:  # before the commit
        patch.setattr(Tables, "_try_write", killed)
        with pytest.raises(KeyboardInterrupt):
            scratch.run(text, only="ingest")
    outcome = scratch.run(text, only="ingest")
    assert (statuses(outcome), outcome.records[0].rows_out) == (INGEST, 2)
    assert landed(scratch) == sent(kafka, "once")
    assert statuses(scratch.run(text, only="ingest")) == SAME

    before = scratch.table("raw_orders").count()
    scratch.run(text, only="ingest", options=Options(force="ingest"))
    newest = scratch.table("raw_orders").where("_batch = 3").select("topic", "partition", "offset", "key", "value")
    assert sorted((tuple(r) for r in newest.collect()), key=repr) == sent(kafka, "once")
    assert scratch.table("raw_orders").count() == before + 55
    scratch.run(text, to="clean")
    assert scratch.table("orders").count() == 55


def test_gaps_of_transactions_and_of_compaction_are_no_loss(kafka: Broker, scratch: Project) -> None:
    kafka.make("gaps", 2)
    text = yaml(kafka.servers, "subscribe: gaps")
    kafka.send("gaps", [("a", "1")], 0, commit=True)
    kafka.send("gaps", [("a", "never")], 0, commit=False)
    kafka.send("gaps", [("b", "2")], 1, commit=False)
    scratch.run(text, only="ingest")
    assert landed(scratch) == [("gaps", 0, 0, "a", "1")]
    assert statuses(scratch.run(text, only="ingest")) == SAME
    kafka.send("gaps", [("a", "aborted")], 0, commit=False)
    scratch.run(text, only="ingest")  # nothing but what was aborted: read, and there is no row
    assert statuses(scratch.run(text, only="ingest")) == SAME
    kafka.send("gaps", [("b", "3")], 1, commit=True)
    scratch.run(text, only="ingest")
    assert landed(scratch) == sent(kafka, "gaps") == [("gaps", 0, 0, "a", "1"), ("gaps", 1, 2, "b", "3")]

    kafka.make("compacted", 1, cleanup_policy="compact", segment_ms="100", min_cleanable_dirty_ratio="0.01",
               max_compaction_lag_ms="200", delete_retention_ms="0")  # fmt: skip
    for n in range(5):
        kafka.send("compacted", [(f"k{i % 3}", f"{n}-{i}") for i in range(30)])
    for _ in range(100):
        kafka.send("compacted", [("roll", "x")])  # a new segment, so that the one before is compacted
        if len(kafka.read("compacted")) < kafka.end("compacted") - 100:
            break
    there = sent(kafka, "compacted")
    assert len(there) < kafka.end("compacted") - 100
    text = yaml(kafka.servers, "subscribe: compacted")
    outcome = scratch.run(text.replace("pipeline: p", "pipeline: q"), only="ingest")
    assert {r[2] for r in landed(scratch)} >= {r[2] for r in sent(kafka, "compacted")}
    assert outcome.records[0].rows_out == len(landed(scratch)) <= len(there)


def test_json_becomes_columns_and_what_is_none_is_set_aside(kafka: Broker, scratch: Project) -> None:
    kafka.make("json")
    good = [
        {
            "orderId": 1,
            "amount": 1.50,
            "at": "2024-03-01T12:00:00Z",
            "to": {"city": "Köln"},
            "key": "k",
            "lines": [{"n": 1}],
        },
        {"orderId": 2},
        {"orderId": 3, "amount": None, "more": [1], "to": {}},
        {"orderId": 4, "lines": [{"n": 1}, {"n": 2, "colour": "red"}]},
    ]
    bad = ['{"orderId": "x"}', "[1]", "no json", '{"orderId": 5}{"orderId": 6}', "", '{"orderId": 7']
    messages = (
        [("k", json.dumps(one)) for one in good] + [(None, one) for one in bad] + [("gone", None), ("b", b"\xff\x00")]
    )
    kafka.send("json", messages)
    fields = "schema: {orderId: bigint, amount: 'decimal(9,2)', at: timestamp, to: 'struct<city: string>', key: string, lines: 'array<struct<n: int>>'}"  # noqa: E501
    text = yaml(kafka.servers, "subscribe: json", fields)
    scratch.run(text)
    frame = scratch.table("raw_orders").orderBy("offset").selectExpr(
        "orderid", "cast(amount as string)", "cast(at as string)", "to.city", "value_key", "to_json(lines)", "key", "tombstone",
        "_rescued", "_corrupt",
    )  # fmt: skip
    nothing = (None,) * 6
    wanted = [
        (1, "1.50", "2024-03-01 12:00:00", "Köln", "k", '[{"n":1}]', "k", False, None, None),
        (2, None, None, None, None, None, "k", False, None, None),
        (3, None, None, None, None, None, "k", False, json.dumps(good[2]), None),
        (4, None, None, None, None, '[{"n":1},{"n":2}]', "k", False, json.dumps(good[3]), None),
        *[(*nothing, None, False, None, one) for one in bad[:3]],
        (5, *nothing[1:], None, False, None, bad[3]),  # Spark reads the first one
        *[(*nothing, None, False, None, one) for one in bad[4:]],
        (*nothing, "gone", True, None, None),
        (*nothing, "b", False, None, "key=0x62 value=0xFF00"),
    ]
    assert [tuple(r) for r in frame.collect()] == wanted
    assert [r["orderid"] for r in scratch.table("orders").orderBy("offset").collect()] == [1, 2, 3, 4, None]
    aside = scratch.table("orders_quarantine").select("_corrupt", "_reasons").collect()
    assert sorted(r[0] for r in aside) == sorted([*bad, "key=0x62 value=0xFF00"])
    assert {tuple(r[1]) for r in aside} == {("corrupt",)}


def test_an_upsert_by_key_goes_by_offset_however_many_runs_it_takes(kafka: Broker, scratch: Project) -> None:
    kafka.make("upsert", 2)
    text = yaml(kafka.servers, "subscribe: upsert, maxOffsetsPerTrigger: 5", "mode: upsert\n      delete_when: value is null",
                "key: key")  # fmt: skip
    kafka.send("upsert", [("a", "1"), ("b", "1"), ("a", "3"), ("b", None), ("a", "2"), ("c", "1")], 0)
    kafka.send("upsert", [("d", None), ("e", "1"), ("d", "2")], 1)
    found: list[int | None] = []
    while statuses(outcome := scratch.run(text)) != dict.fromkeys(statuses(outcome), "unchanged"):
        found.append(outcome.records[0].rows_out)
    assert found == [5, 4]
    bounded = scratch.rows("orders", "key", "value")
    assert bounded == [("a", "2"), ("c", "1"), ("d", "2"), ("e", "1")]
    scratch.run(text.replace(", maxOffsetsPerTrigger: 5", ""), options=Options(force="ingest"))
    assert scratch.rows("orders", "key", "value") == bounded


def test_a_topic_made_anew_and_messages_that_are_gone_are_told(kafka: Broker, scratch: Project) -> None:
    kafka.make("lost", 2)
    kafka.send("lost", [("a", str(n)) for n in range(10)], 0)
    kafka.send("lost", [("b", "0")], 1)
    kafka.forget("lost", 0, before=3)  # before anybody has read: no loss of ours
    text, bear = (yaml(kafka.servers, f"subscribe: lost{more}") for more in ("", ", failOnDataLoss: false"))
    scratch.run(text, only="ingest")
    first = sent(kafka, "lost")
    assert (landed(scratch), len(first)) == (first, 8)

    kafka.send("lost", [("a", str(n)) for n in range(10, 20)], 0)
    kafka.forget("lost", 0, before=15)
    with pytest.raises(DataError, match=r"lost/0 offsets 10 to 14 \(5 of them\) are gone.*failOnDataLoss=false"):
        scratch.run(text, only="ingest")
    assert landed(scratch) == first
    outcome = scratch.run(bear, only="ingest")
    assert "lost/0 offsets 10 to 14" in outcome.done[0].notes[0]
    second = sorted({*first, *sent(kafka, "lost")}, key=repr)
    assert (landed(scratch), len(second)) == (second, 13)
    assert statuses(scratch.run(bear, only="ingest")) == SAME

    kafka.drop("lost")
    with pytest.raises(ConfigError, match="there is no topic lost"):
        scratch.run(text, only="ingest")
    kafka.make("lost", 2)
    kafka.send("lost", [("z", str(n)) for n in range(30)], 0)  # further than before: only its id tells
    with pytest.raises(DataError, match="lost was deleted and made anew"):
        scratch.run(text, only="ingest")
    scratch.run(bear, only="ingest")
    assert landed(scratch) == sorted([*second, *sent(kafka, "lost")], key=repr)
    assert statuses(scratch.run(text, only="ingest")) == SAME


def test_topics_by_list_and_by_pattern(kafka: Broker, scratch: Project) -> None:
    for name in ("shop.a", "shop.b", "other"):
        kafka.make(name)
        kafka.send(name, [(name, "1")])
    scratch.run(yaml(kafka.servers, 'subscribe: "shop.a,other"'), only="ingest")
    assert landed(scratch) == sent(kafka, "shop.a", "other")
    by_pattern = yaml(kafka.servers, 'subscribePattern: "shop[.].*"')
    scratch.run(by_pattern, only="ingest")
    assert landed(scratch) == sent(kafka, "shop.a", "shop.b", "other")
    kafka.make("shop.c")
    kafka.send("shop.c", [("new", "1")])
    scratch.run(by_pattern, only="ingest")
    assert landed(scratch) == sent(kafka, "shop.a", "shop.b", "shop.c", "other")
    with pytest.raises(ConfigError, match=r"there is no topic shop\.d.*did you mean 'shop"):
        scratch.run(yaml(kafka.servers, "subscribe: shop.d"), only="ingest")


def test_other_fields_are_read_anew_where_all_is_there_and_else_from_now_on(kafka: Broker, scratch: Project) -> None:
    kafka.make("fields")
    kafka.send("fields", [("k", '{"a": 1, "b": "x"}')])
    few, more = (yaml(kafka.servers, "subscribe: fields", f"schema: {{{f}}}") for f in ("a: int", "a: int, b: string"))
    scratch.run(few, only="ingest")
    scratch.run(more, only="ingest")
    assert scratch.rows("raw_orders", "_batch", "a", "b") == [(1, 1, None), (2, 1, "x")]
    kafka.send("fields", [("k", '{"a": 2, "b": "y"}')])
    kafka.forget("fields", 0, before=1)
    outcome = scratch.run(few)
    assert "what landed before stays as it was read" in outcome.done[0].notes[0]
    assert scratch.rows("orders", "a") == [(1,), (2,)]
    sensitive = few.rstrip() + "\n    sensitive: {a: mask}\n"
    with pytest.raises(HeadraceError, match="declared sensitive"):
        scratch.run(sensitive, only="ingest")


def test_a_login_and_what_is_told_of_one_that_fails(
    kafka: Broker, scratch: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.make("login")
    kafka.send("login", [("k", b"\x01\x02")])
    login = (
        "subscribe: login, kafka.security.protocol: SASL_PLAINTEXT, kafka.sasl.mechanism: PLAIN, kafka.sasl.jaas.config: "
        '\'org.apache.kafka.common.security.plain.PlainLoginModule required username="reader" password="${secret:KAFKA_PASSWORD}";\''
    )
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    text = yaml(kafka.login, login, "value: binary")
    scratch.run(text, only="ingest")
    assert landed(scratch, "key", "value") == [(bytearray(b"k"), bytearray(b"\x01\x02"))]
    kept = [path for path in Path(scratch.folder).rglob("*") if path.is_file()]
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes()]
    monkeypatch.setenv("KAFKA_PASSWORD", "wrong-Pw-77")
    with pytest.raises(ConfigError, match="Invalid username or password") as raised:
        scratch.run(text, only="ingest")
    assert "wrong-Pw-77" not in raised.value.message


def test_brokers_that_are_not_there_are_told_soon(scratch: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "WAIT", 3_000)
    began = dt.datetime.now(dt.UTC)
    with pytest.raises(ConfigError, match=r"no broker answers at 127\.0\.0\.1:"):
        scratch.run(yaml(f"127.0.0.1:{free_port()}", "subscribe: orders"), only="ingest")
    assert (dt.datetime.now(dt.UTC) - began).total_seconds() < 15


def test_of_two_runs_at_once_one_gives_way(kafka: Broker, scratch: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka.make("two")
    kafka.send("two", [("a", "1")])
    text = yaml(kafka.servers, "subscribe: two")
    write, others = Tables._try_write, []

    def overtaken(self: Tables, *given: Any) -> Any:
        if not others:
            others.append(None)
            scratch.run(text, only="ingest")
        return write(self, *given)

    monkeypatch.setattr(Tables, "_try_write", overtaken)
    with pytest.raises(HeadraceError, match="this one gave way"):
        scratch.run(text, only="ingest")
    assert landed(scratch) == sent(kafka, "two")
    assert statuses(scratch.run(text, only="ingest")) == SAME
