"""Delta tables and tables of the catalogue as sources: what is newer lands, by version."""

from __future__ import annotations

import pytest

from headrace.errors import ConfigError
from tests.support.runs import statuses

pytestmark = pytest.mark.usefixtures("interpreted")

STEP = "ingest:t"


def yaml(source: str, more: str = "") -> str:
    return f"pipeline: p\ntables:\n  t:\n    source: {source}\n    {more}\n"


def current(scratch, *columns: str) -> list[tuple]:
    """The rows that count, as clean reads them."""
    scratch.run(scratch.text, to="clean")
    return scratch.rows("t", *columns)


def batches(scratch) -> dict[int, int]:
    return {r["_batch"]: r["count"] for r in scratch.table("raw_t").groupBy("_batch").count().collect()}


def test_appended_versions_land_alone_and_other_changes_read_anew(spark, scratch):
    path = f"{scratch.folder}/odd name=%/orders"
    table = f"delta.`{path}`"
    spark.sql(f"create table {table} (id bigint, UnitPrice double, p string) using delta partitioned by (p)")
    scratch.text = text = yaml(f'{{format: delta, path: "{path}"}}')
    with pytest.raises(Exception, match="holds no row"):
        scratch.run(text, only="ingest")
    spark.sql(f"insert into {table} values (1, 1.5, 'a b'), (2, double('NaN'), 'x=y/%'), (3, null, null)")
    scratch.run(text, only="ingest")
    assert statuses(scratch.run(text, only="ingest")) == {STEP: "unchanged"}
    spark.sql(f"insert into {table} values (4, 4.5, 'x=y/%'), (4, 4.5, 'x=y/%')")
    spark.sql(f"insert into {table} values (5, 5.5, null)")
    spark.sql(f"optimize {table}")
    scratch.run(text, only="ingest")
    assert batches(scratch) == {1: 3, 2: 3}
    spark.sql(f"optimize {table}")
    assert statuses(scratch.run(text, only="ingest")) == {STEP: "unchanged"}
    everything = [tuple(r) for r in spark.read.format("delta").load(path).collect()]
    assert list(map(repr, current(scratch, "id", "unitprice", "p"))) == sorted(map(repr, everything))  # NaN is no NaN
    spark.sql(f"delete from {table} where id = 4")
    assert current(scratch, "id") == [(1,), (2,), (3,), (5,)]
    assert batches(scratch) == {1: 3, 2: 3, 3: 4}


def test_by_its_feed_of_changes_updates_land_and_a_deleted_row_goes(spark, scratch):
    path = f"{scratch.folder}/fed"
    table = f"delta.`{path}`"
    spark.sql(f"create table {table} (id bigint, v int) using delta tblproperties (delta.enableChangeDataFeed = true)")
    spark.sql(f"insert into {table} select id, 0 from range(10)")
    scratch.text = yaml(f"{{format: delta, path: {path}}}", "key: id")
    assert len(current(scratch, "id")) == 10
    spark.sql(f"update {table} set v = 1 where id < 3")
    spark.sql(f"update {table} set v = v + 1 where id < 2")
    spark.sql(f"insert into {table} values (10, 7)")
    assert current(scratch, "id", "v") == sorted(((n, [2, 2, 1, *[0] * 7, 7][n]) for n in range(11)), key=repr)
    assert batches(scratch) == {1: 10, 2: 4}
    spark.sql(f"delete from {table} where id = 5")
    assert (5,) not in current(scratch, "id")
    assert batches(scratch)[3] == 10


def test_tables_of_the_catalogue(spark, scratch):
    spark.sql("create schema if not exists shop")
    for name, provider in (("orders", "delta"), ("old", "parquet")):
        spark.sql(f"drop table if exists shop.{name}")
        spark.sql(f"create table shop.{name} using {provider} location '{scratch.folder}/{name}' as select 1 id")
        text = yaml(f"{{format: table, table: shop.{name}}}").replace("pipeline: p", f"pipeline: {name}")
        scratch.run(text, only="ingest")
        assert statuses(scratch.run(text, only="ingest")) == {STEP: "unchanged"}
        spark.sql(f"insert into shop.{name} values (2)")
        scratch.run(text, only="ingest")
        assert batches(scratch) == ({1: 1, 2: 1} if provider == "delta" else {1: 1, 2: 2})
    with pytest.raises(ConfigError, match=r"there is no table 'shop.ordres'"):
        scratch.run(yaml("{format: delta, table: shop.ordres}"), only="ingest")
    with pytest.raises(ConfigError, match="is no Delta table"):
        scratch.run(yaml(f"{{format: delta, path: {scratch.folder}/old}}"), only="ingest")
