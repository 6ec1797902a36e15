"""Online stores: one contract for both, whoever dies and whoever else is there; servers that read them; the log in Spark."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from headrace.cli.publishing.job import told
from headrace.config.strategies import Strategy
from headrace.errors import HeadraceError
from headrace.models.entities import entity_text
from headrace.serving.app import create
from headrace.serving.inference_log import InferenceLog
from headrace.serving.online import postgres_writing, sqlite
from headrace.serving.online.store import Found, OnlineTable, Publish, Row, Written, opened, sqlite_path
from headrace.serving.service import Service
from headrace.serving.settings import Settings
from tests.support.servers import Server, free_port, postgres
from tests.support.serving import Registry, asked, running, store_url
from tests.support.serving import served as served_version

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def to(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Each of the stores, empty."""
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    if request.param == "sqlite":
        return "sqlite"
    server: Server = request.getfixturevalue("server")
    server.sql("drop schema if exists headrace_online cascade")
    monkeypatch.setenv("SHOP_PASSWORD", server.password)
    return store_url(server)


def put(to: str, at: datetime, rows: dict[str, list[Row]], whole: list[str]) -> Written:
    """A publish of rows as they are."""
    tables = {name: OnlineTable("lookup", (("k", "string"),), (("v", "string"),)) for name in rows}
    batches = [some for found in rows.values() for some in (found[:2], found[2:]) if some]
    if to == "sqlite":
        return sqlite.write(sqlite_path("shop"), Publish(0, at, tables), batches, whole)
    work = postgres_writing.begin(to, "shop")
    try:
        postgres_writing.copied(work.address, work.staging, batches)
        postgres_writing.copied(work.address, work.staging, batches)  # a task that was repeated
        return postgres_writing.moved(work, Publish(0, at, tables), whole)
    finally:
        work.close()


def lines(table: str, *values: str | None) -> list[Row]:
    return [
        Row(table, entity_text([k]), f'["{v}"]', None if k % 2 else k) for k, v in enumerate(values) if v is not None
    ]


def test_stores_hold_what_was_published_last(to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(to, "shop").publish() is None
    a, b = lines("a", *"pqrs"), lines("b", "x", "y")
    assert put(to, START, {"a": a, "b": b}, ["a", "b"]) == Written(6, 0, 0, 6)
    assert put(to, START, {"a": a, "b": b}, ["a", "b"]) == Written(0, 0, 0, 6)
    store, keys = opened(to, "shop"), [(r.table, r.entity) for r in (*a, *b)]
    changed = [*lines("a", "p", None, "other"), Row("a", entity_text([3]), '["s"]', 77)]  # one goes, two are others
    assert put(to, START + DAY, {"a": changed, "b": []}, ["a"]) == Written(0, 2, 1, 5)  # b stays as it is
    publish, found = store.fetch(keys)
    assert (publish.as_of, list(publish.tables)) == (START + DAY, ["a", "b"])
    assert found == {(r.table, r.entity): Found(json.loads(r.values), r.holds_until) for r in (*changed, *b)}
    assert put(to, START, {"a": a}, ["a"]) == Written(superseded=True)
    assert "holds values of a later time" in told(Written(superseded=True), START, to, "shop")

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Publish, "to_json", dies)  # when all rows have been written, before the end
        with pytest.raises(KeyboardInterrupt):
            put(to, START + 2 * DAY, {"a": a}, ["a"])
    assert store.fetch(keys) == (publish, found)
    assert put(to, START + 2 * DAY, {"a": a}, ["a"]) == Written(1, 2, 2, 4)
    assert store.fetch(keys)[0].number > publish.number
    store.close()


