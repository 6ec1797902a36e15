"""Tables of DynamoDB: which attributes they have, and the scan that reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pyspark.sql import types as T

from headrace.config import secrets
from headrace.config.names import column_names
from headrace.config.types import Source
from headrace.errors import ConfigError, DataError
from headrace.ingest.fields import Fields, open_numbers
from headrace.ingest.marks import Since

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

OPTIONS = ("region", "endpoint", "access_key", "secret_key", "session_token", "segments", "sample", "consistent")
_SAMPLE = 1000
_WHOLE = re.compile(r"-?\d{1,18}")
_PLAIN = {"S": T.StringType(), "BOOL": T.BooleanType(), "B": T.BinaryType(), "NULL": T.NullType()}


def read(
    run: Any, source: Source, where: str, fields: Fields, since: Since | None
) -> tuple[DataFrame, T.StructType, tuple[str, ...]]:
    """The items of a table as rows.

    Args:
        run: Its `spark` and `parallelism` are asked for.
        source: The source.
        where: Its place in the YAML.
        fields: Which attributes to read; what is not declared, the first items show.
        since: From where on; DynamoDB still goes through all items, and hands over those.

    Returns:
        The rows, columns named as in the tables; the attributes; and which are numbers with fractions, as text.

    Raises:
        ConfigError: If boto3 is missing, an option is unknown, or there is no item.
    """
    if find_spec("boto3") is None:
        raise ConfigError(
            f"{where}: dynamodb needs the package boto3, here and on the executors: .venv/bin/pip install 'boto3>=1.35' "
            "(the extra `dynamodb`)"
        )
    from headrace.ingest import dynamodb_scan

    options = {key.lower(): value for key, value in secrets.revealed(source.options).items()}
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise ConfigError(f"{where}.options: dynamodb has no option {', '.join(unknown)}; it has {', '.join(OPTIONS)}")
    asked = {"TableName": source.table, "ConsistentRead": options.get("consistent") == "true"}
    first: list[dict[str, Any]] = []
    most = 1 if fields.declared else int(options.get("sample", _SAMPLE))
    for items in dynamodb_scan.pages(dynamodb_scan.client(options, attempts=3), {**asked, "Limit": most}):
        first += items
        if len(first) >= most:
            break
    found = fields.declared or _struct([{"M": item} for item in first])
    if not found.fields:
        raise ConfigError(f"{where}: the table {source.table} has no item; mend table, region or endpoint")
    wanted = fields.declared or fields.settled(_settled(found), source.watermark)
    names = column_names(wanted.names)
    request = asked | _expressions(wanted, names, since)
    given = {
        **options,
        "request": json.dumps(request),
        "segments": options.get("segments", str(max(2, run.parallelism))),
    }
    run.spark.dataSource.register(dynamodb_scan.DynamoDB)
    frame = run.spark.read.format(dynamodb_scan.DynamoDB.name()).schema(wanted).options(**given).load()
    return frame.toDF(*names), wanted, () if fields.declared else open_numbers(found)


def _expressions(wanted: T.StructType, names: list[str], since: Since | None) -> dict[str, Any]:
    """What is asked for: the attributes, and of the items those from a value on, or of another type, or without one."""
    called = {f"#p{i}": name for i, name in enumerate(wanted.names)}
    told: dict[str, Any] = {"ProjectionExpression": ", ".join(called), "ExpressionAttributeNames": called}
    if since is None:
        return told
    place = names.index(since.column)
    value = since.plain()
    # times are texts, compared as such: with another zone or separator they may sort a day apart
    least = {"S": (value - timedelta(days=1)).isoformat()[:10]} if isinstance(value, date) else {"N": since.text()}
    return told | {
        "FilterExpression": " OR ".join(
            (f"attribute_not_exists(#p{place})", f"NOT attribute_type(#p{place}, :kind)", f"#p{place} >= :least")
        ),
        "ExpressionAttributeValues": {":least": least, ":kind": {"S": next(iter(least))}},
    }


def _kind(value: Mapping[str, Any]) -> T.DataType:
    """The type of an attribute's value; decimal stands for numbers with a fraction."""
    ((tag, held),) = value.items()
    if tag == "N":
        return T.LongType() if _WHOLE.fullmatch(held) else T.DecimalType()
    if tag == "M":
        return _struct([value])
    if tag == "L" or tag in ("SS", "NS", "BS"):
        kinds = [_kind(item if tag == "L" else {tag[0]: item}) for item in held]
        return T.ArrayType(_merged(kinds))
    return _PLAIN[tag]


def _struct(values: list[Mapping[str, Any]]) -> T.StructType:
    kinds: dict[str, list[T.DataType]] = {}
    for value in values:
        for name, item in value["M"].items():
            kinds.setdefault(name, []).append(_kind(item))
    return T.StructType([T.StructField(name, _merged(kinds[name])) for name in sorted(kinds)])


def _merged(kinds: list[T.DataType]) -> T.DataType:
    """A type for values of several; text for any."""
    one: T.DataType = T.NullType()
    for other in dict.fromkeys(kinds):
        if isinstance(one, T.NullType) or one == other:
            one = other
        elif isinstance(other, T.NullType):
            continue
        elif isinstance(one, T.NumericType) and isinstance(other, T.NumericType):
            one = T.DecimalType()
        elif isinstance(one, T.ArrayType) and isinstance(other, T.ArrayType):
            one = T.ArrayType(_merged([one.elementType, other.elementType]))
        elif isinstance(one, T.StructType) and isinstance(other, T.StructType):
            both = {**{f.name: [f.dataType] for f in one}}
            for field in other:
                both.setdefault(field.name, []).append(field.dataType)
            one = T.StructType([T.StructField(name, _merged(both[name])) for name in sorted(both)])
        else:
            return T.StringType()
    return one


def _settled(kind: Any) -> Any:
    """A type without decimals of unknown digits: they are text."""
    if isinstance(kind, T.StructType):
        return T.StructType([T.StructField(one.name, _settled(one.dataType)) for one in kind])
    if isinstance(kind, T.ArrayType):
        return T.ArrayType(_settled(kind.elementType))
    return T.StringType() if isinstance(kind, T.DecimalType) else kind


_SAID = {
    "ResourceNotFoundException": "has no such table there; mend table, region or endpoint",
    "EndpointConnectionError": "does not answer; mend region or endpoint, or look whether it is up",
    "ConnectTimeoutError": "does not answer; mend region or endpoint, or look whether it is up",
    "NoCredentialsError": "needs credentials: an AWS profile or role, AWS_ACCESS_KEY_ID in the environment, or "
    'access_key: "${secret:NAME}" and secret_key under options',
    "NoRegionError": "needs a region: options: {region: eu-central-1}, or AWS_REGION in the environment",
    "UnrecognizedClientException": "refuses the credentials",
    "InvalidSignatureException": "refuses the credentials",
    "ExpiredTokenException": "refuses the credentials: they have expired",
    "AccessDeniedException": "does not allow these credentials to scan the table (dynamodb:Scan)",
}


def words(text: str) -> tuple[type[ConfigError] | type[DataError], str] | None:
    """What an error of AWS says, and what to do."""
    return next(((ConfigError, said) for name, said in _SAID.items() if name in text), None)
