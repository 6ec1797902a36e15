"""Collections of MongoDB as sources, on a server of its protocol; what lands is held against what was written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import ConfigError, DataError
from headrace.runtime.tables import Tables
from tests.support.documents import Mongo, mongo
from tests.support.runs import statuses

pytestmark = pytest.mark.usefixtures("interpreted")

AT = dt.datetime(2024, 3, 1, 12, 0, 0, 123000)
PARTITIONER = "com.mongodb.spark.sql.connector.read.partitioner.PaginateIntoPartitionsPartitioner"


@pytest.fixture(scope="module")
def server() -> Iterator[Mongo]:
    with mongo() as made:
        yield made


@pytest.fixture
def orders(server: Mongo, monkeypatch: pytest.MonkeyPatch) -> Mongo:
    monkeypatch.setenv("MONGO_URI", server.uri("?appName=s3cr3t-Zq"))
    server.collection("orders").drop()
    return server


def yaml(more: str = "", key: str = "key: id", options: str = "", collection: str = "orders") -> str:
    return f"""
pipeline: p
tables:
  orders:
    source:
      format: mongodb
      options:
        connection.uri: "${{secret:MONGO_URI}}"
        database: shop
        collection: {collection}
        partitioner: {PARTITIONER}
        partitioner.options.max.number.of.partitions: 2
        {options}
      {more}
    {key}
