"""What there is to say of a pipeline's tables: words from the YAML, facts from the tables' logs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace.cli.planning.plans import NeedsSparkError
from headrace.config.file.complaints import meant
from headrace.config.texts import COLUMN_TAGS, OWNER, TAGS, TableText, texts_of
from headrace.config.types import Environment, Pipeline
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from headrace.runtime.commits import CommitLog


@dataclass(frozen=True)
class ColumnFacts:
    """A column: its name, SQL type, comment and tags."""

    name: str
    type: str
    comment: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableFacts:
    """A table as it stands.

    Attributes:
        name: With its schema.
        description: Its comment.
        owner: Who answers for it.
        tags: Its tags.
        columns: In their order.
        version: The newest that changed rows; None: the table is not there yet.
        rows: How many there are; None where its log does not tell.
        written: When, UTC.
        run: Which run wrote it.
        stage: In which stage.
        inputs: What it was made from, with versions; of a raw table its source.
        views: Views over it.
    """

    name: str
    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    columns: tuple[ColumnFacts, ...] = ()
    version: int | None = None
    rows: int | None = None
    written: str = ""
    run: str = ""
    stage: str = ""
    inputs: Mapping[str, int | str] = field(default_factory=dict)
    views: tuple[str, ...] = ()


@dataclass(frozen=True)
class PipelineFacts:
    """A pipeline and its tables."""

    schema: str
    description: str
    owner: str
    tags: tuple[str, ...]
    tables: tuple[TableFacts, ...]


def described(
    pipeline: Pipeline,
    environment: Environment,
    table: str | None = None,
    sample: str | None = None,
    spark: SparkSession | None = None,
) -> PipelineFacts:
    """A pipeline's tables, or one of them; those to come are told from the YAML.

    Raises:
        ConfigError: If there is no such table.
        NeedsSparkError: If the tables are not on this machine and there is no session.
    """
    from headrace.runtime.commits import CommitLog, files_for, is_local
    from headrace.runtime.home import places

    where = places(pipeline, environment, sample)
    if spark is None and not is_local(where.warehouse):
        raise NeedsSparkError(f"the warehouse {where.warehouse} is not on this machine")
    log = CommitLog(where.root, files_for(where.root, spark), where.elsewhere)
    texts = texts_of(pipeline)
    names = list(dict.fromkeys([*texts, *log.tables()]))
    if table is not None:
        wanted = table.lower().removeprefix(f"{where.schema}.")
        if wanted not in names:
            raise ConfigError(f"there is no table {table!r}; there are {', '.join(names)}{meant(wanted, names)}")
        names = [wanted]
    facts = tuple(table_facts(log, where.schema, name, texts.get(name), pipeline) for name in names)
    return PipelineFacts(where.schema, pipeline.description or "", pipeline.owner or "", pipeline.tags, facts)


def table_facts(log: CommitLog, schema: str, name: str, text: TableText | None, pipeline: Pipeline) -> TableFacts:
    """A table as its log tells it; one that is not there yet, or whose log is short, as the YAML does."""
    commit, text = log.last(name), text or TableText()
    if commit is None:
        columns = tuple(ColumnFacts(c, "", said, text.column_tags.get(c, ())) for c, said in text.columns.items())
        return TableFacts(f"{schema}.{name}", text.description, text.owner, text.tags, columns)
    metadata = log.metadata(name)
    said: dict[str, str] = metadata.get("configuration") or {}
    note = commit.note
    tags = json.loads(said.get(COLUMN_TAGS) or "{}")
    return TableFacts(
        name=f"{schema}.{name}",
        description=metadata.get("description") or text.description,
        owner=said.get(OWNER) or text.owner,
        tags=tuple(tag for tag in said.get(TAGS, "").split(", ") if tag),
        columns=tuple(_columns(json.loads(metadata.get("schemaString") or "{}"), tags)),
        version=commit.version,
        rows=log.rows(name),
        written=f"{datetime.fromtimestamp(commit.timestamp / 1000, UTC):%Y-%m-%d %H:%M:%S}",
        run=str(note.get("run_id", "")),
        stage=str(note.get("stage", commit.operation)),
        inputs=note.get("inputs") or _source(name, pipeline),
        views=tuple(note.get("views") or ()),
    )


def _source(name: str, pipeline: Pipeline) -> dict[str, str]:
    table = pipeline.tables.get(name.removeprefix("raw_")) if name.startswith("raw_") else None
    return {f"{table.source.format}": table.source.path} if table is not None else {}


def _columns(schema: Mapping[str, Any], tags: Mapping[str, list[str]]) -> Iterator[ColumnFacts]:
    for column in schema.get("fields", []):
        name = column["name"]
        comment = str((column.get("metadata") or {}).get("comment", ""))
        yield ColumnFacts(name, sql_type(column["type"]), comment, tuple(tags.get(name.lower(), ())))


def sql_type(kind: Any) -> str:
    """A type of Delta's schemas as SQL writes it.

    >>> sql_type({"type": "array", "elementType": "long", "containsNull": True})
    'array<bigint>'
    """
    plain = {"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint"}
    if isinstance(kind, str):
        return plain.get(kind, kind)
    if kind["type"] == "array":
        return f"array<{sql_type(kind['elementType'])}>"
    if kind["type"] == "map":
        return f"map<{sql_type(kind['keyType'])}, {sql_type(kind['valueType'])}>"
    fields = [f"{field['name']}: {sql_type(field['type'])}" for field in kind.get("fields", [])]
    return f"struct<{', '.join(fields)}>"
