"""What a source says beyond format, path and options: databases, tables, and the jars that they need."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from headrace.config.durations import microseconds
from headrace.config.secrets import is_secret
from headrace.config.section import Section
from headrace.config.values import Column, listed

FILES = ("csv", "json", "parquet", "orc", "avro", "text", "xml", "binaryFile")
"""Formats whose files ingest follows one by one; those of Spark's plugins that have a path as well."""

Kind = Literal["files", "python", "jdbc", "delta", "kafka", "spark"]
"""How a source is followed: file by file; by version; by offsets; `jdbc`, `spark`, `python` by a watermark, else by content."""

_WHOLE = ("iceberg", "hudi")
_COORDINATES = re.compile(r"[\w.-]+:[\w.-]+:[\w.-]+")


def _number_or_duration(value: Any) -> str:
    text = str(value).strip()
    if not re.fullmatch(r"\d{1,18}", text):
        microseconds(text)
    return text


def _coordinates(value: str) -> str:
    if not _COORDINATES.fullmatch(value):
        raise ValueError(f"{value!r} names no jar; write group:artifact:version, as org.postgresql:postgresql:42.7.14")
    return value


def _two(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2 or any(isinstance(v, list | dict) for v in value):
        raise ValueError("two values are wanted, the least and the greatest, as [1, 1000000]")
    return [str(item) for item in value]


Overlap = Annotated[str, BeforeValidator(_number_or_duration)]
Bounds = Annotated[tuple[str, ...], BeforeValidator(_two)]
Packages = Annotated[tuple[Annotated[str, AfterValidator(_coordinates)], ...], BeforeValidator(listed)]


class Place(Section):
    """What a source of another kind than files says; each key belongs to some formats (`KEYS`)."""

    url: str | None = Field(None, description="jdbc: where the database is, as jdbc:postgresql://host:5432/shop")
    table: str | None = Field(None, description="jdbc, delta, table, dynamodb: the table's name, with its schema")
    query: str | None = Field(None, description="jdbc: a SELECT in the database's own SQL, in place of table")
    user: str | None = Field(None, description="jdbc: who reads")
    password: str | None = Field(None, description="jdbc: as ${secret:NAME}")
    partition_column: Column | None = Field(
        None, description="jdbc: a number, date or time by whose ranges the rows are read in parallel"
    )
    bounds: Bounds | None = Field(
        None, description="jdbc: its least and greatest value; default: asked of the database"
    )
    partitions: int | None = Field(None, ge=1, le=10_000, description="jdbc: parallel reads; default: Spark's cores")
    watermark: Column | None = Field(
        None,
        description="a column, a number, date or time that grows: only rows from its last value on are read (of jdbc, "
        "table, other readers of Spark, python)",
    )
    overlap: Overlap | None = Field(
        None, description="how far before the last value reading starts; default: `1 hour`, or 1000 of a number"
    )
    schema_: dict[str, str] | None = Field(
        None,
        alias="schema",
        description="of kafka (JSON), dynamodb and other readers of Spark: what is read, names as in the source, and SQL types, as "
        "`total: decimal(12,2)`",
    )
    value: Literal["text", "json", "binary"] | None = Field(
        None, description="kafka: what a message holds; default: json with a schema, else text"
    )
    packages: Packages | None = Field(
        None, description="jars by Maven coordinates; default: what the url asks for; [] for none"
    )

    @model_validator(mode="before")
    @classmethod
    def _placed(cls, value: Any) -> Any:
        """Sources without files have no path; for messages and comparisons it is where they are."""
        if not isinstance(value, dict) or not isinstance(value.get("format"), str) or value.get("path") is not None:
            return value
        place = place_of(value)
        return value if place is None else {**value, "path": place}


KEYS = {
    "jdbc": (
        "url", "table", "query", "user", "password", "partition_column", "bounds", "partitions", "watermark", "overlap",
    ),
    "delta": ("table",),
    "kafka": ("value", "schema_"),
    "table": ("table", "watermark", "overlap"),
    "dynamodb": ("table", "schema_", "watermark", "overlap"),
    "python": ("watermark", "overlap"),
}  # fmt: skip
"""Which keys of `Place` a format has; `packages` any."""

_ANY = ("schema_", "watermark", "overlap")
"""Those of other readers of Spark."""


def keys_of(format_: str, kind: Kind) -> tuple[str, ...]:
    """The keys of `Place` that a source has."""
    return KEYS.get(format_.lower(), _ANY if kind == "spark" and format_.lower() != "kafka" else ())


def place_of(source: dict[str, Any]) -> str | None:
    """Where a source without files is, without secrets; None for files.

    >>> place_of({"format": "jdbc", "url": "jdbc:postgresql://db/shop?user=x", "table": "orders"})
    'jdbc:postgresql://db/shop orders'
    """
    name = str(source["format"]).lower()
    if name == "jdbc":
        url = re.sub(r"//.*@", "//", re.split(r"[?;]", str(source.get("url") or ""))[0])
        url = re.sub(r":[^:/@]+/.*@", ":@", url)  # Oracle's user/password@
        return f"{url} {source.get('table') or source.get('query') or ''}".strip()
    if name in ("delta", "table"):
        return str(source.get("table") or "")
    if name == "kafka":
        given = source.get("options") if isinstance(source.get("options"), dict) else {}
        found = {str(key).lower(): value for key, value in (given or {}).items()}
        parts = (found.get(key) for key in ("kafka.bootstrap.servers", "subscribe", "subscribepattern"))
        return " ".join(["kafka", *(str(value) for value in parts if value is not None)])
    if name == "dynamodb":
        return f"{name} {source.get('table') or ''}".strip()
    if name in {known.lower() for known in FILES} or source.get("python"):
        return None
    options = source.get("options") if isinstance(source.get("options"), dict) else {}
    told = [f"{key}={value}" for key, value in sorted((options or {}).items()) if not is_secret(str(key))]
    return " ".join([name, *told])


def kind_of(format_: str, path: str, python: bool) -> Kind:
    """How a source is followed."""
    name = format_.lower()
    if python:
        return "python"
    if name == "jdbc":
        return "jdbc"
    if name in ("delta", "table"):
        return "delta"
    if name == "kafka":
        return "kafka"
    if name in {known.lower() for known in FILES}:
        return "files"
    return "spark" if name in _WHOLE or path.split(" ")[0] == name else "files"
