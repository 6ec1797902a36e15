"""Scoring as a stream: the batch job's predictions, each row once, whatever comes, and whenever the job is killed."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame

from headrace.cli.streaming.stream import Scorer
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError, DataError
from headrace.models.promotion import Word, promote
from headrace.models.store import ModelStore
from headrace.runtime.home import places
from headrace.runtime.progress import Progress
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
scoring: {output: %s, stream: {source: {format: delta, path: incoming}, max_rows: 40%s}}
"""
COLUMNS = ("id", "predict_at", "revision", "prediction", "probability", "model_name", "model_version")
START = datetime(2024, 1, 1, tzinfo=UTC)


def order(i: int, rng: random.Random) -> tuple[int, str, datetime, int]:
    return i, f"c{rng.randint(0, 9)}", START + timedelta(minutes=37 * i), rng.randint(1, 99)


def csv_lines(orders: list[tuple[int, str, datetime, int]], rng: random.Random | None) -> list[str]:
    """Orders as lines, with their label or (without a generator) still without."""
    return [
        f"{i},{c},{at:%Y-%m-%dT%H:%M:%S},{paid},{'' if rng is None else str(rng.random() < paid / 100).lower()}"
        for i, c, at, paid in orders
    ]


class Shop:
    """A shop that has learned from 200 orders, and gets others by a stream."""

    def __init__(self, scratch: Project) -> None:
        self.scratch, rng = scratch, random.Random(3)
        self.old = csv_lines([order(i, rng) for i in range(200)], rng)
        self.new = [order(i, rng) for i in range(200, 300)]
        visits = [f"c{rng.randint(0, 9)},{START + timedelta(minutes=20 * i):%Y-%m-%dT%H:%M:%S},{i % 7}" for i in range(560)]
        scratch.write("visits.csv", "\n".join(["customer,seen,pages", *visits]) + "\n")
        self.orders(self.old)
        scratch.run(self.yaml(), to="register")

    def orders(self, lines: list[str]) -> None:
        self.scratch.write("orders.csv", "\n".join(["id,customer,at,paid,late", *lines]) + "\n")

    def yaml(self, output: str = "predictions", more: str = "") -> str:
        return YAML % (output, more)

    def put(self, orders: list[tuple[Any, ...]], table: str = "incoming") -> None:
        frame = self.scratch.spark.createDataFrame(orders, "id int, customer string, at timestamp, paid int")
        frame.coalesce(1).write.format("delta").mode("append").save(str(self.scratch.folder / table))

    def stream(self, output: str = "predictions", more: str = "") -> Scorer:
        pipeline, environment = read_pipeline(self.scratch.write("pipeline.yaml", self.yaml(output, more)))
        self.scratch.pipeline = pipeline
        scorer = Scorer(self.scratch.spark, pipeline, environment, Progress())
        scorer.run()
        return scorer

    def rows(self, output: str = "predictions") -> list[tuple[Any, ...]]:
        return sorted(map(tuple, self.scratch.table(output).select(*COLUMNS).collect()))


@pytest.fixture
def shop(scratch: Project) -> Shop:
    return Shop(scratch)


def test_it(shop: Shop):
    shop.put(shop.new[:50])
    shop.put(shop.new[50:])
    s = shop.stream()
    print(s.summary())
    shop.orders(shop.old+csv_lines(shop.new, None))
    shop.scratch.run(shop.yaml("reference"), to="score")
    assert shop.rows()==shop.rows("reference")
