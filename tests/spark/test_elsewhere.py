"""Files on a real HDFS and on a real S3 server: they land once each, as files of this machine do."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from headrace.errors import ConfigError
from headrace.ingest.files import listed
from headrace.ingest.schemas import CorruptFilesError, groups
from headrace.runtime.settings import S3A_PROVIDERS
from headrace.runtime.spark_errors import translated
from tests.support.remote import Bucket, Folder, hdfs, s3
from tests.support.runs import Project, statuses

pytestmark = pytest.mark.usefixtures("interpreted")

Store = Folder | Bucket
_numbers = count(1)


@pytest.fixture(scope="module")
def stores(spark: SparkSession) -> Iterator[dict[str, Any]]:
    with hdfs() as address, s3("elsewhere") as (bucket,):  # a name of its own: a JVM keeps the first server of a bucket
        conf = spark.sparkContext._jsc.hadoopConfiguration()  # type: ignore[union-attr]
        for key, value in bucket.settings().items():
            conf.set(key, value)
        conf.set("fs.s3a.aws.credentials.provider", ",".join(S3A_PROVIDERS))
        conf.set("fs.s3a.access.key", "reader")
        conf.set("fs.s3a.secret.key", "of-the-tests")
        yield {"hdfs": address, "s3a": bucket}


@pytest.fixture(params=["hdfs", "s3a"])
def store(request: pytest.FixtureRequest, spark: SparkSession, stores: dict[str, Any]) -> Store:
    """An empty folder on HDFS, or an empty folder of a bucket."""
    folder = f"in {next(_numbers)}"
    if request.param == "hdfs":
        return Folder(spark, f"{stores['hdfs']}/{folder}")
    return stores["s3a"].folder(folder)


def yaml(path: str, format_: str = "csv", more: str = "") -> str:
    return f"""
pipeline: shop
tables:
  orders:
    source: {{format: {format_}, path: "{path}"{more}}}
    key: id
"""


def csv(*rows: tuple[int, str]) -> str:
    return "id,item\n" + "".join(f"{number},{item}\n" for number, item in rows)


def parquet(*rows: tuple[int, str]) -> bytes:
    made = io.BytesIO()
    pd.DataFrame(list(rows), columns=["id", "item"]).to_parquet(made)
    return made.getvalue()


def landed(project: Project, store: Store) -> list[tuple]:
    """Of each raw row its batch, its file's name as it was written, and its values."""
    rows = project.table("raw_orders").select("_batch", "_source", "id", "item").collect()
    return sorted(
        (batch, unquote(source).partition(store.path)[2], int(number), item) for batch, source, number, item in rows
    )


ODD = ("a b.csv", "100%25 + 1.csv", "é/日本 [1].csv", "x=y.csv")


def test_each_file_lands_once_whatever_its_name(
    scratch: Project, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(ODD, 1):
        store.put(name, csv((number, name)))
    for name in ("_SUCCESS", ".hidden.csv", "_temporary/0/part-0.csv", "é/.spark/x.csv", "b.csv._COPYING_"):
        store.put(name, csv((99, "unfinished")))
    text = yaml(store.path)
    assert statuses(scratch.run(text, to="ingest")) == {"ingest:orders": "done"}
    first = [(1, f"/{name}", number, name) for number, name in enumerate(ODD, 1)]
    assert landed(scratch, store) == sorted(first)
    assert statuses(scratch.run(text, to="ingest")) == {"ingest:orders": "unchanged"}

    store.put("é/new.csv", csv((10, "new")))
    store.put(ODD[0], csv((1, "replaced"), (11, "added")))
    capsys.readouterr()
    scratch.run(text, to="ingest")
    assert "1 replaced file(s) supersede their earlier rows" in capsys.readouterr().err
    second = [(2, "/a b.csv", 1, "replaced"), (2, "/a b.csv", 11, "added"), (2, "/é/new.csv", 10, "new")]
    assert landed(scratch, store) == sorted(first + second)
    store.delete(ODD[1])
    scratch.run(text)
    assert "1 file(s) that landed are gone; their rows stay" in capsys.readouterr().err
    kept = {1: "replaced", 10: "new", 11: "added"} | {n: name for n, name in enumerate(ODD, 1) if n > 1}
    assert scratch.rows("orders", "id", "item") == sorted(kept.items(), key=repr)


def test_folders_by_date_and_globs(scratch: Project, store: Store) -> None:
    for day in ("2024-05-01", "2024-05-02"):
        store.put(f"day={day}/a.parquet", parquet((int(day[-2:]), day)))
        store.put(f"other/day={day}/a.txt", "no parquet")
    text = yaml(f"{store.path}/day=*", "parquet")
    scratch.run(text, to="ingest")
    store.put("day=2024-05-03/a.parquet", parquet((3, "2024-05-03")))
    scratch.run(text, to="ingest")
    whole = [(1 + (n == 3), n, f"2024-05-0{n}", f"2024-05-0{n}") for n in (1, 2, 3)]
    assert scratch.rows("raw_orders", "_batch", "id", "item", "day") == whole


def test_one_file_is_a_snapshot(scratch: Project, store: Store) -> None:
    store.put("orders 1.csv", csv((1, "a"), (2, "b")))
    store.put("orders 2.csv", csv((9, "another")))
    text = yaml(f"{store.path}/orders 1.csv")
    scratch.run(text, to="ingest")
    store.put("orders 1.csv", csv((2, "b"), (30, "c")))
    scratch.run(text, to="ingest")
    name = "/orders 1.csv"
    assert landed(scratch, store) == [(1, name, 1, "a"), (1, name, 2, "b"), (2, name, 2, "b"), (2, name, 30, "c")]
    with pytest.raises(ConfigError, match="there is no file, folder or glob"):
        listed(scratch.spark, f"{store.path}/orders 3.csv")


def test_avro_files_are_grouped_by_what_they_begin_with(spark: SparkSession, store: Store) -> None:
    for sql in ("select 1L id", "select 2L id", "select 3L id, 'x' note"):
        spark.sql(sql).coalesce(1).write.format("avro").mode("append").save(store.path)
    files = listed(spark, store.path)
    found = groups(spark, "avro", {}, files)
    assert sorted((group.schema.names, len(group.files)) for group in found) == [(["id"], 2), (["id", "note"], 1)]
    store.put("cut.avro", b"Obj\x01\x04")
    store.put("other.avro", b"id,note")
    with pytest.raises(CorruptFilesError) as told:
        groups(spark, "avro", {}, listed(spark, store.path))
    assert [why.partition(";")[0].partition(":")[0] for _, why in sorted(told.value.reasons.items())] == [
        "it ends within its own description", "it is no Avro file",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("s3a://nowhere-at-all/x", "mend the path, or say where the server is"),
        ("gs://bucket/x", "name its jar"),
        ("s3://bucket/x", "write s3a:// in place of it"),
        ("hdfs:///x", "write hdfs://SERVER:PORT/path"),
    ],
)
def test_what_cannot_be_reached_is_told_with_what_to_do(
    spark: SparkSession, stores: dict[str, Any], path: str, says: str
) -> None:
    conf = spark.sparkContext._jsc.hadoopConfiguration()  # type: ignore[union-attr]
    for key, value in replace(stores["s3a"], name="nowhere-at-all").settings().items():
        conf.set(key, value)
    with pytest.raises(Exception) as told:  # noqa: PT011 - Spark's errors have no common base class
        listed(spark, path)
    error = translated(told.value, "ingest:orders")
    assert isinstance(error, ConfigError)
    assert says in error.message
    assert "org.apache" not in error.message
