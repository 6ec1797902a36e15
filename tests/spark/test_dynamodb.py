"""Tables of DynamoDB as sources, on moto's server; what lands is held against what was written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest

from headrace.errors import ConfigError, DataError
from headrace.runtime.tables import Tables
from tests.support.remote import moto
from tests.support.runs import statuses

pytestmark = pytest.mark.usefixtures("interpreted")

AT = dt.datetime(2024, 3, 1, 12, 0, 0)
EXACT = "12345678901234567890123456789012345.678"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with moto() as made:
        yield made


class Store:
    """The table `orders`."""

    def __init__(self, address: str) -> None:
        import boto3

        self.client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=address,
                                   aws_access_key_id="me", aws_secret_access_key="s3cr3t-Zq")  # fmt: skip
        if "orders" in self.client.list_tables()["TableNames"]:
            self.client.delete_table(TableName="orders")
        key = {"AttributeName": "id", "KeyType": "HASH"}
        self.client.create_table(
            TableName="orders", BillingMode="PAY_PER_REQUEST", KeySchema=[key],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )  # fmt: skip

    def put(self, *items: dict[str, Any]) -> None:
        for item in items:
            self.client.put_item(TableName="orders", Item=item)

    def fill(self, numbers: range) -> None:
        """Many items, of several pages a segment."""
        items = [{"PutRequest": {"Item": {**item(n), "pad": {"S": "x" * 20000}}}} for n in numbers]
        for start in range(0, len(items), 25):
            self.client.batch_write_item(RequestItems={"orders": items[start : start + 25]})


def item(number: int, at: dt.datetime | None = AT, note: str | None = "plain", **more: Any) -> dict[str, Any]:
    made = {
        "id": {"S": f"o{number}"},
        "orderNo": {"N": str(number)},
        "total": {"N": EXACT if number == 3 else f"{number}.5"},
        "who": {"M": {"name": {"S": f"n{number}"}, "age": {"N": str(number)}}},
        "tags": {"SS": ["b", "a"]},
        "sizes": {"NS": ["2", "1"]},
        "items": {"L": [{"M": {"sku": {"S": "s"}}}]},
        "mixed": [{"N": "1"}, {"S": "text"}, {"L": [{"N": "1.5"}, {"NULL": True}]}, {"BOOL": True}][number % 4],
        "blob": {"B": b"\x00\xff"},
        "ok": {"BOOL": number % 2 == 0},
        **({} if note is None else {"note": {"S": note}}),
        **({} if at is None else {"updatedAt": {"S": f"{at.isoformat()}Z"}}),
    }
    return made | more


def yaml(address: str, more: str = "", key: str = "key: id", options: str = "") -> str:
    return f"""
pipeline: p
tables:
  orders:
    source:
      format: dynamodb
      table: orders
      options:
        {{region: us-east-1, endpoint: "{address}", segments: 3{options},
          access_key: "${{secret:AK}}", secret_key: "${{secret:SK}}"}}
      {more}
    {key}