def test_readers_see_whole_publishes(tmp_path: Path) -> None:
    path, columns = tmp_path / "s.sqlite", {"t": (("v", "bigint"),)}

    def write(number: int) -> None:
        tables = {"t": OnlineTable("lookup", (("k", "bigint"),), columns["t"])}
        rows = [Row("t", entity_text([k]), f"[{number}]", None) for k in range(500)]
        sqlite.write(path, Publish(0, START + timedelta(hours=number), tables), [rows[:250], rows[250:]], ["t"])

    write(0)
    store, stop, seen, keys = (
        sqlite.SqliteStore(path),
        threading.Event(),
        set(),
        [("t", entity_text([k])) for k in range(500)],
    )
    writers = [threading.Thread(target=lambda n=n: [write(n * 10 + i) for i in range(8)]) for n in (0, 1)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        publish, rows = store.fetch(keys)
        values = {row.values[0] for row in rows.values()}
        assert len(rows) == 500
        assert values == {(publish.as_of - START) // timedelta(hours=1)}
        seen |= values
    stop.set()
    assert len(seen) > 3
    with pytest.raises(HeadraceError, match="readonly"), store._reading() as connection:
        connection.execute("DELETE FROM features")


def test_odd_keys_and_two_at_once_in_postgresql(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.sql("drop schema if exists headrace_online cascade")
    url = server.url.replace("jdbc:postgresql://", f"postgresql://{server.user}:{server.password}@")
    keys = [entity_text([k]) for k in ("", "\\", "\\0", "\x00", "a,b", 'q"', "\r\n", "é", ".", "\\.")]
    work = postgres_writing.begin(url, "odd")
    with pytest.raises(HeadraceError, match="another publish of odd is at work"):
        postgres_writing.begin(url, "odd")
    other = postgres_writing.begin(url, "other")
    other.close()
    rows = [Row("t", key, f'["{i}"]', None if i % 2 else i) for i, key in enumerate(keys)]
    postgres_writing.copied(work.address, work.staging, [rows[:4], rows[4:]])
    postgres_writing.copied(work.address, work.staging, [rows])  # a task that was repeated
    tables = {"t": OnlineTable("lookup", (("k", "string"),), (("v", "string"),))}
    assert postgres_writing.moved(work, Publish(0, START, tables), ["t"]) == Written(len(keys), 0, 0, len(keys))
    work.connection.close()  # killed: the staging table is left
    postgres_writing.begin(url, "odd").close()
    assert server.sql("select count(*) from pg_tables where tablename like 'staging\\_%'").strip() == "0"
    store = opened(url, "odd")
    _, found = store.fetch([("t", key) for key in keys])
    assert found == {("t", key): Found([str(i)], None if i % 2 else i) for i, key in enumerate(keys)}
    store.close()


def test_a_server_looks_up_in_postgresql_and_outlives_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", server.password)
    server.sql("drop schema if exists headrace_online cascade")
    put(store_url(server), START, {"last": lines("last", "a", "bb")}, ["last"])
    registry = Registry({"champion": 1}, {1: served_version(1, features={"amount": "double", "last__v": "string"})})
    service = Service(registry.models(), Strategy(), opened(store_url(server), "shop"))
    rows = [{"amount": 1.0, "k": "1"}, {"amount": 1.0, "k": "7"}]
    with running(create(service, Settings("shop", "", poll=0.1)), free_port()) as url:

        def status() -> int:
            return asked(f"{url}/v1/models/shop/predict", {"rows": rows})[0]

        assert status() == 200
        others = "pid <> pg_backend_pid() and application_name = 'headrace'"
        server.sql(f"select pg_terminate_backend(pid) from pg_stat_activity where {others}")
        assert status() == 200  # over a new connection
        server.sql("drop schema headrace_online cascade")
        code, found = asked(f"{url}/v1/models/shop/predict", {"rows": rows})
        assert code == 503
        assert "online store" in found["detail"]
        put(store_url(server), START, {"last": lines("last", "a", "longer")}, ["last"])
        code, found = asked(f"{url}/v1/models/shop/predict", {"rows": [{"amount": 1.0, "k": "1"}]})
        assert (code, found["predictions"][0]["probability"]) == (200, 7.0)
    service.store.close()  # type: ignore[union-attr]


def test_spark_reads_the_log(spark: SparkSession, tmp_path: Path) -> None:
    log, registry = InferenceLog(tmp_path / "log"), Registry({"champion": 1}, {1: served_version(1)})
    service = Service(registry.models(), Strategy(), None, log)
    given = {"amount": 2.5, "vip": None, "spending__count_1d": 3, "last__note": "é"}
    service.record("one", service.answer([given, given]))
    log.close()
    other = InferenceLog(tmp_path / "log")
    other.put(lambda: [{"request_id": "not yet"}])
    time.sleep(0.2)
    try:
        rows = spark.read.json(str(tmp_path / "log")).select(
            "request_id", "row", "features.*", "probability", "model_version"
        )
        told = [tuple(r) for r in rows.orderBy("row").collect()]
    finally:
        other.close()
    assert [r[:2] for r in told] == [("one", 0), ("one", 1)]
    assert {"amount", "vip", "spending__count_1d", "last__note"} <= set(rows.columns)
    assert told[0][2:] == told[1][2:]
    assert told[0][-2:] == (6.5, 1)
