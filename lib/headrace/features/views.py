"""The newest row of each entity, as views: `latest_<feature table>`, and `latest_features` over all of them."""

from __future__ import annotations

from headrace.config.durations import microseconds
from headrace.config.types import FeatureTable
from headrace.engine.published import VALID_FROM, VALID_UNTIL

EVERY = "latest_features"


def views(name: str, table: FeatureTable, columns: list[str]) -> dict[str, str]:
    """SQL of the views that a feature table brings, by name; `{schema}` stands for the schema.

    Args:
        name: The feature table.
        table: Its configuration.
        columns: Of the table, in order.
    """
    own = f"latest_{name}"
    return {own: _newest(name, table, columns), EVERY: _long(own, name, table, columns)}


def _newest(name: str, table: FeatureTable, columns: list[str]) -> str:
    if table.kind == "lookup":
        return f"SELECT * FROM {{schema}}.{name}"
    first, where = f"{VALID_FROM} DESC", ""
    if table.kind == "latest":
        times = ("event_time", *((VALID_UNTIL,) if table.until else ()))
        rest = [_quoted(c) for c in columns if c not in (*times, *table.entity)]
        first = ", ".join(f"{c} DESC" for c in ["event_time", *rest])
        where = " WHERE event_time <= current_timestamp()"
        where += f" AND coalesce({VALID_UNTIL} > current_timestamp(), true)" if table.until else ""
    entity = ", ".join(map(_quoted, table.entity))
    return (
        f"SELECT * EXCEPT (_rank) FROM (SELECT *, row_number() OVER (PARTITION BY {entity} ORDER BY {first}) AS _rank "
        f"FROM {{schema}}.{name}{where}) WHERE _rank = 1"
    )


def _long(view: str, name: str, table: FeatureTable, columns: list[str]) -> str:
    """One row per entity: its key, times and values as text, so that tables of different entities stand in one view."""
    times = {"aggregates": (VALID_FROM, VALID_UNTIL), "latest": ("event_time", _age(table)), "lookup": ("NULL", "NULL")}
    begin, end = times[table.kind]
    values = [c for c in columns if c not in (*table.entity, VALID_FROM, VALID_UNTIL, "event_time", "available_at")]
    return (
        f"SELECT '{name}' AS feature_table, {_map(table.entity)} AS entity, CAST({begin} AS TIMESTAMP) AS valid_from, "
        f"CAST({end} AS TIMESTAMP) AS valid_until, {_map(values)} AS features FROM {{schema}}.{view}"
    )


def _age(table: FeatureTable) -> str:
    """When a looked-up row is too old to count, or holds no more."""
    until = f"CAST({VALID_UNTIL} AS TIMESTAMP)" if table.until else "NULL"
    if not table.max_age:
        return until
    aged = f"timestamp_micros(unix_micros(CAST(event_time AS TIMESTAMP)) + {microseconds(table.max_age)})"
    return f"least({until}, {aged})" if table.until else aged


def _map(columns: tuple[str, ...] | list[str]) -> str:
    pairs = ", ".join(f"'{c}', CAST({_quoted(c)} AS STRING)" for c in columns)
    return f"map({pairs})" if pairs else "map('', CAST(NULL AS STRING))"


def _quoted(column: str) -> str:
    return f"`{column}`"
