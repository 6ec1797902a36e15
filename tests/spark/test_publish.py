"""Publishing feature tables: what is stored is what training would see, until it says; and twice."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.cli.publishing.definitions import made_now
from headrace.cli.publishing.job import published
from headrace.config.reading import read_pipeline
from headrace.config.strategies import Strategy
from headrace.engine.assemble import add_features
from headrace.engine.online import values_at
from headrace.engine.time import known_by, moment
from headrace.errors import ConfigError
from headrace.models.card import ModelCard
from headrace.models.definitions import digest, whole
from headrace.models.entities import entity_text
from headrace.models.record import DEFINITIONS, RECORD_FILE
from headrace.models.store import CARD_FILE, ModelStore
from headrace.models.version import PREFIX, Version
from headrace.runtime.home import places
from headrace.runtime.progress import Progress
from headrace.runtime.tables import Tables
from headrace.serving import typed
from headrace.serving.body import BadRequestError
from headrace.serving.models import Served
from headrace.serving.online.sqlite import SqliteStore
from headrace.serving.online.store import Found, OnlineStore, Written, opened, sqlite_path
from headrace.serving.service import Service
from headrace.training.rows import add_row_features
from headrace.training.stage import reader
from tests.spark.modelling import shared_home, sqlite
from tests.support.runs import Project
from tests.support.servers import Server, postgres
from tests.support.serving import Registry, store_url

pytestmark = pytest.mark.usefixtures("interpreted")

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
YAML = """
pipeline: shop
tables:
  orders:
    source: {format: csv, path: orders.csv}
    types: {at: timestamp, known: timestamp}
    key: id
    event_time: at
    available_at: known
    known_early: [customer, shop]
  customers: {source: {format: csv, path: customers.csv}, types: {price: "decimal(8,2)", born: date}, key: customer}
feature_tables:
  spending:
    from: orders
    entity: [customer, shop]
    aggregates:
      - {column: amount, functions: [count, sum, mean, since_last], windows: [6 hours, 3 days]}
      - {column: at, functions: last, windows: 3 days}
  last_order: {from: orders, entity: customer, latest: [amount, note], max_age: 2 days}
  customer: {from: customers, entity: customer, lookup: [price, born, vip]}
training_set:
  from: orders
  label: "amount > 1"
  features: [spending, last_order, customer]
  row_features:
    twice: "spending__amount_count_3d * 2"
    above: "coalesce(spending__amount_mean_6h, 0) - spending__amount_mean_3d"
    share: "spending__amount_sum_6h / nullif(spending__amount_sum_3d, 0)"
    shouted: "upper(last_order__note)"
    day: "weekday(at)"
    born: "year(customer__born) - 1900"
    late: "case when twice > 4 and above > 0 then 'late' when customer__vip then 'vip' end"
    thrice: "length(shouted) * 3 + twice"
    ratio: "twice / (id + 1)"
    minute: "hour(from_utc_timestamp(at, 'America/New_York')) * 60 + minute(at)"
    angle: "sin(radians(spending__amount_sum_3d)) + power(spending__amount_mean_3d, 2) % 3"
    since: "unix_seconds(at) div 60 + dayofweek(at) - dayofyear(at)"
    few: "spending__amount_count_3d in (1, 2) or spending__amount_count_3d not between 5 and 7"
    quarters: "floor(spending__amount_mean_3d * 4) - ceil(spending__amount_mean_3d)"
    known: "nullif(spending__amount_count_3d, 0) <> 3"
    age: "year(at) - year(customer__born)"
