"""Everything in buckets: source, tables and sink on a real S3 server, by a job that fetches what it needs for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.spark.conftest import spark as spark_session
from tests.support.remote import Bucket, s3
from tests.support.running import run_job

spark = spark_session
KEY, SECRET = "AKIA-of-the-tests", "s3cr3t/of+the tests"
YAML = """\
pipeline: shop
tables:
  orders:
    source: {format: csv, path: "s3a://lake/in/orders"}
    key: id
    event_time: at
    rules: [{name: positive, check: "amount > 0"}]
feature_tables:
  last_order: {from: orders, entity: customer, latest: [amount], max_age: 30 days}
sinks:
  lake: {from: last_order, format: parquet, path: "s3a://exports/last_order"}
"""
OVERLAY = """\
warehouse: s3a://lake/tables
spark:
  spark.hadoop.fs.s3a.access.key: "${secret:LAKE_KEY}"
  spark.hadoop.fs.s3a.secret.key: "${secret:LAKE_SECRET}"
"""
ORDERS = "id,customer,amount,at\n1,a,5,2024-05-01 10:00:00\n2,b,7,2024-05-01 11:00:00\n3,a,-1,2024-05-01 12:00:00\n"
LEAN = ("--master", "local[2]", "--conf", "spark.sql.shuffle.partitions=1",
        "--driver-java-options", "-XX:TieredStopAtLevel=1")  # fmt: skip


@pytest.fixture(scope="module")
def buckets() -> Iterator[tuple[Bucket, ...]]:
    with s3("lake", "exports") as made:
        yield made


def rows(spark: SparkSession, table: str, *columns: str) -> list[tuple]:
    found = spark.read.format("delta").load(f"s3a://lake/tables/shop/{table}").selectExpr(*columns)
    return sorted(tuple(row) for row in found.collect())


def test_source_tables_and_sink_in_buckets(buckets: tuple[Bucket, ...], spark: SparkSession, tmp_path: Path) -> None:
    lake, config, home = buckets[0], tmp_path / "shop.yaml", tmp_path / "home"
    config.write_text(YAML)
    (tmp_path / "env").mkdir()
    own = "".join(f"  spark.hadoop.{key}: {value}\n" for bucket in buckets for key, value in bucket.settings().items())
    (tmp_path / "env" / "lake.yaml").write_text(OVERLAY + own)
    env = {"LAKE_KEY": KEY, "LAKE_SECRET": SECRET, "HEADRACE_FAST_START": "off"}
    lake.put("in/orders/1.csv", ORDERS)
    made, again = (run_job("pipeline", config, home, "--env", "lake", spark=LEAN, **env) for _ in range(2))

    assert (made.code, again.code) == (0, 0), made.said[-3000:] + again.said[-3000:]
    assert set(made.stages().values()) == {"done"}
    assert again.stages() | {"features": ""} == dict.fromkeys(("ingest", "validate", "clean"), "unchanged") | {
        "features": ""
    }
    assert re.search(r"features:last_order +unchanged", again.said)
    assert "version 0 of last_order has been sent before" in again.said
    assert SECRET not in made.said + again.said
    assert KEY not in made.said + again.said
    assert not (home / "warehouse").exists()
    kept = [p for p in home.rglob("*") if p.is_file() and not {"jars", "packages"} & set(p.relative_to(home).parts)]
    assert [str(p) for p in kept if SECRET.encode() in p.read_bytes()] == []

    conf = spark.sparkContext._jsc.hadoopConfiguration()  # type: ignore[union-attr]
    settings = {**buckets[0].settings(), **buckets[1].settings()}
    for key, value in {**settings, "fs.s3a.access.key": KEY, "fs.s3a.secret.key": SECRET}.items():
        conf.set(key, value)
    assert rows(spark, "raw_orders", "_batch", "id") == [(1, "1"), (1, "2"), (1, "3")]
    assert rows(spark, "orders", "id", "amount") == [(1, 5), (2, 7)]
    assert rows(spark, "orders_quarantine", "id", "_reasons") == [("3", ["positive"])]
    known = [("a", 5, "2024-05-01 10:00:00"), ("b", 7, "2024-05-01 11:00:00")]
    assert rows(spark, "last_order", "customer", "amount", "string(event_time)") == known
    sent = spark.read.parquet("s3a://exports/last_order").selectExpr("customer", "amount", "string(event_time)")
    assert sorted(tuple(row) for row in sent.collect()) == known
