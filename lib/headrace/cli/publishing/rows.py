"""Feature tables as rows of an online store: computed by Spark, written down by executors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.config.describing import DESCRIPTIVE
from headrace.config.types import FeatureTable, Pipeline
from headrace.engine.online import HOLDS_UNTIL, moving, values_at, without_events
from headrace.errors import ConfigError
from headrace.models.entities import entity_text
from headrace.serving.online.store import OnlineTable, Row
from headrace.serving.typed import arrow_type, stored

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from headrace.runtime.tables import Tables

SCHEMA = "feature_table string, entity string, content string, holds_until bigint"


def read_by(pipeline: Pipeline, name: str) -> str:
    """The table that a feature table's values of now are made from."""
    table = pipeline.feature_tables[name]
    return table.from_ if table.kind == "aggregates" else name


def online_table(pipeline: Pipeline, tables: Tables, name: str, at: datetime) -> tuple[OnlineTable, DataFrame]:
    """What an online store says of a feature table, and the rows it is to have.

    Raises:
        ConfigError: If the table is not there, or its key is of a type that is no identity.
    """
    table, version = pipeline.feature_tables[name], tables.last(read_by(pipeline, name)).version
    frame = values_at(tables.read(read_by(pipeline, name), version), table, pipeline.tables[table.from_], at)
    kinds = {field.name: field.dataType.simpleString().partition(" collate")[0] for field in frame.schema}
    entity = tuple((key, kinds[key]) for key in table.entity)
    for key, kind in entity:
        if arrow_type(kind) is None or kind in ("float", "double"):
            raise ConfigError(
                f"feature_tables.{name}.entity: {key} is {kind}, by which nobody can ask; cast it to a text or a whole "
                f"number under tables.{table.from_}.columns"
            )
    columns = tuple(
        (c, kind) for c, kind in kinds.items() if c not in (*table.entity, HOLDS_UNTIL) and arrow_type(kind)
    )
    described = OnlineTable(table.kind, entity, columns, without_events(table), moving(table), made_of(table, version))
    names = [c for c, _ in columns]
    return described, frame.mapInArrow(_written(name, table.entity, names), SCHEMA)


def made_of(table: FeatureTable, version: int) -> str:
    """A name for what rows are made of: the definition, and the version of what they are read from."""
    defined = table.model_dump(mode="json", by_alias=True, exclude=set(DESCRIPTIVE))
    return hashlib.sha256(json.dumps([defined, version], sort_keys=True).encode()).hexdigest()[:16]


def _written(
    name: str, entity: Sequence[str], columns: Sequence[str]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            keys = zip(*(stored(batch.column(key)) for key in entity), strict=True)
            values = [stored(batch.column(column)) for column in columns]
            lists = zip(*values, strict=True) if values else ((),) * batch.num_rows
            content = [json.dumps(list(one), ensure_ascii=False, separators=(",", ":")) for one in lists]
            yield pa.record_batch(
                [
                    pa.array([name] * batch.num_rows, pa.string()),
                    pa.array([entity_text(key) for key in keys], pa.string()),
                    pa.array(content, pa.string()),
                    pa.array(stored(batch.column(HOLDS_UNTIL)), pa.int64()),
                ],
                names=["feature_table", "entity", "content", "holds_until"],
            )

    return write


def rows_of(batch: pa.RecordBatch) -> list[Row]:
    """A batch of `SCHEMA` as rows of a store."""
    return [Row(*one) for one in zip(*(column.to_pylist() for column in batch.columns), strict=True)]
