"""Scoring as a stream: the batch job's predictions, each row once, whatever comes, and whenever the job is killed."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession

from headrace.cli.streaming.stream import Scorer, Totals
from headrace.config.reading import read_pipeline
from headrace.config.types import Environment
from headrace.errors import ConfigError, DataError
from headrace.models.store import ModelStore
from headrace.runtime.home import places
from headrace.runtime.progress import Progress
from headrace.runtime.step import Output
from headrace.runtime.tables import Tables
from tests.support.brokers import Broker
from tests.support.runs import Project

pytestmark = pytest.mark.usefixtures("interpreted")
YAML = """
pipeline: shop
tables:
  orders: {source: {format: csv, path: orders.csv}, key: id, event_time: at, columns: {late: cast(late as boolean)}}
  visits: {source: {format: csv, path: visits.csv}, event_time: seen}
feature_tables:
  habits: {from: visits, entity: customer, aggregates: [{column: pages, functions: [count, sum], windows: 3 days}]}
training_set: {from: orders, label: late, features: [habits]}
search: {estimators: logistic_regression, max_evals: 1}
scoring: {output: %s, stream: {%s}}
"""
ROW = "id int, customer string, at timestamp, paid int"
COLUMNS = ("id", "predict_at", "revision", "prediction", "probability", "model_name", "model_version")
START = datetime(2024, 1, 1, tzinfo=UTC)


def killed(*_: Any) -> None:
    raise KeyboardInterrupt


def order(i: int, rng: random.Random) -> tuple[int, str, datetime, int]:
    return i, f"c{rng.randint(0, 9)}", START + timedelta(minutes=37 * i), rng.randint(1, 99)


def csv_lines(orders: list[tuple[int, str, datetime, int]], rng: random.Random | None) -> list[str]:
    """Orders as lines, with their label or (without a generator) still without."""
    return [
        f"{i},{c},{at:%Y-%m-%dT%H:%M:%S},{paid},{'' if rng is None else str(rng.random() < paid / 100).lower()}"
        for i, c, at, paid in orders
    ]


class Shop:
    """A shop that has learned from 200 orders; of 100 others the batch job has predicted those in `reference`."""

    def __init__(self, scratch: Project) -> None:
        self.scratch, rng = scratch, random.Random(3)
        old = csv_lines([order(i, rng) for i in range(200)], rng)
        self.new = [order(i, rng) for i in range(200, 300)]
        visits = [
            f"c{rng.randint(0, 9)},{START + timedelta(minutes=20 * i):%Y-%m-%dT%H:%M:%S},{i % 7}" for i in range(560)
        ]
        scratch.write("visits.csv", "\n".join(["customer,seen,pages", *visits]) + "\n")
        self._orders(old)
        scratch.run(self.yaml("first"), to="register")
        self.store = ModelStore(places(scratch.pipeline, Environment()).tracking_uri)
        self._orders(old + csv_lines(self.new, None))
        scratch.run(self.yaml("reference"), to="clean")
        scratch.run(self.yaml("reference"), only="score")
        self.reference = self.rows("reference")
        assert len(self.reference) == 100

    def _orders(self, lines: list[str]) -> None:
        self.scratch.write("orders.csv", "\n".join(["id,customer,at,paid,late", *lines]) + "\n")

    def yaml(self, output: str, more: str = "") -> str:
        """`more`: of the stream; each output has a source and a checkpoint of its own."""
        source = f"source: {{format: delta, path: in_{output}}}"
        place = f"checkpoint: {self.scratch.folder}/at_{output}" if output != "p" else ""
        own = [one for one in (source, place) if one and one.split(":")[0] not in more]
        return YAML % (output, ", ".join([*own, *([more] if more else [])]))

    def put(self, table: str, orders: Sequence[tuple[Any, ...]], schema: str = ROW) -> None:
        frame = self.scratch.spark.createDataFrame(list(orders), schema)
        frame.coalesce(1).write.format("delta").mode("append").save(str(self.scratch.folder / table))

    def scorer(self, output: str, more: str = "") -> Scorer:
        pipeline, environment = read_pipeline(self.scratch.write(f"{output}.yaml", self.yaml(output, more)))
        return Scorer(self.scratch.spark, pipeline, environment, Progress())

    def stream(self, output: str, more: str = "") -> Totals:
        scorer = self.scorer(output, more)
        scorer.run()
        return scorer.totals

    def rows(self, output: str) -> list[tuple[Any, ...]]:
        return sorted(map(tuple, self.scratch.table(output).select(*COLUMNS).collect()))


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, interpreted: None) -> Iterator[Shop]:
    with pytest.MonkeyPatch.context() as patch:
        yield Shop(Project(spark, tmp_path_factory.mktemp("shop"), patch))


def numbers(totals: Totals) -> tuple[int, int, int]:
    return totals.rows_in, totals.rows_out, totals.unread


def test_what_a_stream_predicts_is_what_the_batch_job_does(shop: Shop) -> None:
    shop.put("in_p", shop.new[:50])
    shop.put("in_p", shop.new[50:80])
    first = shop.stream("p", "max_rows: 20")
    assert (*numbers(first), first.batches) == (80, 80, 0, 2)
    assert shop.rows("p") == shop.reference[:80]
    assert shop.stream("p").batches == 0
    shop.put("in_p", shop.new[70:])
    assert numbers(shop.stream("p")) == (30, 20, 0)
    assert shop.rows("p") == shop.reference
    runs = shop.scratch.table("runs").where("step = 'stream'").select("rows_in", "rows_out", "status").collect()
    assert sorted(map(tuple, runs)) == [(30, 20, "done"), (30, 30, "done"), (50, 50, "done")]

    before = shop.scratch.table("reference").collect()  # what the batch job has predicted
    shop.put("in_reference", shop.new)
    assert numbers(shop.stream("reference")) == (100, 0, 0)
    assert shop.scratch.table("reference").collect() == before


def test_it_goes_on_where_it_was_killed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put("in_killed", [*shop.new[:50], (None, "c1", START, 1)])
    shop.put("in_killed", shop.new[50:])
    whole = Tables.write

    def unwritten(self: Tables, output: Output, *rest: Any) -> Any:
        if output.table == "killed":
            raise KeyboardInterrupt  # what cannot be read has been written down
        return whole(self, output, *rest)

    for place, name, function in ((Tables, "write", unwritten), (Scorer, "_add", killed)):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, function)
            with pytest.raises(KeyboardInterrupt):
                shop.stream("killed", "max_rows: 20")
    assert shop.rows("killed") == shop.reference[:50]  # written, and not noted by Spark
    assert numbers(shop.stream("killed", "max_rows: 20")) == (101, 50, 1)
    assert shop.rows("killed") == shop.reference
    assert shop.scratch.table("killed_unread").count() == 1


def test_two_at_once_score_each_row_once(shop: Shop) -> None:
    for part in (shop.new[:50], shop.new[50:]):
        shop.put("in_twice", part)
    scorers = [shop.scorer("twice", f"max_rows: 20, checkpoint: {shop.scratch.folder}/twice_{n}") for n in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: one.run(), scorers))
    assert shop.rows("twice") == shop.reference
    assert sum(one.totals.rows_out for one in scorers) == 100


def test_rows_that_cannot_be_read_are_set_aside(shop: Shop) -> None:
    good = [(str(i), c, at, str(paid)) for i, c, at, paid in shop.new]
    ahead = datetime(2999, 1, 1, tzinfo=UTC)
    bad = [("x", "c1", START, "1"), (None, "c1", START, "2"), ("901", "c1", None, "3"), ("902", None, ahead, "4"),
           ("903", "c1", START, "many")]  # fmt: skip
    for _ in range(2):
        shop.put("in_bad", [*good, *bad, *good[:3]], "id string, customer string, at timestamp, paid string")
    totals = shop.stream("bad", "max_rows: 200")
    assert (totals.rows_in, totals.rows_out, totals.unread) == (216, 100, 10)
    assert shop.rows("bad") == shop.reference
    found = {(r["content"], r["reason"]) for r in shop.scratch.table("bad_unread").collect()}
    assert shop.scratch.table("bad_unread").count() == 5

    def text(one: tuple[Any, ...]) -> str:
        at = None if one[2] is None else f"{one[2]:%Y-%m-%dT%H:%M:%S}.000000Z"
        pairs = zip(("id", "customer", "at", "paid"), (one[0], one[1], at, one[3]), strict=True)
        return json.dumps({name: value for name, value in pairs if value is not None}, separators=(",", ":"))

    lies = "predict_at lies after the time when the row came: what it is predicted from is not known yet"
    reasons = ("id is no bigint", "id, of the key, is null", "predict_at is null", lies, "paid is no bigint")
    assert found == {(text(one), why) for one, why in zip(bad, reasons, strict=True)}


def test_a_new_champion_scores_from_the_next_batch_on_until_it_is_stopped(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put("in_next", shop.new[:50])
    scorer, stop, whole = shop.scorer("next"), threading.Event(), Scorer._add
    version = shop.store.version("shop", 1)
    source = shop.store.client.get_model_version("shop", "1").source
    shop.store.client.create_model_version("shop", source, version.run_id)
    shop.store.tag(shop.store.version("shop", 2), version.tags)

    def counted(self: Scorer, *rest: Any) -> None:
        whole(self, *rest)
        if self.totals.batches == 1:
            shop.store.set_alias("shop", 2)
            shop.put("in_next", shop.new[50:])
        else:
            stop.set()

    monkeypatch.setattr(Scorer, "_add", counted)
    try:
        scorer.run("continuous", stop)
    finally:
        shop.store.set_alias("shop", 1)
    wanted = [(*row[:-1], 1 if row[0] < 250 else 2) for row in shop.reference]
    assert shop.rows("next") == wanted
    assert shop.stream("next").batches == 0  # the last batch was noted before it ended


def test_what_cannot_go_on_says_why(shop: Shop) -> None:
    with pytest.raises(ConfigError, match=r"in_wrong is no Delta table"):
        shop.stream("wrong")
    shop.put("in_wrong", [(1.5, "c1")], "id double, customer string")
    with pytest.raises(ConfigError, match=r"- wanted, \+ there\):\n  - id bigint\n  \+ id double\n  - at "):
        shop.stream("wrong")
    shop.put("in_changed", shop.new[:10])
    shop.stream("changed")
    path = shop.scratch.folder / "in_changed"
    shop.scratch.spark.sql(f"UPDATE delta.`{path}` SET paid = 1 WHERE id = 200")
    with pytest.raises(DataError, match=r"rows of the source were updated.*on_change: ignore"):
        shop.stream("changed")
    shop.put("in_changed", shop.new[10:20])
    assert shop.stream("changed", "on_change: ignore").rows_out == 10
    assert shop.rows("changed") == shop.reference[:20]
    shop.put("in_other", shop.new)
    with pytest.raises(
        ConfigError, match=r"at_changed tells how far delta .*in_changed of shop was read, and now it is"
    ):
        shop.stream("other", f"checkpoint: {shop.scratch.folder}/at_changed")
    shop.store.set_alias("shop", None)
    try:
        with pytest.raises(ConfigError, match=r"no version of shop is champion, so nothing can be scored; train one"):
            shop.stream("other")
    finally:
        shop.store.set_alias("shop", 1)


def test_messages_of_a_topic_are_scored(shop: Shop, kafka: Broker) -> None:
    kafka.make("orders-to-score", 2)
    for partition in range(2):
        rows = [one for one in shop.new if one[0] % 2 == partition]
        texts = [json.dumps({"id": i, "customer": c, "at": at.isoformat(), "paid": p}) for i, c, at, p in rows]
        kafka.send("orders-to-score", [(None, text) for text in [*texts, *texts[:5]]], partition)
    bad = ["no json", None, '{"id": 1}', '{"id": "x"}', '{"customer": "c1", "at": "2024-01-01T00:00:00Z"}']
    kafka.send("orders-to-score", [(None, one) for one in bad], 0)
    source = f"source: {{format: kafka, options: {{kafka.bootstrap.servers: '{kafka.servers}', subscribe: %s}}}}"
    totals = shop.stream("topic", source % "orders-to-score")
    assert numbers(totals) == (115, 100, 5)
    assert shop.rows("topic") == shop.reference
    none = "the value is no JSON object, or one of other types"
    wanted = [(f"kafka:orders-to-score/0/{55 + n:020d}", why) for n, why in enumerate(
        (none, "the message has no value", "predict_at is null", none, "id, of the key, is null"))]  # fmt: skip
    assert shop.scratch.rows("topic_unread", "came_from", "reason") == wanted
    assert shop.stream("topic", source % "orders-to-score").batches == 0
    with pytest.raises(ConfigError, match=r"there is no topic order-to-score .*did you mean 'orders-to-score'"):
        shop.stream("topic", source % "order-to-score")
