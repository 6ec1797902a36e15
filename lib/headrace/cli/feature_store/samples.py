"""The query behind a sample of a feature table as of a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headrace.config.durations import microseconds
from headrace.config.file.complaints import meant
from headrace.config.types import FeatureTable
from headrace.errors import ConfigError

ROWS = 20


def entity_of(table: FeatureTable, given: Sequence[str]) -> dict[str, str]:
    """`column=value` pairs, or one value where the key is one column.

    Raises:
        ConfigError: If one is none of the table's keys.
    """
    found: dict[str, str] = {}
    for text in given:
        column, sign, value = text.partition("=")
        if not sign and len(table.entity) == 1:
            column, value = table.entity[0], text
        if column.lower() not in table.entity:
            keys = ", ".join(f"{c}=..." for c in table.entity)
            raise ConfigError(f"--entity {text}: write {keys}{meant(column.lower(), table.entity)}")
        found[column.lower()] = value
    return found


def query(schema: str, name: str, table: FeatureTable, at: datetime, entity: dict[str, str]) -> str:
    """SQL of the newest row of each entity as of a time, at most `ROWS` entities; not of window features."""
    moment = f"timestamp_micros({round(at.timestamp() * 1_000_000)})"
    wheres = [f"CAST({_name(column)} AS STRING) = {_text(value)}" for column, value in entity.items()]
    keys = ", ".join(map(_name, table.entity))
    if table.kind == "lookup":
        return f"SELECT * FROM {_name(schema)}.{_name(name)}{_where(wheres)} ORDER BY {keys} LIMIT {ROWS}"
    ties = [_name(c) for c in table.latest if c not in table.entity]
    first = ", ".join(f"{c} DESC" for c in ("event_time", "available_at", *ties))
    wheres += [f"event_time <= {moment}", f"available_at <= {moment}"]
    if table.until:
        wheres.append(f"coalesce(valid_until > {moment}, true)")
    if table.max_age:
        wheres.append(f"event_time > timestamp_micros(unix_micros({moment}) - {microseconds(table.max_age)})")
    return (
        f"SELECT * EXCEPT (_rank) FROM (SELECT *, row_number() OVER (PARTITION BY {keys} ORDER BY {first}) AS _rank "
        f"FROM {_name(schema)}.{_name(name)}{_where(wheres)}) WHERE _rank = 1 ORDER BY {keys} LIMIT {ROWS}"
    )


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _name(identifier: str) -> str:
    return "`" + identifier.replace("`", "``") + "`"


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
