"""Databases as sources: a real PostgreSQL and a real MariaDB, their rows held against what was written into them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D

import pytest

from headrace.errors import ConfigError, DataError
from headrace.runtime.runner import Options
from headrace.runtime.tables import Tables
from tests.support.runs import statuses
from tests.support.searching import holding
from tests.support.servers import Server, mariadb, postgres

pytestmark = pytest.mark.usefixtures("interpreted")

AT = dt.datetime(2024, 3, 1, 12, 0, 0, 123456)
COLUMNS = ("id", "amount", "price", "note", "ok", "part", "day", "updated_at", "seen_at")


def row(number: int, at: dt.datetime | None = None, note: str | None = "plain") -> tuple:
    """A row as it is to be in the raw table."""
    part = None if number % 3 == 0 else number % 7
    amount = D(number) * D("-1.01")
    moment = AT + dt.timedelta(minutes=number) if at is None else at
    price = "12345678901234567890.123456789012345678901" if number % 2 else "NaN"
    return number, amount, price, note, number % 2 == 0, part, moment.date(), moment, moment


def sql(rows: list[tuple], table: str = "shop.orders") -> str:
    def text(value: object) -> str:
        if value is None or isinstance(value, bool):
            return {None: "null", True: "true", False: "false"}[value]
        if isinstance(value, int | D):
            return str(value)
        return "'" + str(value).replace("'", "''") + "'"

    def line(one: tuple) -> str:
        *plain, seen = one
        return f"({', '.join(map(text, plain))}, '{seen}+00')"

    return f"insert into {table} values {', '.join(map(line, rows))};"


ODD = ['O\'Neill \\ "é"\n日本', None, ""]


@pytest.fixture(scope="module")
def server() -> Server:
    with postgres() as made:
        made.sql("create schema shop")
        yield made


@pytest.fixture
def orders(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("SHOP_PASSWORD", server.password)
    server.sql(
        'drop table if exists shop.orders; create table shop.orders (id bigint, amount numeric(12, 2), "Price" numeric, '
        "note text, ok boolean, part int, day date, updated_at timestamp, seen_at timestamptz);"
    )
    server.sql(sql([row(n) for n in range(40)] + [row(100 + i, note=note) for i, note in enumerate(ODD)]))
    return server


def yaml(server: Server, more: str, table: str = "table: shop.orders", key: str = "") -> str:
    return f"""
pipeline: p
tables:
  orders:
    source:
      format: jdbc
      url: "{server.url}"
      {table}
      user: {server.user}
      password: "${{secret:SHOP_PASSWORD}}"
      {more}
    {key}
"""


def landed(scratch, where: str = "true") -> list[tuple]:
    names = [name for name in COLUMNS if name in scratch.table("raw_orders").columns]
    rows = scratch.table("raw_orders").where(where).selectExpr(*[_plain(name) for name in names]).collect()
    return sorted((tuple(r) for r in rows), key=repr)


def _plain(name: str) -> str:
    """Times as wall times of the session, which is UTC, whatever zone Python is in."""
    return f"cast({name} as timestamp_ntz) {name}" if name.endswith("_at") else name


def test_a_watermark_lands_each_row_once_whatever_happens(
    orders: Server, scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = yaml(
        orders, "{watermark: updated_at, partition_column: part, partitions: 3}"[1:-1].replace(", ", "\n      ")
    )
    first = [row(n) for n in range(40)] + [row(100 + i, note=note) for i, note in enumerate(ODD)]

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # between the commit and the end of the run
        patch.setattr(Tables, "_check_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            scratch.run(text, only="ingest")
    assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "unchanged"}
    assert landed(scratch) == sorted(first, key=repr)

    newest = max(one[7] for one in first)
    more = [
        row(200, at=newest),  # the same time as the greatest that was read
        row(201, at=newest - dt.timedelta(minutes=59)),  # committed late
        row(202, at=newest + dt.timedelta(days=3)),
        (*row(203, at=newest)[:7], None, newest),  # no watermark
    ]
    orders.sql(sql(more[:3]) + sql([more[3]]).replace(f"'{more[3][7]}'", "null"))
    with monkeypatch.context() as patch:  # before the commit
        patch.setattr(Tables, "_try_write", killed)
        with pytest.raises(KeyboardInterrupt):
            scratch.run(text, only="ingest")
    assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "done"}
    assert landed(scratch, "_batch = 2") == sorted(more, key=repr)
    assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "unchanged"}

    orders.sql(sql([row(300, at=newest - dt.timedelta(days=30))]))  # before the overlap: as if it had always been there
    orders.sql("delete from shop.orders where id = 202")
    scratch.run(text, only="ingest")
    assert landed(scratch) == sorted([*first, *more], key=repr)

    assert holding(scratch.folder, "日本")  # a note that landed: the search below could find it
    assert holding(scratch.folder, orders.password) == []


def test_with_a_key_an_update_lands_and_the_newest_row_counts(orders: Server, scratch) -> None:
    text = yaml(orders, "watermark: updated_at", key="key: id\n    types: {price: double}")
    scratch.run(text)
    orders.sql("update shop.orders set note = 'new', updated_at = '2024-03-05 00:00:00' where id in (1, 2)")
    outcome = scratch.run(text)
    assert next(r.rows_out for r in outcome.records if r.step == "ingest:orders") == 2
    assert scratch.table("orders").count() == 43
    assert sorted(scratch.rows("orders", "id", "note"))[1:3] == [(1, "new"), (2, "new")]
    # another query: what landed of the table counts no more
    text = yaml(orders, "watermark: id", 'query: "select id, note from shop.orders where id < 5"', key="key: id")
    scratch.run(text)
    assert sorted(scratch.rows("orders", "id", "note")) == [
        (0, "plain"),
        (1, "new"),
        (2, "new"),
        (3, "plain"),
        (4, "plain"),
    ]


def test_without_a_watermark_the_content_decides(orders: Server, scratch) -> None:
    text = yaml(orders, "partition_column: updated_at", 'query: "select id, updated_at from shop.orders"')
    scratch.run(text, only="ingest")
    assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "unchanged"}
    orders.sql("update shop.orders set updated_at = updated_at + interval '1 microsecond' where id = 7")
    assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "done"}
    assert scratch.table("raw_orders").where("_batch = 2").count() == 43
    orders.sql("delete from shop.orders")
    with pytest.raises(DataError, match="returned no row; the rows of before stand"):
        scratch.run(text, only="ingest")


def test_any_reader_of_spark_by_its_format_and_options(orders: Server, scratch) -> None:
    text = f"""