"""


def orders(count: int = 80, seed: int = 5) -> str:
    drawn, lines = random.Random(seed), ["id,customer,shop,at,known,amount,note"]
    for i in range(count):
        at = START + timedelta(minutes=drawn.randrange(9_000))
        known = at + timedelta(hours=drawn.choice([0, 0, 1, 7]))
        customer = "" if i % 13 == 7 else "abc"[i % 3]
        amount = drawn.choice([1, 2, "", 5])
        lines.append(f"{i},{customer},{i % 2},{at.isoformat()},{known.isoformat()},{amount},{'n' * (i % 4)}")
    return "\n".join(lines) + "\n"


CUSTOMERS = "customer,price,born,vip\na,1.50,1999-12-31,true\nb,,,\nc,-3.25,1960-01-01,false\n"


ONE = YAML.partition("features: [spending, last_order, customer]")[0] + "features: [customer]\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as made:
        yield made


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A pipeline whose feature tables are there."""
    with pytest.MonkeyPatch.context() as patch:
        project = Project(spark, tmp_path_factory.mktemp("shop"), patch)
        project.write("orders.csv", orders())
        project.write("customers.csv", CUSTOMERS)
        project.run(YAML, to="features")
        yield project


@pytest.fixture
def shop(built: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Project:
    """A copy of it."""
    shutil.copytree(built.folder, tmp_path / "shop")
    project = Project(built.spark, tmp_path / "shop", monkeypatch)
    project.pipeline = built.pipeline
    return project


def publish(shop: Project, to: str, at: datetime) -> Written:
    pipeline, environment = read_pipeline(shop.folder / "pipeline.yaml")
    return published(shop.spark, pipeline, environment, to, at, Progress())


def tables_of(shop: Project) -> Tables:
    where = places(*read_pipeline(shop.folder / "pipeline.yaml"))
    return Tables(shop.spark, where.root, where.schema)


def expected(shop: Project, at: datetime) -> dict[tuple[str, str], dict[str, Any]]:
    """Of every key there could be, what training would see at a time: by the join of training."""
    pipeline, tables = shop.pipeline, tables_of(shop)

    def table(name: str) -> DataFrame:
        return tables.read(name, tables.last(name).version)

    keys = shop.spark.sql(
        "select c customer, cast(s as int) shop from values ('a'), ('b'), ('c'), ('z') t(c), values (0), (1) u(s)"
    )
    spine = keys.withColumn("predict_at", moment(at))
    names = pipeline.training_set.features
    found = add_features(spine, pipeline, names, reader(pipeline, table, at)).collect()
    made = {}
    for row in found:
        for name in names:
            key = entity_text([row[column] for column in pipeline.feature_tables[name].entity])
            made[name, key] = {c.partition("__")[2]: row[c] for c in row.__fields__ if c.startswith(f"{name}__")}
    return made


def served(store: OnlineStore, keys: list[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """The same as a server would have it at the time of the publish."""
    from headrace.serving.typed import restored

    publish, found = store.fetch(keys)
    made = {}
    for table, key in keys:
        described = publish.tables[table]
        row = found.get((table, key), Found([], None))
        values = dict(zip((c for c, _ in described.columns), row.values, strict=bool(row.values)))
        made[table, key] = {}
        for column, kind in described.columns:
            value = values.get(column, described.without.get(column) if not row.values else None)
            back = restored(kind)
            made[table, key][column] = back(value) if back and value is not None else value
    return made


def plain(rows: dict) -> dict:
    def one(value: Any) -> Any:
        return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value

    return {key: {c: one(v) for c, v in row.items()} for key, row in rows.items()}


def test_what_is_stored_is_what_training_would_see(
    shop: Project, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", server.password)
    for hours, to in ((30, "sqlite"), (70, store_url(server)), (160, "sqlite"), (1000, "sqlite")):
        at = START + timedelta(hours=hours, minutes=7)
        want = expected(shop, at)
        written = publish(shop, to, at)
        store = opened(to, "shop")
        try:
            assert plain(served(store, list(want))) == plain(want)
            found = store.publish()
            assert found
            assert found.as_of == at
            _, rows = store.fetch(list(want))
            assert written.rows == len(rows)
        finally:
            store.close()
    assert {table for table, _ in rows} == {"customer"}  # after weeks nothing is in any window


class Seen:
    """A scorer that keeps what it is given."""

    def score(self, table: pa.Table) -> pa.Table:
        self.rows = table.to_pylist()
        return pa.table({"prediction": [True] * len(self.rows), "probability": [0.5] * len(self.rows)})


def test_a_server_makes_of_a_request_what_training_would(shop: Project) -> None:
    at, pipeline, tables = START + timedelta(hours=70), shop.pipeline, tables_of(shop)
    publish(shop, "sqlite", at)
    store, training = opened("sqlite", "shop"), pipeline.training_set
    found = store.publish()
    assert found
    computed = [one.name for one in found.row_features]
    assert set(training.row_features) - set(computed) == {
        "shouted",
        "thrice",
        "late",
    }  # functions of text; a mark of a feature

    spine = tables.read("orders", tables.last("orders").version).select("id", "customer", "shop", "at").limit(40)
    read = reader(pipeline, lambda name: tables.read(name, tables.last(name).version), at)
    joined = add_features(spine.withColumn("predict_at", moment(at)), pipeline, training.features, read)
    made = add_row_features(joined, training, pipeline.tables["orders"], [])
    kinds = {f.name: f.dataType.simpleString() for f in made.schema}
    want = made.toArrow().to_pylist()

    features = {name: kind for name, kind in kinds.items() if "__" in name or name in training.row_features}
    seen, given = Seen(), [name for name in training.row_features if name not in computed and name != "thrice"]
    version = Served(Version("shop", 1, "r", {}), ModelCard("binary", features, "boolean", (False, True)), seen)
    service = Service(Registry({"champion": 1}, {1: version}).models(), Strategy(), store)
    own = ("id", "customer", "shop", "at", "predict_at", "thrice", *given)
    service.answer([{name: typed.plain(row[name]) for name in own} for row in want])
    assert plain(dict(enumerate(seen.rows))) == plain({i: {n: r[n] for n in features} for i, r in enumerate(want)})
    with pytest.raises(BadRequestError) as raised:
        service.answer([{"customer": "a", "shop": 1, "thrice": 3, "shouted": None}])
    told = {one["field"]: one["msg"] for one in raised.value.details}
    assert told["id"] == "id is missing: ratio is computed of it; bigint, or null"
    assert set(told) == {"id", "at", "late"}
    store.close()


def test_rows_hold_until_they_say(shop: Project) -> None:
    """With nothing new known, values stay until the moment told, and are others from then on."""
    tables, at, tried = tables_of(shop), START + timedelta(hours=70), 0
    for name in ("spending", "last_order"):
        table, source = shop.pipeline.feature_tables[name], shop.pipeline.tables["orders"]
        read = table.from_ if table.kind == "aggregates" else name
        rows = tables.read(read, tables.last(read).version)
        rows = (
            known_by(rows, source, at)
            if table.kind == "aggregates"
            else rows.where(F.col("available_at") <= moment(at))
        )
        rows = rows.localCheckpoint()

        def values(when: datetime, rows: DataFrame = rows, table: Any = table, source: Any = source) -> dict:
            found = values_at(rows, table, source, when).collect()
            return {tuple(r[k] for k in table.entity): tuple(r)[len(table.entity) :] for r in found}

        columns = values_at(rows, table, source, at).columns[len(table.entity) :]
        skip = {i for i, c in enumerate(columns) if "since_last" in c}

        def same(one: tuple | None, two: tuple | None, skip: set[int] = skip) -> bool:
            left, right = ([v for i, v in enumerate(row[:-1]) if i not in skip] if row else None for row in (one, two))
            return left == right

        now = values(at)
        for key, row in sorted(now.items())[:3]:
            assert row[-1] is not None
            until = row[-1].replace(tzinfo=UTC)
            assert until > at
            assert same(values(until - timedelta(microseconds=1)).get(key), row)
            assert not same(values(until).get(key), row)
            tried += 1
    assert tried == 6


def test_a_second_publish_writes_what_differs(shop: Project) -> None:
    at = START + timedelta(hours=70)
    first = publish(shop, "sqlite", at)
    assert (first.added, first.changed, first.deleted) == (first.rows, 0, 0)
    again = publish(shop, "sqlite", at)
    assert (again.added, again.changed, again.deleted, again.rows) == (0, 0, 0, first.rows)
    shop.write("customers.csv", CUSTOMERS.replace("1.50", "9.99").replace("b,,,\n", "") + "d,1,,\n")
    shop.run(ONE, to="features")
    third = publish(shop, "sqlite", at)  # and tables that the model no longer reads go
    assert (third.added, third.changed, third.deleted, third.rows) == (1, 1, first.rows - 2, 3)


def test_what_cannot_be_published(shop: Project, server: Server) -> None:
    at = START + timedelta(hours=70)
    for to, says in (
        ("mysql://x", "mysql: is no online store; write sqlite"),
        (f"postgresql://spark:wrong@127.0.0.1:{server.url.rpartition(':')[2]}", "password authentication failed"),
        ("postgresql://spark:x@127.0.0.1:1/db", "PostgreSQL at spark@127.0.0.1:1/db"),
    ):
        with pytest.raises(ConfigError, match=says) as raised:
            publish(shop, to, at)
        assert "wrong" not in str(raised.value)
    shop.write("pipeline.yaml", YAML.partition("  features: [spending, last_order, customer]")[0])
    with pytest.raises(ConfigError, match="there is nothing to publish"):
        publish(shop, "sqlite", at)
    assert not sqlite_path("shop").exists()


def test_what_the_champion_did_not_learn_from_is_not_published(
    shop: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    at, home = START + timedelta(hours=70), shop.folder / "home"
    shared = shared_home(tmp_path_factory) / "mlflow"
    shared.mkdir(parents=True, exist_ok=True)
    (home / "mlflow").symlink_to(shared)
    features = {"spending__amount_sum_3d": "double", "shouted": "string", "customer__vip": "string"}
    store = ModelStore(sqlite(home))
    learned(store, whole(made_now(shop.pipeline, tables_of(shop)), features), features)
    try:
        first = publish(shop, "sqlite", at)
        assert first.rows == first.added > 0
        shop.write(
            "pipeline.yaml",
            YAML.replace("windows: [6 hours, 3 days]}", "windows: [6 hours, 3 days], where: amount > 1}"),
        )
        with pytest.raises(ConfigError, match="nothing was published: version 1 of shop learned from other") as raised:
            publish(shop, "sqlite", at + DAY)
        assert "+ feature_tables.spending.amount_sum_3d: sum of amount over 3 days where amount > 1" in str(
            raised.value
        )
        assert "amount_count" not in str(raised.value)  # the model does not use it
        shop.write("pipeline.yaml", YAML.replace("length(shouted) * 3", "length(shouted) * 4"))
        assert publish(shop, "sqlite", at).rows == first.rows  # nor this
        shop.write("pipeline.yaml", YAML)
        publish(shop, "sqlite", at)
        found = SqliteStore(sqlite_path("shop")).publish()
        assert found is not None
        assert found.made is not None
        assert whole(found.made, features) == whole(made_now(shop.pipeline, tables_of(shop)), features)
    finally:
        store.client.delete_registered_model("shop")


def learned(store: ModelStore, definitions: dict[str, str], features: dict[str, str]) -> None:
    """A champion of these features that says what it learned from."""
    run = store.client.create_run(store.experiment("shop")).info.run_id
    store.client.log_dict(run, ModelCard("binary", features, "boolean", (False, True)).as_dict(), CARD_FILE)
    store.client.log_dict(run, {"definitions": definitions}, RECORD_FILE)
    store.client.create_registered_model("shop")
    tags = {f"{PREFIX}{DEFINITIONS}": digest(definitions), f"{PREFIX}card": "{}"}
    version = store.client.create_model_version("shop", f"runs:/{run}/model", run_id=run, tags=tags).version
    store.client.set_registered_model_alias("shop", "champion", version)
