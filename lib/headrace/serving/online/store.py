"""What an online store holds, and what is asked of it. Needs no Spark."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from headrace.config.secrets import redacted
from headrace.errors import ConfigError
from headrace.models.made import Made
from headrace.runtime.home import home
from headrace.serving.derived import RowFeature

FORMAT = 1
"""Of what is stored; another one is not read."""


@dataclass(frozen=True)
class OnlineTable:
    """A feature table as it was published.

    Attributes:
        kind: `aggregates`, `latest` or `lookup`.
        entity: Key columns and their SQL types, in order.
        columns: Features and their SQL types, in the order of stored values.
        without: Values of features that an entity without a row has, where these are not null.
        moving: Features that grow with every second, and the length of their window in microseconds.
        made_of: What its rows were made of, so that the same need not be made again.
    """

    kind: str
    entity: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...]
    without: Mapping[str, Any] = field(default_factory=dict)
    moving: Mapping[str, int] = field(default_factory=dict)
    made_of: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OnlineTable:
        """From JSON."""
        pairs = {name: tuple((a, b) for a, b in data[name]) for name in ("entity", "columns")}
        return cls(**{**data, **pairs})


@dataclass(frozen=True)
class Publish:
    """One publish: everything in it belongs together.

    Attributes:
        number: Of no other publish, also where the store was made anew in between; it grows.
        as_of: The time of which its values are, UTC.
        tables: Feature tables by name.
        columns: The spine's columns and the row features; their SQL types.
        row_features: Those that a server can compute, in their order.
        made: How the features are made; None where an older release has published.
    """

    number: int
    as_of: datetime
    tables: Mapping[str, OnlineTable]
    columns: Mapping[str, str] = field(default_factory=dict)
    row_features: tuple[RowFeature, ...] = ()
    made: Made | None = None

    def to_json(self) -> str:
        """One line."""
        tables = {name: asdict(table) for name, table in self.tables.items()}
        rows = [{name: getattr(one, name) for name in ("name", "sql", "kind", "reads")} for one in self.row_features]
        told = {"tables": tables, "columns": dict(self.columns), "row_features": rows}
        told["made"] = asdict(self.made) if self.made else None
        return redacted(json.dumps({"format": FORMAT, "as_of": self.as_of.isoformat(), **told}))

    @classmethod
    def from_json(cls, number: int, text: str) -> Publish:
        """From what `to_json` made.

        Raises:
            ConfigError: If it is of another version of Headrace.
        """
        data = json.loads(text)
        if data.get("format") != FORMAT:
            raise ConfigError(
                f"the online store was written in format {data.get('format')}, this version of Headrace reads {FORMAT}; "
                "run headrace publish again, or serve with the version that published"
            )
        tables = {name: OnlineTable.from_dict(table) for name, table in data["tables"].items()}
        rows = tuple(RowFeature(**one) for one in data["row_features"])
        made = Made(**data["made"]) if data.get("made") else None
        return cls(number, datetime.fromisoformat(data["as_of"]), tables, data["columns"], rows, made)


def next_number(before: int) -> int:
    """The number of a publish: milliseconds since 1970, or one more than the one before."""
    return max(before + 1, time.time_ns() // 1_000_000)


class Found(NamedTuple):
    """A row: values in the order of the table's columns, and until when they hold (microseconds since 1970; None: ever)."""

    values: list[Any]
    holds_until: int | None


Key = tuple[str, str]
"""A feature table, and the text of an entity (`models.entities`)."""


class OnlineStore(Protocol):
    """Read by servers."""

    remote: bool
    """Whether asking it waits for a network."""

    def publish(self) -> Publish | None:
        """What was published last."""

    def fetch(self, keys: Sequence[Key]) -> tuple[Publish, dict[Key, Found]]:
        """Rows by their keys, all of the same publish, and that publish. A key that is not there is left out."""

    def close(self) -> None:
        """Give back connections."""


class Row(NamedTuple):
    """What is stored of an entity."""

    table: str
    entity: str
    values: str
    holds_until: int | None


@dataclass(frozen=True)
class Written:
    """What a publish changed, in rows; `superseded` where a newer one was there already, so that nothing was written."""

    added: int = 0
    changed: int = 0
    deleted: int = 0
    rows: int = 0
    superseded: bool = False


Batches = Iterable[Sequence[Row]]


def decoded(values: str, holds_until: int | None) -> Found:
    """A row as it is stored."""
    return Found(json.loads(values), holds_until)  # not orjson: NaN is a value


def sqlite_path(schema: str) -> Path:
    """Where the embedded store of a pipeline is."""
    return home() / "online" / f"{schema}.sqlite"


def opened(where: str, schema: str) -> OnlineStore:
    """An online store to read from.

    Args:
        where: `sqlite` (in `HEADRACE_HOME`), or `postgresql://user:${secret:NAME}@host/database`.
        schema: Of the pipeline.

    Raises:
        ConfigError: If there is no such store.
    """
    if where == "sqlite":
        from headrace.serving.online.sqlite import SqliteStore

        return SqliteStore(sqlite_path(schema))
    check(where)
    from headrace.serving.online.postgres import PostgresStore

    return PostgresStore(where, schema)


def check(where: str) -> None:
    """Refuse what is no store.

    Raises:
        ConfigError: In words, without a password.
    """
    if where != "sqlite" and not where.startswith(("postgresql://", "postgres://")):
        scheme = where.partition(":")[0]
        raise ConfigError(
            f"{scheme}: is no online store; write sqlite (a file in HEADRACE_HOME), or "
            "postgresql://user:${secret:NAME}@host:5432/database"
        )
