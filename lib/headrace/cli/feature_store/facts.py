"""The features of a pipeline: what each is, what it is made from, and how fresh its table is. No Spark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from headrace.cli.describing import TableFacts, table_facts
from headrace.config.names import aggregate_column
from headrace.config.sql.reads import reads
from headrace.config.texts import texts_of
from headrace.config.types import FeatureTable, Pipeline, Table

if TYPE_CHECKING:
    from headrace.runtime.commits import CommitLog


@dataclass(frozen=True)
class Feature:
    """One feature.

    Attributes:
        table: Its feature table.
        name: Its column there.
        type: SQL type; empty until the table is there.
        what: What it is: `mean of arr_delay`, `newest temp`.
        window: Over which time; empty where there is none.
        source: The cleaned table and columns that it is made from, as `flights.arr_delay`.
        lineage: How these columns come to be, step by step, down to the source.
        comment: What is said of it.
    """

    table: str
    name: str
    type: str
    what: str
    window: str
    source: tuple[str, ...]
    lineage: tuple[str, ...]
    comment: str = ""


@dataclass(frozen=True)
class FeatureTableFacts:
    """A feature table.

    Attributes:
        name: With its schema.
        kind: `aggregates`, `latest` or `lookup`.
        entity: Key columns.
        published: At which times it has rows.
        description: What is said of it.
        rows: How many there are; None where its log does not tell.
        written: When, UTC; empty: not there yet.
        freshness: Whether its rows are those of the newest cleaned ones, in words.
        views: Views over it.
        features: Its features.
    """

    name: str
    kind: str
    entity: tuple[str, ...]
    published: str
    description: str
    rows: int | None
    written: str
    freshness: str
    views: tuple[str, ...]
    features: tuple[Feature, ...]


def feature_tables(pipeline: Pipeline, log: CommitLog, schema: str, now: datetime) -> tuple[FeatureTableFacts, ...]:
    """All feature tables of a pipeline, in the order of the YAML."""
    texts = texts_of(pipeline)
    return tuple(
        _table(pipeline, log, name, table, table_facts(log, schema, name, texts[name], pipeline), now)
        for name, table in pipeline.feature_tables.items()
    )


def _table(
    pipeline: Pipeline, log: CommitLog, name: str, table: FeatureTable, facts: TableFacts, now: datetime
) -> FeatureTableFacts:
    published = {"latest": "each row of its table", "lookup": "one row per entity"}.get(table.kind)
    return FeatureTableFacts(
        name=facts.name,
        kind=table.kind,
        entity=table.entity,
        published=published or (f"every {table.grid}" if table.grid else "just after each event"),
        description=facts.description,
        rows=facts.rows,
        written=facts.written,
        freshness=_freshness(log, name, table, now),
        views=facts.views,
        features=tuple(_features(pipeline, name, table, facts)),
    )


def _freshness(log: CommitLog, name: str, table: FeatureTable, now: datetime) -> str:
    made, source = log.last(name), log.last(table.from_)
    if made is None:
        return "not there yet"
    of = made.note.get("inputs", {}).get(table.from_)
    if source is not None and of is not None and source.version > of:
        since = datetime.fromtimestamp(source.timestamp / 1000, UTC)
        return f"behind: made from {table.from_} version {of}, version {source.version} came {since:%Y-%m-%d %H:%M:%S}"
    expires = made.note.get("expires")
    if expires and datetime.fromisoformat(expires) <= now:
        return f"behind: more has become known since {datetime.fromisoformat(expires):%Y-%m-%d %H:%M:%S}"
    return f"up to date with {table.from_} version {of}"


def _features(pipeline: Pipeline, name: str, table: FeatureTable, facts: TableFacts) -> Iterator[Feature]:
    types = {c.name.lower(): (c.type, c.comment) for c in facts.columns}
    for column, what, window, used in told(table):
        kind, comment = types.get(column.lower(), ("", ""))
        sources = tuple(f"{table.from_}.{one}" for one in used)
        lineage = [line for one in used for line in lineage_of(pipeline.tables[table.from_], table.from_, one)]
        yield Feature(name, column, kind, what, window, sources, tuple(dict.fromkeys(lineage)), comment)


def told(table: FeatureTable) -> Iterator[tuple[str, str, str, list[str]]]:
    """Each feature: its name, what it is, its window, the columns of the cleaned table that it reads."""
    for part in table.aggregates:
        where = f" where {part.where}" if part.where else ""
        condition = [read.name.lower() for read in reads(part.where)] if part.where else []
        used = list(dict.fromkeys([*([part.column] if part.column != "*" else []), *condition]))
        of = "events" if part.column == "*" else part.column
        for function in part.functions:
            for window in part.windows:
                if function != "since_last":  # holds for no stretch of time: never published
                    yield aggregate_column(part, function, window), f"{function} of {of}{where}", window, used
    for column in table.latest:
        yield column, f"newest {column} known", table.max_age or "", [column, *([table.until] if table.until else [])]
    for column in table.lookup:
        yield column, f"{column} by {', '.join(table.entity)}", "", [column]


def unpublished(table: FeatureTable) -> list[str]:
    """Features that are for training and scoring alone."""
    parts = [(part, window) for part in table.aggregates for window in part.windows if "since_last" in part.functions]
    return [aggregate_column(part, "since_last", window) for part, window in parts]


def lineage_of(table: Table, name: str, column: str) -> list[str]:
    """How a column of a cleaned table comes to be: the SQL that computes it, and the source columns at the end."""
    lines: list[str] = []
    waiting, seen = [(column.lower(), len(table.columns))], set[tuple[str, int]]()
    order = list(table.columns)
    while waiting:
        one, below = waiting.pop(0)
        if (one, below) in seen:
            continue
        seen.add((one, below))
        place = next((i for i in range(below - 1, -1, -1) if order[i].lower() == one), None)
        if place is None:
            kind = f" as {table.types[one]}" if one in table.types else ""
            lines.append(f"{name}.{one} = {_origin(table)}: {one}{kind}")
            continue
        text = table.columns[order[place]]
        lines.append(f"{name}.{one} = {text}")
        waiting += [(read.name.lower(), place) for read in reads(text) if read.row]
    return lines


def _origin(table: Table) -> str:
    if table.shared:
        return f"as made by {table.shared}"
    through = f" through {table.transform}" if table.transform else ""
    return f"{table.source.path if table.source.python else f'{table.source.format} {table.source.path}'}{through}"
