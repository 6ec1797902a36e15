"""Delta tables, by path or name: what newer versions appended, or the whole table where more has happened to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from headrace.config import secrets
from headrace.config.names import column_names
from headrace.config.types import Source, Table
from headrace.errors import ConfigError, DataError
from headrace.ingest import privacy
from headrace.ingest.delta_log import DeltaLog
from headrace.ingest.snapshots import Origin, same_types, stamped, withheld
from headrace.runtime.step import Done, Output, Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_CHANGE, _VERSION = "_change_type", "_commit_version"


def location(spark: SparkSession, source: Source) -> str | None:
    """The folder of a Delta table; None for a table of the catalogue that is none.

    Raises:
        ConfigError: If there is no such table.
    """
    if source.table is None and source.format.lower() == "delta":
        return source.path
    try:
        told = spark.sql(f"DESCRIBE TABLE EXTENDED {source.path}").where("data_type is not null").collect()
    except AnalysisException as error:
        raise ConfigError(f"there is no table {source.path!r} in Spark's catalogue; mend source.table") from error
    facts = {row["col_name"]: row["data_type"] for row in told}
    place = re.sub("^file:/+", "/", facts.get("Location", ""))
    return place if str(facts.get("Provider", "")).lower() == "delta" else None


def state(spark: SparkSession, source: Source) -> list[Any] | None:
    """The version that holds the table's rows, and its time; None where it has no versions.

    Raises:
        ConfigError: If there is no Delta table.
    """
    path = location(spark, source)
    if path is None:
        return None
    newest = DeltaLog(spark, path).newest()
    if newest is None:
        raise ConfigError(f"{source.path} is no Delta table (or an empty one); mend source.path")
    return list(newest)


def whole(spark: SparkSession, source: Source, version: int | None) -> DataFrame:
    """The whole table, at a version where it has versions."""
    path, options = location(spark, source), secrets.revealed(source.options)
    if path is None:
        return spark.table(source.path)
    options |= {"versionAsOf": str(version)} if version is not None else {}
    return spark.read.format("delta").options(**options).load(path)


def ingest_versions(run: Run, name: str, declared: Table) -> Done:
    """Land the rows of newer versions: appended ones alone, else the whole table, which supersedes what landed.

    Raises:
        DataError: If it holds no row, or a column's type is another one than before.
    """
    source = declared.source
    raw, path = f"raw_{name}", location(run.spark, source) or ""
    table = DeltaLog(run.spark, path)
    found = table.newest()
    assert found is not None  # `state` has asked before
    facts = run.facts(raw).get("facts", {}) if run.exists(raw) else {}
    reading = source.model_dump(mode="json", include={"format", "path", "table", "options", "mode"})
    reading |= privacy.reading(declared, privacy.key_of(run.pipeline, declared))
    same = table.identity in (None, facts.get("id")) or facts.get("id") is None
    known = same and facts.get("reading") == reading and not run.forced
    after = int(facts["version"]) if known else None
    more = _more(run, name, source, table, after, found[0]) if after is not None else None
    rows = whole(run.spark, source, found[0]) if more is None else more
    rows = withheld(run, name, declared, rows.toDF(*column_names(rows.columns)))
    empty = rows.isEmpty()
    if more is None and empty:
        raise DataError(f"tables.{name}: {source.path} holds no row; what landed before stands as it is")
    if run.exists(raw):
        same_types(Origin(f"tables.{name}.source", source.path, source.path, "Cast it there"), run.read(raw), rows)
    batch = int(facts.get("batch", 0)) + int(not empty)
    output = Output(
        raw,
        run.read(raw).limit(0) if empty else stamped(rows, source.path, str(found[0]), batch),
        mode="append",
        facts={
            "batch": batch,
            "counts_from": batch if more is None else int(facts["counts_from"]),
            "mode": "append",
            "superseded": False,
            "reading": reading,
            "sensitive": dict(declared.sensitive),
            "version": found[0],
            "id": table.identity,
            "columns": facts["columns"] if empty else [*rows.columns, *_STAMPS],
        },
        serializable=True,
        merge_schema=True,
        based_on=run.version(raw) if run.exists(raw) else -1,
        adds_nothing=empty,
    )
    told = f"{name}: {source.path} was changed otherwise than by new rows; it was read anew, version {found[0]}"
    return Done((output,), notes=(told,) if more is None and after is not None else ())


_STAMPS = ("_source", "_source_version", "_ingested_at", "_batch")


def _more(run: Run, name: str, source: Source, table: DeltaLog, after: int, until: int) -> DataFrame | None:
    """The rows that came after a version; None where the whole table has to be read."""
    changes = table.changes(after, until) if after <= until and source.mode != "snapshot" else None
    if changes is None:
        return None
    if not changes.rewritten and table.plain():
        return _files(run.spark, source, table.path, changes.added, until)
    return _feed(run, name, table.path, after, until) if changes.feed else None


def _files(spark: SparkSession, source: Source, path: str, added: tuple[str, ...], until: int) -> DataFrame | None:
    """The rows of files, as they were written; None where one is gone, merged with others and cleared away."""
    schema = whole(spark, source, until).schema
    if not added:
        return whole(spark, source, until).limit(0)
    root = path if "://" in path or path.startswith("file:") else f"file://{path}"
    paths = [file if "://" in file or file.startswith("/") else f"{root}/{file}" for file in added]
    try:
        return (
            spark.read.schema(schema)
            .option("basePath", root)
            .parquet(*paths)
            .select(*[F.col(f"`{c}`") for c in schema.names])
        )
    except AnalysisException as error:
        if "PATH_NOT_FOUND" in str(error):
            return None
        raise


def _feed(run: Run, name: str, path: str, after: int, until: int) -> DataFrame | None:
    """Rows as they came or became, by Delta's feed of changes; None where a key's row went, or there is no key."""
    options = {"readChangeFeed": "true", "startingVersion": str(after + 1), "endingVersion": str(until)}
    try:
        feed = run.spark.read.format("delta").options(**options).load(path)
    except AnalysisException:  # not kept for one of these versions
        return None
    key = run.pipeline.tables[name].key
    names = dict(zip(column_names(feed.columns), feed.columns, strict=True))
    if not key or not set(key) <= set(names):
        return None
    by = [names[column] for column in key] + [_VERSION]
    now = feed.where(F.col(_CHANGE).isin("insert", "update_postimage"))
    gone = feed.where(F.col(_CHANGE).isin("delete", "update_preimage")).join(now, by, "left_anti")
    if not gone.isEmpty():
        return None
    kept = [c for c in feed.columns if c not in (_CHANGE, _VERSION, "_commit_timestamp")]
    last = _last(now, by[:-1])
    return last.select(*[F.col(f"`{c}`") for c in kept])


def _last(feed: DataFrame, key: list[str]) -> DataFrame:
    """Of several changes of a key in the range the newest."""
    from pyspark.sql import Window

    newest = Window.partitionBy(*[F.col(f"`{c}`") for c in key])
    return (
        feed.withColumn("_newest", F.max(_VERSION).over(newest))
        .where(F.col("_newest") == F.col(_VERSION))
        .drop("_newest")
    )
