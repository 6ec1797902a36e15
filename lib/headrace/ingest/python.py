"""Sources in Python: a function `(spark, **options) -> DataFrame`, or a DataSource of Spark.

Whether such a source has changed nobody can tell but by reading it: each run does, and its rows land as a new
snapshot where their content differs from that of the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import functions as F

from headrace.config import secrets
from headrace.config.hooks import Use, use
from headrace.config.names import column_names
from headrace.config.types import Source, Table
from headrace.errors import DataError
from headrace.ingest.privacy import key_of, protected, refuse_plain
from headrace.runtime.cache import digest
from headrace.runtime.hooks import computing, load, naming
from headrace.runtime.step import Done, Output, Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def ingest_python(run: Run, name: str, declared: Table) -> Done:
    """Read a source in Python, and land its rows in `raw_<table>` if they are others than before.

    Raises:
        ConfigError: If a column is declared sensitive that is not there, or that has landed in plain.
        DataError: If it returns no DataFrame, or no row.
    """
    one, table = use(run.pipeline, f"tables.{name}.source.python"), f"raw_{name}"
    refuse_plain(run, name, declared)
    named = _named(_read(run, one, declared.source), one)
    bare = protected(named, declared.sensitive, key_of(run.pipeline, declared), f"tables.{name}")
    read = bare.persist(StorageLevel.DISK_ONLY)  # looked at, then written; only what may land is ever on a disk
    try:
        with computing(one):
            rows, content = _content(read)
        if rows == 0:
            raise DataError(f"{one.where}: the hook {one.hook} returned no row; the rows of before stand as they are")
        there = run.exists(table)
        earlier = run.facts(table).get("facts", {}) if there else {}
        if earlier.get("content") == content and not run.forced:
            read.unpersist()
            return Done(rows_in=rows, rows_out=0, notes=(f"{one.hook}: the {rows:,} rows that have landed before",))
        return _landed(run, name, one, read, rows, content, earlier)
    except BaseException:
        read.unpersist()
        raise


def python_rows(run: Run, name: str, source: Source) -> DataFrame:
    """The rows of a source in Python, their columns named as in the tables; nothing lands.

    Raises:
        DataError: If it returns no DataFrame.
    """
    one = use(run.pipeline, f"tables.{name}.source.python")
    return _named(_read(run, one, source), one)


def _landed(run: Run, name: str, one: Use, read: DataFrame, rows: int, content: str, earlier: dict[str, Any]) -> Done:
    table, batch = f"raw_{name}", int(earlier.get("batch", 0)) + 1
    frame = read.select(
        "*",
        F.lit(one.hook).alias("_source"),
        F.lit(content).alias("_source_version"),
        F.current_timestamp().alias("_ingested_at"),
        F.lit(batch).cast("bigint").alias("_batch"),
    )
    if run.exists(table):
        _same_types(one, run.read(table), read)
    output = Output(
        table,
        frame,
        mode="append",
        facts={
            "batch": batch,
            "mode": "snapshot",
            "content": content,
            "columns": frame.columns,
            "sensitive": dict(run.pipeline.tables[name].sensitive),
        },
        expect_rows=rows,
        serializable=True,
        merge_schema=True,
        based_on=run.version(table) if run.exists(table) else -1,
    )
    return Done((output,), rows_in=rows, cleanup=lambda: _release(read))


def _same_types(one: Use, before: DataFrame, now: DataFrame) -> None:
    """Columns may come and go; one that stays keeps its type, for the raw table keeps all batches."""
    kinds = {field.name: field.dataType.simpleString() for field in before.schema}
    told = [
        f"{field.name} is {field.dataType.simpleString()}, before it was {kinds[field.name]}"
        for field in now.schema
        if kinds.get(field.name, field.dataType.simpleString()) != field.dataType.simpleString()
    ]
    if told:
        raise DataError(
            f"{one.where}: the hook {one.hook} returned other types than before: {'; '.join(told)}. Cast in the hook, "
            "or give the column another name"
        )


def _release(frame: DataFrame) -> None:
    frame.unpersist()


def _read(run: Run, one: Use, source: Source) -> Any:
    from pyspark.sql.datasource import DataSource

    found = load(run.spark, run.pipeline, one)
    with naming(one):
        if isinstance(found, type) and issubclass(found, DataSource):
            run.spark.dataSource.register(found)
            return run.spark.read.format(found.name()).options(**secrets.revealed(source.options)).load()
        return found(run.spark, **{name: _revealed(value) for name, value in source.options.items()})


def _revealed(value: Any) -> Any:
    """An option as it stands in the YAML, a number as a number, with its secrets."""
    if isinstance(value, dict):
        return {key: _revealed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_revealed(item) for item in value]
    return secrets.reveal(value) if isinstance(value, str) else value


def _named(read: Any, one: Use) -> DataFrame:
    from pyspark.sql import DataFrame

    said = f"{one.where}: the hook {one.hook} returned"
    if not isinstance(read, DataFrame):
        raise DataError(f"{said} {type(read).__module__}.{type(read).__name__}; wanted is a DataFrame of Spark")
    if read.isStreaming or not read.columns:
        raise DataError(f"{said} {'a stream' if read.isStreaming else 'no column'}; wanted is a DataFrame with rows")
    return read.toDF(*column_names(read.columns))


def _content(frame: DataFrame) -> tuple[int, str]:
    """How many rows, and a hash of them and their columns, whatever their order. Runs one Spark job."""
    content = F.xxhash64(F.to_json(F.struct(*[F.col(f"`{name}`") for name in frame.columns])))
    other = F.xxhash64(F.lit(1), F.to_json(F.struct(*[F.col(f"`{name}`") for name in frame.columns])))
    sums = [F.sum(value.cast("decimal(38,0)")) for value in (content, other)]
    found: Any = frame.agg(F.count("*"), *sums).first()
    return int(found[0]), digest(frame.schema.simpleString(), *map(str, found))
