"""Sources of which only their rows can tell whether they have changed: read in each run, landed where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import functions as F

from headrace.config.types import Table
from headrace.engine.time import EXACT_JSON
from headrace.errors import DataError
from headrace.ingest.drift import NESTED, fits
from headrace.ingest.privacy import key_of, protected, refuse_plain
from headrace.runtime.cache import digest
from headrace.runtime.step import Done, Output, Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType


@dataclass(frozen=True)
class Origin:
    """Where rows come from, in words.

    Attributes:
        where: The place in the YAML, as `tables.orders.source`.
        name: What `_source` says, as `jdbc:postgresql://db/shop orders`.
        what: What a message calls it, as `the hook shop:orders`.
        mend: Where a type can be mended, as `cast in the hook`.
    """

    where: str
    name: str
    what: str
    mend: str


def land(
    run: Run,
    name: str,
    table: Table,
    origin: Origin,
    frame: DataFrame,
    computing: AbstractContextManager[Any] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Done:
    """Land rows in `raw_<table>` as a new batch if they are others than those of the last one.

    Args:
        run: The run.
        name: The table, without `raw_`.
        table: Its configuration.
        origin: Where the rows come from.
        frame: The rows; read once, kept on disk until they are written.
        computing: Around the one job that computes them.
        facts: What the commit is to carry besides.

    Raises:
        ConfigError: If a column is declared sensitive that is not there, or that has landed in plain.
        DataError: If there is no row, or a column's type is another one than before.
    """
    raw, bare = f"raw_{name}", withheld(run, name, table, frame)
    read = bare.persist(StorageLevel.DISK_ONLY)  # looked at, then written; only what may land is ever on a disk
    try:
        with computing or nullcontext():
            rows, content = content_of(read)
        if rows == 0:
            raise DataError(f"{origin.where}: {origin.what} returned no row; the rows of before stand as they are")
        earlier = run.facts(raw).get("facts", {}) if run.exists(raw) else {}
        if earlier.get("content") == content and not run.forced:
            read.unpersist()
            told = f"{origin.what}: the {rows:,} rows that have landed before"
            return Done(rows_in=rows, rows_out=0, notes=(told,), unchanged=True)
        return _landed(run, raw, origin, read, (rows, content), earlier, facts or {})
    except BaseException:
        read.unpersist()
        raise


def _landed(
    run: Run,
    raw: str,
    origin: Origin,
    read: DataFrame,
    found: tuple[int, str],
    earlier: dict[str, Any],
    facts: Mapping[str, Any],
) -> Done:
    rows, content = found
    batch = int(earlier.get("batch", 0)) + 1
    frame = stamped(read, origin.name, content, batch)
    if run.exists(raw):
        same_types(origin, run.read(raw), read)
    output = Output(
        raw,
        frame,
        mode="append",
        facts={
            "batch": batch,
            "mode": "snapshot",
            "content": content,
            "columns": frame.columns,
            "sensitive": dict(run.pipeline.tables[raw.removeprefix("raw_")].sensitive),
            **facts,
        },
        expect_rows=rows,
        serializable=True,
        merge_schema=True,
        based_on=run.version(raw) if run.exists(raw) else -1,
    )
    return Done((output,), rows_in=rows, cleanup=lambda: _release(read))


def withheld(run: Run, name: str, table: Table, frame: DataFrame) -> DataFrame:
    """Rows without the values of sensitive columns.

    Raises:
        ConfigError: If a column is declared sensitive that is not there, or that has landed in plain.
    """
    refuse_plain(run, name, table)
    return protected(frame, table.sensitive, key_of(run.pipeline, table), f"tables.{name}")


def _release(frame: DataFrame) -> None:
    frame.unpersist()


def stamped(frame: DataFrame, source: str, version: str, batch: int) -> DataFrame:
    """Rows with the columns that say where they came from, and when."""
    return frame.select(
        "*",
        F.lit(source).alias("_source"),
        F.lit(version).alias("_source_version"),
        F.current_timestamp().alias("_ingested_at"),
        F.lit(batch).cast("bigint").alias("_batch"),
    )


def same_types(origin: Origin, before: DataFrame, now: DataFrame) -> None:
    """Columns may come and go; one that stays keeps its type, for the raw table keeps all batches. Nested ones may grow.

    Raises:
        DataError: If one does not.
    """
    kinds = {field.name: field.dataType for field in before.schema}
    told = [
        f"{field.name} is {field.dataType.simpleString()}, before it was {kinds[field.name].simpleString()}"
        for field in now.schema
        if field.name in kinds and not _goes_on(kinds[field.name], field.dataType)
    ]
    if told:
        raise DataError(
            f"{origin.where}: {origin.what} returned other types than before: {'; '.join(told)}. {origin.mend}, "
            "or give the column another name"
        )


def _goes_on(before: DataType, now: DataType) -> bool:
    return before.simpleString() == now.simpleString() or (isinstance(now, NESTED) and fits(before, now))


def content_of(frame: DataFrame) -> tuple[int, str]:
    """How many rows, and a hash of them and their columns, whatever their order. Runs one Spark job."""
    row = F.to_json(F.struct(*[F.col(f"`{name}`") for name in frame.columns]), EXACT_JSON)
    sums = [F.sum(value.cast("decimal(38,0)")) for value in (F.xxhash64(row), F.xxhash64(F.lit(1), row))]
    found: Any = frame.agg(F.count("*"), *sums).first()
    return int(found[0]), digest(frame.schema.simpleString(), *map(str, found))
