"""Messages of a topic as rows: key, value or the fields of a JSON value, and where each was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    MapType,
    StringType,
    StructField,
    StructType,
    _parse_datatype_string,
)

from headrace.config.names import column_names
from headrace.config.types import Source
from headrace.ingest.brokers import options_of
from headrace.ingest.drift import RESCUED, plain
from headrace.ingest.schemas import CORRUPT

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

OWN = ("key", "tombstone", "topic", "partition", "offset", "timestamp", "headers")
"""Columns beside the fields of JSON; a field of such a name has `value_` before it."""
_OFFSET_DIGITS = 20
_PLACE = ("topic", "partition", "offset", "timestamp")


def messages(spark: SparkSession, source: Source, ranges: Mapping[str, Mapping[int, tuple[int, int]]]) -> DataFrame:
    """The messages of ranges of offsets, with `_source` (`kafka:topic/partition`) and `_source_version` (the offset).

    Args:
        spark: The session.
        source: How they are read.
        ranges: By topic and partition the first offset and the one after the last.
    """
    reader = spark.read.format("kafka")
    for name, value in options_of(source).items():
        if name.lower() not in ("subscribe", "subscribepattern", "maxoffsetspertrigger", "failondataloss"):
            reader = reader.option(name, value)
    frame = (
        reader.option("assign", json.dumps({topic: sorted(those) for topic, those in ranges.items()}))
        .option("startingOffsets", _json(ranges, 0))
        .option("endingOffsets", _json(ranges, 1))
        .option("failOnDataLoss", "true")  # what is lost was told before: from here on it is an error
        .load()
    )
    return rows(frame, source)


def _json(ranges: Mapping[str, Mapping[int, tuple[int, int]]], which: int) -> str:
    return json.dumps({topic: {str(p): one[which] for p, one in those.items()} for topic, those in ranges.items()})


def rows(frame: DataFrame, source: Source) -> DataFrame:
    """Messages as Spark's connector gives them (key and value as bytes) in the columns of the raw table."""
    headers = ["headers"] if "headers" in frame.columns else []
    where = [*map(F.col, _PLACE), *map(F.col, headers)]
    if kind_of(source) == "binary":
        columns = [F.col("key"), F.col("value"), *where]
    else:
        key, value = F.try_validate_utf8(F.col("key")), F.try_validate_utf8(F.col("value"))
        frame = frame.withColumns({"_key": key, "_value": value, "_bytes": _no_text(key, value)})
        text = kind_of(source) == "text"
        own = [F.col("_value").alias("value")] if text else []
        frame, found = (frame, []) if text else _fields(frame, source.schema_ or {})
        flags = [] if text else [F.col("value").isNull().alias("tombstone")]
        kept = [F.col(RESCUED)] if not text else []
        corrupt = F.col("_bytes") if text else F.coalesce(F.col("_bytes"), F.col(CORRUPT))
        columns = [F.col("_key").alias("key"), *own, *found, *flags, *where, *kept, corrupt.alias(CORRUPT)]
    return frame.select(
        *columns,
        F.concat(F.lit("kafka:"), F.col("topic"), F.lit("/"), F.col("partition")).alias("_source"),
        F.lpad(F.col("offset").cast("string"), _OFFSET_DIGITS, "0").alias("_source_version"),
    )


def kind_of(source: Source) -> str:
    """What a message holds: `text`, `json` or `binary`."""
    return source.value or ("json" if source.schema_ else "text")


def _no_text(key: Column, value: Column) -> Column:
    """Of a message that is no text its bytes, in hexadecimal; null of all others."""
    broken = (F.col("key").isNotNull() & key.isNull()) | (F.col("value").isNotNull() & value.isNull())
    return F.when(broken, F.concat_ws(" ", *[_hex(name) for name in ("key", "value")]))


def _hex(name: str) -> Column:
    return F.concat(F.lit(f"{name}=0x"), F.hex(F.col(name)))


def _fields(frame: DataFrame, fields: Mapping[str, str]) -> tuple[DataFrame, list[Column]]:
    """The fields of JSON values.

    Returns:
        The messages with `_corrupt` (the text of one that is no JSON object, or has a value that does not fit) and
        `_rescued` (the text of one with fields that are not declared, at whatever depth); and the columns.
    """
    schema = StructType([StructField(name, _parse_datatype_string(kind)) for name, kind in fields.items()])
    whole = StructType([*schema.fields, StructField(CORRUPT, StringType())])
    parsed = F.from_json(F.col("_value"), whole, {"columnNameOfCorruptRecord": CORRUPT, "mode": "PERMISSIVE"})
    frame = frame.withColumn("_json", parsed)
    given, is_object = F.col("_value").isNotNull(), _is_object(F.col("_value"))
    frame = frame.withColumns(
        {
            CORRUPT: F.when(given & (~is_object | F.col(f"_json.{CORRUPT}").isNotNull()), F.col("_value")),
            RESCUED: F.when(given & is_object & surplus(F.col("_value"), schema), F.col("_value")),
        }
    )
    names = [f"value_{name}" if name in OWN else name for name in column_names(schema.names)]
    columns = []
    for name, field in zip(names, schema.fields, strict=True):
        value, kind = F.col("_json").getField(field.name), plain(field.dataType)
        columns.append((value if kind == field.dataType else value.cast(kind)).alias(name))
    return frame, columns


def _is_object(text: Column) -> Column:
    """Whether a text is one JSON object: Spark's readers do not look at what comes after the first one."""
    alone = F.json_array_length(F.concat(F.lit("["), text, F.lit("]"))).eqNullSafe(1)
    return F.json_object_keys(text).isNotNull() & alone


def surplus(text: Column, kind: DataType) -> Column:
    """Whether a JSON text has a field, at whatever depth, that a type does not name."""
    found: list[Column] = []
    if isinstance(kind, StructType):
        keys = F.json_object_keys(text)
        found.append(F.exists(keys, lambda key: ~key.isin(*kind.names)))
        for field in (one for one in kind.fields if _has_struct(one.dataType)):
            path = f"$['{field.name}']"
            found.append(surplus(F.get_json_object(text, path), field.dataType))
    elif isinstance(kind, ArrayType) and _has_struct(kind):
        items = F.from_json(text, "array<string>")
        found.append(F.exists(items, lambda item: surplus(item, kind.elementType)))
    elif isinstance(kind, MapType) and _has_struct(kind):
        values = F.map_values(F.from_json(text, "map<string,string>"))
        found.append(F.exists(values, lambda item: surplus(item, kind.valueType)))
    told: Any = reduce(lambda one, other: one | other, found) if found else F.lit(False)
    return F.coalesce(told, F.lit(False))


def _has_struct(kind: DataType) -> bool:
    if isinstance(kind, ArrayType):
        return _has_struct(kind.elementType)
    return _has_struct(kind.valueType) if isinstance(kind, MapType) else isinstance(kind, StructType)
