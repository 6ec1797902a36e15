"""A DataSource of Spark that scans a table of DynamoDB, each segment in a task; imported by Spark's Python workers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from pyspark.sql import types as T
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition

from headrace.errors import DataError

BITS: dict[type[T.DataType], int] = {T.ByteType: 8, T.ShortType: 16, T.IntegerType: 32, T.LongType: 64}
_EACH = {"SS": "S", "NS": "N", "BS": "B"}
"""Sets, and what they are sets of."""


def client(options: Mapping[str, str], attempts: int = 10) -> Any:
    """A client; what the options do not say, the environment does, as everywhere with AWS."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "adaptive", "max_attempts": attempts}, connect_timeout=5, read_timeout=60)
    return boto3.client(
        "dynamodb",
        region_name=options.get("region"),
        endpoint_url=options.get("endpoint"),
        aws_access_key_id=options.get("access_key"),
        aws_secret_access_key=options.get("secret_key"),
        aws_session_token=options.get("session_token"),
        config=config,
    )


def pages(asked: Any, request: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The items of a scan, as they come."""
    while True:
        page = asked.scan(**request)
        yield page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        request = {**request, "ExclusiveStartKey": page["LastEvaluatedKey"]}


class DynamoDB(DataSource):
    """The table; options: see `Scan`."""

    @classmethod
    def name(cls) -> str:
        """As Spark knows it."""
        return "headrace_dynamodb"

    def reader(self, schema: T.StructType) -> DataSourceReader:
        """How it is read."""
        return Scan(schema, dict(self.options))


class Scan(DataSourceReader):
    """Scans in parallel segments.

    Args:
        schema: The attributes to read.
        options: Those of the client, and `request` (a scan's arguments as JSON), `segments`.
    """

    def __init__(self, schema: T.StructType, options: dict[str, str]) -> None:
        self.schema, self.options = schema, options

    def partitions(self) -> list[InputPartition]:
        """A part for each segment."""
        return [InputPartition(number) for number in range(int(self.options["segments"]))]

    def read(self, partition: InputPartition) -> Iterator[tuple[Any, ...]]:
        """The rows of a segment."""
        segment = {"Segment": partition.value, "TotalSegments": int(self.options["segments"])}
        fields = [(field.name, field.dataType) for field in self.schema]
        for items in pages(client(self.options), {**json.loads(self.options["request"]), **segment}):
            for item in items:
                yield tuple(converted(item.get(name), kind, name) for name, kind in fields)


def converted(value: Mapping[str, Any] | None, kind: T.DataType, name: str) -> Any:
    """An attribute's value, `{type: value}`, as Spark takes it.

    Raises:
        DataError: If it is of another type, or does not fit exactly.
    """
    if value is None or "NULL" in value:
        return None
    ((tag, held),) = value.items()
    if isinstance(kind, T.StringType):
        return held if tag in "SN" else json.dumps(_plain(value), ensure_ascii=False, sort_keys=True)
    if isinstance(kind, T.ArrayType) and (tag == "L" or tag in _EACH):
        items = held if tag == "L" else [{_EACH[tag]: item} for item in sorted(held)]
        return [converted(item, kind.elementType, name) for item in items]
    if isinstance(kind, T.MapType) and tag == "M":
        return {key: converted(item, kind.valueType, f"{name}.{key}") for key, item in held.items()}
    if isinstance(kind, T.StructType) and tag == "M":
        return tuple(converted(held.get(one.name), one.dataType, f"{name}.{one.name}") for one in kind)
    found = _number(held, kind) if tag == "N" else _other(tag, held, kind)
    if found is None:
        raise DataError(
            f"the attribute {name} is {kind.simpleString()}, and an item holds another value of the type {tag} there; say "
            "its type under `schema` of the source: decimal(p,s), or string for any"
        )
    return found


def _number(text: str, kind: T.DataType) -> Any:
    """A number, where it fits exactly."""
    value = Decimal(text)
    if type(kind) in BITS:
        most = 1 << (BITS[type(kind)] - 1)
        return int(value) if value == value.to_integral_value() and -most <= value < most else None
    if isinstance(kind, T.DecimalType):
        _, digits, exponent = value.normalize().as_tuple()
        whole = max(0, len(digits) + int(exponent))
        return value if -int(exponent) <= kind.scale and whole <= kind.precision - kind.scale else None
    return float(text) if isinstance(kind, (T.DoubleType, T.FloatType)) else None


def _other(tag: str, held: Any, kind: T.DataType) -> Any:
    if tag == "BOOL" and isinstance(kind, T.BooleanType):
        return held
    if tag == "B" and isinstance(kind, T.BinaryType):
        return bytes(held)
    if tag == "S" and isinstance(kind, (T.TimestampType, T.TimestampNTZType, T.DateType)):
        try:
            moment = datetime.fromisoformat(held)
        except ValueError:
            return None
        if isinstance(kind, T.DateType):
            return date.fromisoformat(held[:10])
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return moment if isinstance(kind, T.TimestampType) else moment.replace(tzinfo=None)
    return None


def _plain(value: Mapping[str, Any]) -> Any:
    """A value as JSON has it; numbers stay exact texts, bytes become base64."""
    ((tag, held),) = value.items()
    if tag == "M":
        return {key: _plain(item) for key, item in held.items()}
    if tag == "L":
        return [_plain(item) for item in held]
    if tag in _EACH:
        return sorted(_plain({_EACH[tag]: item}) for item in held)
    if tag == "B":
        return base64.b64encode(bytes(held)).decode()
    return None if tag == "NULL" else held
