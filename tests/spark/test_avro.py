"""Avro files as sources: every kind of value, files of other columns, damaged files; each file lands once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from headrace.cli.summary import summary
from headrace.errors import DataError
from tests.support.runs import Project, statuses

pytestmark = pytest.mark.usefixtures("interpreted")

FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "long"},
    {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3}},
    {"name": "at_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "at_us", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "kind", "type": {"type": "enum", "name": "kinds", "symbols": ["NEW", "PAID"]}},
    {"name": "blob", "type": ["null", "bytes"]},
    {
        "name": "buyer",
        "type": {
            "type": "record",
            "name": "person",
            "fields": [{"name": "name", "type": ["null", "string"]}, {"name": "age", "type": "int"}],
        },
    },
    {"name": "tags", "type": {"type": "array", "items": "string"}},
]
VALUES = """
select id, cast(amount as decimal(12, 3)) amount, cast(at_ms as timestamp) at_ms, cast(at_us as timestamp) at_us,
       date'2024-02-29' day, kind, blob, struct(name, age) buyer, array('a', 'b') tags
from values
  (1L, '-0.125', '2024-03-31T01:30:00.123Z', '2024-03-31T01:30:00.123456Z', 'NEW', x'00ff', 'é', 7),
  (2L, '123456789.001', '1969-12-31T23:59:59.999Z', null, 'PAID', null, null, -1)
  as t(id, amount, at_ms, at_us, kind, blob, name, age)
"""
YAML = "pipeline: shop\ntables:\n  orders:\n    source: {format: avro, path: orders%s}\n    key: id\n"


def write(spark: SparkSession, path: Path, sql: str, fields: list[dict[str, Any]] | None = None) -> None:
    """One Avro file, as Spark writes it."""
    writer = spark.sql(sql).coalesce(1).write.format("avro").mode("overwrite")
    if fields:
        writer = writer.option("avroSchema", json.dumps({"type": "record", "name": "row", "fields": fields}))
    folder = path.parent.parent / "written"
    writer.save(str(folder))
    path.parent.mkdir(exist_ok=True)
    next(folder.glob("part-*.avro")).replace(path)


def test_every_kind_of_value_lands_once(scratch: Project) -> None:
    folder = scratch.folder / "orders"
    write(scratch.spark, folder / "a.avro", VALUES, FIELDS)
    scratch.run(YAML % "")
    kinds = {f.name: f.dataType.simpleString() for f in scratch.table("orders").schema.fields}
    wanted = {"id": "bigint", "amount": "decimal(12,3)", "at_ms": "timestamp", "at_us": "timestamp", "day": "date",
              "kind": "string", "blob": "binary", "buyer": "struct<name:string,age:int>", "tags": "array<string>"}  # fmt: skip
    assert {name: kinds[name] for name in wanted} == wanted
    told = "id amount unix_millis(at_ms) unix_micros(at_us) string(day) kind hex(blob) buyer.name buyer.age tags[1]"
    rows = sorted(tuple(r) for r in scratch.table("orders").selectExpr(*told.split()).collect())
    moment = int(datetime(2024, 3, 31, 1, 30, tzinfo=UTC).timestamp())
    assert rows == [
        (
            1,
            Decimal("-0.125"),
            moment * 1000 + 123,
            moment * 1_000_000 + 123456,
            "2024-02-29",
            "NEW",
            "00FF",
            "é",
            7,
            "b",
        ),
        (2, Decimal("123456789.001"), -1, None, "2024-02-29", "PAID", None, None, -1, "b"),
    ]
    assert set(statuses(scratch.run(YAML % "")).values()) == {"unchanged"}
    write(scratch.spark, folder / "b.avro", VALUES.replace("1L", "10L").replace("2L", "20L"), FIELDS)
    scratch.run(YAML % "", to="ingest")
    assert scratch.rows("raw_orders", "_batch", "id") == [(1, 1), (1, 2), (2, 10), (2, 20)]


def test_files_of_other_columns(scratch: Project) -> None:
    folder = scratch.folder / "orders"
    write(scratch.spark, folder / "a.avro", "select 1L id, 'x' note")
    write(scratch.spark, folder / "b.avro", "select 2L id, 'y' note, 1.5D price")
    with pytest.raises(DataError, match=r"b\.avro has other columns .*additional price \(double\)"):
        scratch.run(YAML % "", to="ingest")
    assert not (scratch.folder / "home" / "warehouse" / "shop" / "raw_orders").exists()
    scratch.run(YAML % ", on_drift: rescue", to="ingest")
    assert scratch.rows("raw_orders", "id", "note", "_rescued") == [(1, "x", None), (2, "y", '{"price":1.5}')]
    evolving = (YAML % ", on_drift: evolve").replace("shop", "grown")
    scratch.run(evolving, to="ingest")
    assert scratch.rows("raw_orders", "id", "note", "price") == [(1, "x", None), (2, "y", 1.5)]
    write(scratch.spark, folder / "c.avro", "select 3L id, 7 price")
    scratch.run(evolving, to="ingest")
    assert scratch.rows("raw_orders", "id", "note", "price") == [(1, "x", None), (2, "y", 1.5), (3, None, 7.0)]


def test_damaged_files_are_named_and_left_out_on_request(scratch: Project) -> None:
    folder = scratch.folder / "orders"
    write(scratch.spark, folder / "good.avro", "select 1L id, 'x' note")
    write(scratch.spark, folder / "whole.avro", "select id, repeat(uuid(), 20) note from range(2, 500)")
    whole = (folder / "whole.avro").read_bytes()
    damaged = {"cut.avro": whole[:-100], "cut at the start.avro": whole[:60], "text.avro": b"id,note\n1,x\n"}
    damaged["flipped.avro"] = whole[:-10] + b"\0" * 10
    (folder / "whole.avro").unlink()
    for name, content in damaged.items():
        (folder / name).write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read|error while reading file") as told:
            scratch.run(YAML % "", to="ingest")
        assert told.value.exit_code == 3
        assert name in told.value.message.replace("%20", " ")
        (folder / name).unlink()
    for name, content in damaged.items():
        (folder / name).write_bytes(content)
    skipping = YAML % ", on_corrupt: skip"
    outcome = scratch.run(skipping, to="ingest")
    assert sorted(Path(file).name.replace("%20", " ") for file in summary(outcome)["corrupt_files"]) == sorted(damaged)
    assert scratch.rows("raw_orders", "id", "note") == [(1, "x")]
    (folder / "cut.avro").write_bytes(whole)
    scratch.run(skipping, to="ingest")
    assert scratch.table("raw_orders").count() == 499
