"""Which columns there are at each place of a pipeline, and names there that are none of them.

A table has its source's columns and those of `columns`, or just what `keep` lists. Where a source's columns are not
known without Spark, only what `keep`, `known_early` and the feature tables tell is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from headrace.config.checks import training_scope
from headrace.config.checks.headers import source_columns
from headrace.config.checks.unknown import Columns, Found, expression, missing, named, single, unknown_read
from headrace.config.rules import Rule
from headrace.config.sql.reads import reads
from headrace.config.types import FeatureTable, Pipeline, Source, Table

Header = Callable[[Source], tuple[str, ...] | None]


def check(pipeline: Pipeline, header: Header = source_columns) -> Iterator[Found]:
    """Names of columns that are nowhere, or not known where they are used.

    Args:
        pipeline: The configuration.
        header: The columns of a source, None where they cannot be known; reads the first line of local files.

    Returns:
        Pairs (where, what came and what is allowed).
    """
    sources = {name: None if table.transform else header(table.source) for name, table in pipeline.tables.items()}
    for name, table in pipeline.tables.items():
        for column in table.sensitive:
            yield from single(f"tables.{name}.sensitive.{column}", f"the source of {name}", column, _set(sources[name]))
    sources = {name: _without_dropped(pipeline.tables[name], there) for name, there in sources.items()}
    typed = {name: _typed(table, sources[name]) for name, table in pipeline.tables.items()}
    cleaned = {name: frozenset(table.keep) or typed[name] for name, table in pipeline.tables.items()}
    for name, table in pipeline.tables.items():
        if not table.shared:
            yield from _table(name, table, sources[name], cleaned)
    for name, feature in pipeline.feature_tables.items():
        yield from _feature_table(f"feature_tables.{name}", feature, cleaned)
    if pipeline.training_set and pipeline.training_set.spine in pipeline.tables:
        yield from training_scope.check(pipeline, cleaned)


def _set(source: tuple[str, ...] | None) -> Columns:
    return None if source is None else frozenset(source)


def _without_dropped(table: Table, source: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """What of a source's columns lands."""
    return None if source is None else tuple(c for c in source if table.sensitive.get(c) != "drop")


def _typed(table: Table, source: tuple[str, ...] | None) -> Columns:
    return None if source is None else frozenset(source) | {name.lower() for name in table.columns}


def _table(name: str, table: Table, source: tuple[str, ...] | None, cleaned: dict[str, Columns]) -> Iterator[Found]:
    where, what = f"tables.{name}", f"the table {name}"
    there: Columns = None if source is None else frozenset(source)
    for column in table.types:
        yield from single(f"{where}.types.{column}", f"the source of {name}", column, there)
    for column, text in table.columns.items():
        for read, known in missing(text, there, cleaned):
            told = _waits(table, column, read.name.lower(), source) if read.row else None
            yield f"{where}.columns.{column}", told or unknown_read(what, read, known)
        there = None if there is None else there | {column}
    for number, rule in enumerate(table.rules):
        yield from _rule(f"{where}.rules[{number}]", what, rule, there, cleaned)
    yield from expression(f"{where}.source.delete_when", what, table.source.delete_when, there, cleaned)
    yield from named(f"{where}.keep", what, table.keep, there)
    for column in () if table.keep else table.describe:
        yield from single(f"{where}.describe.{column}", what, column, there)
    needed = [c for c in (*table.key, table.event_time, table.available_at) if c and c not in table.keep]
    if table.keep and needed:
        yield f"{where}.keep", f"the key and the times need {', '.join(dict.fromkeys(needed))} as well; add it"
    yield from named(f"{where}.key", what, table.key, there)
    yield from single(f"{where}.event_time", what, table.event_time, there)
    yield from single(f"{where}.available_at", what, table.available_at, there)
    yield from named(f"{where}.known_early", what, table.known_early, cleaned[name])


def _rule(where: str, what: str, rule: Rule, there: Columns, cleaned: dict[str, Columns]) -> Iterator[Found]:
    yield from expression(f"{where}.check", what, rule.check, there, cleaned)
    for part in ("not_null", "unique", "ordered", "column", "by"):
        yield from named(f"{where}.{part}", what, getattr(rule, part), there)
    yield from named(f"{where}.outlier.by", what, rule.outlier.by if rule.outlier else (), there)
    yield from single(f"{where}.time", what, rule.time, there)
    if rule.foreign:
        other, column = rule.foreign
        yield from single(f"{where}.in", f"the table {other}", column, cleaned.get(other))


def _waits(table: Table, column: str, read: str, source: tuple[str, ...] | None) -> str | None:
    """A computed column that reads one which is computed further down, or itself."""
    if read == column:
        return f"{column!r} is computed from itself, and the source has no such column"
    if read not in table.columns:
        return None
    below = f"{read!r} is computed further down; columns are computed in their order: put it above"
    return _circle(table, column, source) or below


def _circle(table: Table, start: str, source: tuple[str, ...] | None) -> str | None:
    """Computed columns that wait for each other, none of them being in the source."""
    uses = {
        name: [read.name.lower() for read in reads(text) if read.row and read.name.lower() in table.columns]
        for name, text in table.columns.items()
    }
    ways, seen = [[start]], set(source or ())
    while ways:
        way = ways.pop(0)
        for other in uses[way[-1]]:
            if other == start and len(way) > 1:
                return f"columns wait for each other: {' -> '.join([*way, start])}; break the circle"
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return None


def _feature_table(where: str, feature: FeatureTable, cleaned: dict[str, Columns]) -> Iterator[Found]:
    what, there = f"the table {feature.from_}", cleaned.get(feature.from_)
    yield from named(f"{where}.entity", what, feature.entity, there)
    yield from named(f"{where}.latest", what, feature.latest, there)
    yield from named(f"{where}.lookup", what, feature.lookup, there)
    yield from single(f"{where}.time", what, feature.time, there)
    yield from single(f"{where}.until", what, feature.until, there)
    for number, aggregate in enumerate(feature.aggregates):
        here = f"{where}.aggregates[{number}]"
        yield from single(f"{here}.column", what, aggregate.column.replace("*", ""), there)
        yield from expression(f"{here}.where", what, aggregate.where, there, cleaned)