"""


@pytest.fixture
def store(address: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("AK", "me")
    monkeypatch.setenv("SK", "s3cr3t-Zq")
    return Store(address)


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_attributes_without_a_schema_come_exactly(store: Store, address: str, scratch) -> None:
    store.put(item(0), item(1, note=None), item(2, None), item(3))
    scratch.run(yaml(address))
    columns = ("id", "orderno", "total", "who", "tags", "sizes", "items", "mixed", "blob", "ok", "note", "updatedat")
    mixed = ["1", "text", '["1.5", null]', "true"]
    assert scratch.rows("orders", *columns) == [
        (f"o{n}", n, EXACT if n == 3 else f"{n}.5", (n, f"n{n}"), ["a", "b"], [1, 2], [("s",)], mixed[n],
         bytearray(b"\x00\xff"), n % 2 == 0, None if n == 1 else "plain", None if n == 2 else "2024-03-01T12:00:00Z")
        for n in range(4)
    ]  # fmt: skip
    assert statuses(scratch.run(yaml(address), only="ingest")) == {"ingest:orders": "unchanged"}
    store.put(item(5, more={"S": "new"}, total={"N": "7"}))
    scratch.run(yaml(address), only="ingest")
    assert scratch.table("raw_orders").where("_batch = 2").count() == 5


def test_by_a_watermark_each_item_lands_once_whatever_happens(store: Store, address: str, scratch, monkeypatch) -> None:
    schema = (
        "schema: {id: string, updatedAt: timestamp, total: 'decimal(38,3)', note: string, who: 'map<string,string>'}"
    )
    text = yaml(address, f"{schema}\n      watermark: updatedAt")
    first = [(n, AT + dt.timedelta(minutes=n), None if n % 4 == 0 else "plain") for n in range(10)]
    store.put(*(item(*one) for one in [*first, (99, None, "no time")]))
    with monkeypatch.context() as patch:  # between the commit and the end of the run
        patch.setattr(Tables, "_check_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            scratch.run(text, only="ingest")
    assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "unchanged"}
    newest = first[-1][1]
    more = [
        (2, newest + dt.timedelta(days=1), "updated"),
        (20, newest - dt.timedelta(minutes=59), "came late"),
        (21, None, "-"),
    ]
    store.put(*(item(*one) for one in [*more, (22, newest - dt.timedelta(hours=5), "before the overlap")]))
    with monkeypatch.context() as patch:  # before the commit
        patch.setattr(Tables, "_try_write", killed)
        with pytest.raises(KeyboardInterrupt):
            scratch.run(text, only="ingest")
    scratch.run(text)
    assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "unchanged"}

    def rows(batch: int) -> list[tuple]:
        found = scratch.table("raw_orders").where(f"_batch = {batch}")
        return sorted(
            found.selectExpr("id", "cast(updatedat as timestamp_ntz)", "note", "total", "who.age").collect(), key=repr
        )

    def wanted(ones: list[tuple]) -> list[tuple]:
        return sorted(((f"o{n}", at, note, D(EXACT if n == 3 else f"{n}.5"), str(n)) for n, at, note in ones), key=repr)

    assert [tuple(r) for r in rows(1)] == wanted([*first, (99, None, "no time")])
    assert [tuple(r) for r in rows(2)] == wanted(more)
    assert [r for r in scratch.rows("orders", "id", "note") if r[0] == "o2"] == [("o2", "updated")]
    kept = [path for path in scratch.folder.rglob("*") if path.is_file() and path.suffix != ".parquet"]
    assert not [path for path in kept if b"s3cr3t-Zq" in path.read_bytes()]
    store.put(item(30, None, updatedAt={"N": "5"}))  # of another type: told, not passed over
    with pytest.raises(
        DataError, match=r"the attribute updatedAt is timestamp, and an item holds another value of the type N"
    ):
        scratch.run(text, only="ingest")


def test_pages_of_segments_and_a_number_as_watermark(store: Store, address: str, scratch) -> None:
    text = yaml(address, "watermark: orderNo\n      overlap: 10", "", ", sample: 5")
    store.fill(range(200))
    scratch.run(text, only="ingest")
    store.fill(range(200, 210))
    scratch.run(text, only="ingest")
    found = (
        scratch.table("raw_orders").groupBy("_batch").agg({"orderno": "sum", "*": "count"}).orderBy("_batch").collect()
    )
    assert [tuple(r)[:3] for r in found] == [(1, sum(range(200)), 200), (2, sum(range(200, 210)), 10)]


def test_what_is_wrong_is_told_in_words(store: Store, address: str, scratch, monkeypatch) -> None:
    store.put(item(1), item(2))
    for text, kind, says in [
        (yaml(address, options=", segmens: 3"), ConfigError, "dynamodb has no option segmens; it has region, endpoint"),
        (yaml(address).replace("table: orders", "table: ordres"), ConfigError, "has no such table there; mend table"),
        (yaml("http://127.0.0.1:9"), ConfigError, "does not answer; mend region or endpoint"),
        (yaml(address, "watermark: note"), ConfigError, "note is string; wanted is"),
        (yaml(address, "schema: {total: int}", ""), DataError, "the attribute total is int, and an item holds another"),
        (yaml(address, "schema: {total: 'decimal(4,0)'}", ""), DataError, "the attribute total is decimal"),
    ]:
        with pytest.raises(kind, match=says):
            scratch.run(text, only="ingest")