"""


def oid(number: int) -> str:
    return f"{number:024x}"


def date(moment: dt.datetime) -> dict[str, str]:
    return {"$date": f"{moment.isoformat(timespec='milliseconds')}Z"}


def document(number: int, moment: dt.datetime | None = AT, note: str | None = "plain", **more: Any) -> dict[str, Any]:
    """An order, with fields that others lack."""
    made = {
        "_id": {"$oid": oid(number)},
        "orderNo": number,
        "total": {"$numberDecimal": f"{number}.10"},
        "who": {"name": f"n{number}", "tags": ["a", None] if number % 2 else []},
        "items": [{"sku": "s", "qty": number}, {"sku": "t"}],
        "mixed": [number, "text", {"a": number}, [1, "b"], None, True][number % 6],
        **({} if note is None else {"note": note}),
        **({} if moment is None else {"updatedAt": date(moment)}),
    }
    return made | more


def row(number: int, moment: dt.datetime | None = AT, note: str | None = "plain") -> tuple:
    """What is to land of it: whole numbers as bigint, others as exact text, a field of mixed types as text."""
    mixed = [str(number), "text", f'{{"a": {number}}}', '[1, "b"]', None, "true"][number % 6]
    who = (f"n{number}", ["a", None] if number % 2 else [])
    return (oid(number), number, f"{number}.10", who, [(number, "s"), (None, "t")], mixed, note, moment)


COLUMNS = ("id", "orderno", "total", "who", "items", "mixed", "note", "cast(updatedat as timestamp_ntz)")


def landed(scratch, where: str = "true", columns: tuple[str, ...] = COLUMNS) -> list[tuple]:
    rows = scratch.table("raw_orders").where(where).selectExpr(*columns).collect()
    return sorted((_plain(r) for r in rows), key=repr)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return [_plain(one) for one in value] if isinstance(value, list) else value


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_by_a_watermark_each_document_lands_once_whatever_happens(orders: Mongo, scratch, monkeypatch) -> None:
    text = yaml("watermark: updatedAt")
    first = [(n, AT + dt.timedelta(minutes=n), None if n % 4 == 0 else "plain") for n in range(12)]
    orders.put("orders", *(document(*one) for one in [*first, (99, None, "no time")]))
    with monkeypatch.context() as patch:  # between the commit and the end of the run
        patch.setattr(Tables, "_check_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            scratch.run(text, only="ingest")
    assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "unchanged"}
    assert landed(scratch) == sorted((row(*one) for one in [*first, (99, None, "no time")]), key=repr)

    newest = first[-1][1]
    more = [
        (3, newest + dt.timedelta(days=1), "updated"),
        (20, newest, "as late as the latest"),
        (21, newest - dt.timedelta(minutes=59), "came late"),
        (22, None, "no time"),
    ]
    old = (23, newest - dt.timedelta(days=9), "before the overlap: as if it had always been there")
    orders.put("orders", *(document(*one) for one in [*more, old]))
    with monkeypatch.context() as patch:  # before the commit
        patch.setattr(Tables, "_try_write", killed)
        with pytest.raises(KeyboardInterrupt):
            scratch.run(text, only="ingest")
    assert statuses(scratch.run(text))["ingest:orders"] == "done"
    assert landed(scratch, "_batch = 2") == sorted((row(*one) for one in more), key=repr)
    assert [r for r in scratch.rows("orders", "id", "note") if r[0] == oid(3)] == [(oid(3), "updated")]
    assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "unchanged"}
    assert scratch.table("raw_orders").count() == 17

    # a comparison of MongoDB's finds values of its own type only: a text among times is told, not passed over
    orders.put("orders", document(30, None, updatedAt="2024-03-09"))
    with pytest.raises(DataError, match="the field updatedAt is timestamp, and a document holds another value there"):
        scratch.run(text, only="ingest")
    kept = [path for path in Path(scratch.folder).rglob("*") if path.is_file() and path.suffix != ".parquet"]
    assert kept
    assert not [path for path in kept if b"s3cr3t-Zq" in path.read_bytes()]


def test_without_a_watermark_the_content_decides_and_a_schema_says_the_types(orders: Mongo, scratch) -> None:
    fields = "_id: string, orderNo: int, total: 'decimal(12,2)', at: timestamp, who: 'struct<name:string,age:int>', mixed: string"
    text = yaml(f"schema: {{{fields}}}")
    orders.put("orders", document(1, at=date(AT)), document(2, note=None, who={"age": 7}), document(4, total=5))
    scratch.run(text)
    assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "unchanged"}
    columns = ("id", "orderno", "total", "cast(at as timestamp_ntz)", "who", "mixed")
    assert landed(scratch, columns=columns) == [
        (oid(1), 1, D("1.10"), AT, ("n1", None), "text"),
        (oid(2), 2, D("2.10"), None, (None, 7), '{"a": 2}'),
        (oid(4), 4, D("5.00"), None, ("n4", None), None),
    ]
    orders.put("orders", document(5))
    assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "done"}
    assert scratch.table("raw_orders").where("_batch = 2").count() == 4


def test_a_value_that_its_type_does_not_hold_is_told_never_changed(orders: Mongo, scratch) -> None:
    """The connector itself makes 1 of 1.7, and 705032704 of 5000000000."""
    orders.put("orders", {"_id": 1, "n": 1, "in": [{"k": 1}]}, {"_id": 2, "n": 5_000_000_000})
    scratch.run(yaml(), only="ingest")
    assert scratch.rows("raw_orders", "id", "n") == [(1, 1), (2, 5_000_000_000)]
    for other, says in [
        ({"_id": 3, "n": 1.7}, "the field n is int, and a document holds another value there; say its type"),
        ({"_id": 3, "n": 5_000_000_000}, "the field n is int, and a document"),
        ({"_id": 3, "n": "one"}, "the field n is int, and a document"),
        ({"_id": 3, "in": [{"k": 1.7}]}, "a document holds no whole number within a field where others do"),
        ({"_id": 3, "d": {"$numberDecimal": "NaN"}}, "a number of the type Decimal128 is NaN"),
    ]:
        orders.collection("orders").drop()
        orders.put("orders", other)
        declared = "schema: {_id: int, n: int, in: 'array<struct<k:int>>', d: 'decimal(9,2)'}"
        with pytest.raises(DataError, match=says):
            scratch.run(yaml(declared), only="ingest")


def test_fields_come_and_go_in_documents_and_keep_their_types(orders: Mongo, scratch) -> None:
    text = yaml("watermark: at\n      overlap: 10")
    orders.put("orders", {"_id": "a", "at": 1, "n": 1, "rare": 1.5, "who": {"a": 1}, "never": None})
    scratch.run(text, only="ingest")
    orders.collection("orders").drop()
    later = {"_id": "b", "at": 2, "n": 1.5, "who": {"b": "x", "a": 2}, "never": "now", "fresh": [True]}
    orders.put("orders", {**later, "n": 2}, {"_id": "c", "at": 3})
    scratch.run(text)
    columns = ("id", "at", "n", "rare", "never", "who.a", "who.b", "fresh")
    assert landed(scratch, columns=columns) == [
        ("a", 1, 1, 1.5, None, 1, None, None),
        ("b", 2, 2, None, "now", 2, "x", [True]),
        ("c", 3, None, None, None, None, None, None),
    ]
    assert statuses(scratch.run(text.replace("key: id", ""), only="ingest")) == {"ingest:orders": "unchanged"}
    orders.put("orders", {**later, "at": 4})
    with pytest.raises(DataError, match=r"n is double, before it was bigint\. Say its type under `schema`"):
        scratch.run(text, only="ingest")


def test_what_is_wrong_is_told_in_words(orders: Mongo, scratch, monkeypatch) -> None:
    orders.put("orders", document(1))
    match = """aggregation.pipeline: '[{"$match": {"orderNo": {"$lt": 5}}}]'"""
    scratch.run(yaml("watermark: updatedAt", options=match), only="ingest")
    orders.put("orders", document(2, AT + dt.timedelta(hours=2)), document(7, None))
    scratch.run(yaml("watermark: updatedAt", options=match), only="ingest")
    assert [r[0] for r in landed(scratch, "_batch = 2")] == [oid(2)]
    for text, says in [
        (yaml("watermark: note"), "note is string; wanted is"),
        (yaml(collection="ordres"), "has no document; mend database and collection"),
        (yaml(options="aggregation.pipeline: '[{\"$nope\": 1}]'"), r"nope.*; mend the options"),
        (yaml().replace("        collection: orders\n", ""), "Missing configuration for: collection"),
    ]:
        with pytest.raises(ConfigError, match=says):
            scratch.run(text, only="ingest")
    for uri, says in [
        ("mongodb://me:s3cr3t-Pw@127.0.0.1:9/?serverSelectionTimeoutMS=300", r"does not answer at 127.0.0.1:9"),
        ("mongo://me:s3cr3t-Pw@127.0.0.1:9/", "has a connection string that is none"),
    ]:
        monkeypatch.setenv("MONGO_URI", uri)
        with pytest.raises(ConfigError, match=says) as raised:
            scratch.run(yaml("watermark: updatedAt"), only="ingest")
        assert "s3cr3t" not in str(raised.value)
        assert raised.value.exit_code == 2