pipeline: p
tables:
  orders:
    source:
      format: org.apache.spark.sql.jdbc
      options: {{url: "{orders.url}", user: spark, password: "${{secret:SHOP_PASSWORD}}", dbtable: "(select id, note from shop.orders) t"}}
"""
    scratch.run(text, only="ingest")
    assert scratch.table("raw_orders").select("id", "_source").distinct().count() == 43
    assert orders.password not in scratch.table("raw_orders").first()["_source"]
    assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "unchanged"}

    marked = text.rstrip() + "\n      watermark: id\n      overlap: 5\n    key: id\n"
    scratch.run(marked, only="ingest")
    orders.sql(sql([row(n) for n in (98, 200)]))
    assert statuses(scratch.run(marked, only="ingest")) == {"ingest:orders": "done"}
    assert [r[0] for r in scratch.rows("raw_orders", "id", "_batch") if r[1] == 3] == [200, 98]
    assert statuses(scratch.run(marked, only="ingest")) == {"ingest:orders": "unchanged"}


@pytest.mark.parametrize(
    ("more", "table", "says"),
    [
        ("watermark: updatedat", "table: shop.orders", r"there is no column 'updatedat'.*did you mean 'updated_at'"),
        ("watermark: note", "table: shop.orders", "note is string; wanted is"),
        ("partition_column: ok", "table: shop.orders", "ok is boolean; wanted is"),
        ("watermark: id\n      overlap: 1 day", "table: shop.orders", "id is bigint; write a number"),
        ("watermark: id", "table: shop.ordres", 'relation "shop.ordres" does not exist'),
        ("options: {ssl: true}", "table: shop.orders", "mend url, table, query, user or password"),
    ],
)
def test_mistakes_are_told_in_words(orders: Server, scratch, more: str, table: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        scratch.run(yaml(orders, more, table), only="ingest")
    assert "org.postgresql" not in raised.value.message


def test_what_a_wrong_password_and_a_time_in_the_future_say(
    orders: Server, scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders.sql("insert into shop.orders (id, updated_at) values (1, '2999-01-01')")
    with pytest.raises(DataError, match="in the future; rows written until then would never be read"):
        scratch.run(yaml(orders, "watermark: updated_at"), only="ingest")
    orders.sql("insert into shop.orders (id, updated_at) values (1, 'infinity')")
    with pytest.raises(DataError, match="a time is infinite"):
        scratch.run(yaml(orders, "watermark: updated_at"), only="ingest")
    monkeypatch.setenv("SHOP_PASSWORD", "wrong-Pw-77")
    with pytest.raises(ConfigError, match="password authentication failed") as raised:
        scratch.run(yaml(orders, "watermark: updated_at"), only="ingest")
    assert "wrong-Pw-77" not in raised.value.message


def test_mariadb_through_the_driver_of_mysql(scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    with mariadb(time_zone="+02:00") as server:
        monkeypatch.setenv("SHOP_PASSWORD", server.password)
        server.sql(
            "create table orders (id int primary key, amount decimal(12, 2), note text, ok boolean, part int, day date, "
            "updated_at datetime(6), seen_at timestamp(6) null);"
            "insert into orders values "
            + ", ".join(
                f"({n}, {n}.25, 'O''Neill é {n}', {n % 2 == 0}, {'null' if n % 3 == 0 else n}, '2024-03-01', "
                f"'2024-03-01 12:{n:02}:00.000007', '2024-03-01 14:{n:02}:00.5')"
                for n in range(30)
            )
        )
        text = yaml(server, "watermark: updated_at\n      partition_column: part\n      partitions: 2", "table: orders")
        scratch.run(text, only="ingest")
        at = dt.datetime(2024, 3, 1, 12, 0, 0)

        def one(n: int) -> tuple:
            moments = at + dt.timedelta(minutes=n, microseconds=7), at + dt.timedelta(minutes=n, seconds=0.5)
            part = None if n % 3 == 0 else n
            return (n, D(f"{n}.25"), f"O'Neill é {n}", n % 2 == 0, part, dt.date(2024, 3, 1), *moments)

        assert landed(scratch) == sorted(map(one, range(30)), key=repr)
        assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "unchanged"}
        server.sql("update orders set updated_at = '2024-03-02 00:00:00' where id = 3")
        scratch.run(text, only="ingest", options=Options())
        assert [r[0] for r in landed(scratch, "_batch = 2")] == [3]
