"""From raw text to typed columns: casts, then the SQL of `columns`; a cast that fails is a reason, never an abort."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from headrace.clean.inference import Counts, counts_of, profile, type_of
from headrace.config.sql.castable import castable
from headrace.config.sql.expressions import safe_casts
from headrace.config.types import Table
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

RAW = "_raw"
REASONS = "_reasons"
ROW = "_row"
DELETED = "_deleted"
TECHNICAL = ("_source", "_source_version", "_ingested_at", "_batch", "_corrupt", "_rescued")


def current(raw: DataFrame, facts: Mapping[str, Any]) -> DataFrame:
    """The raw rows that count: of a snapshot the newest batch; of an upsert all since its files were last read in
    another way; else of each file the newest version.

    Args:
        raw: The raw table.
        facts: What its commit carries: `mode`, `batch`, `superseded` (whether any file ever was), `emptied` (files
            whose newest version holds no row), `since` (the first batch that was read as all later ones); of a source
            that is no file `counts_from`, the first batch that counts; where the source became one of files, `from`.
    """
    if facts.get("counts_from"):
        return raw.where(F.col("_batch") >= int(facts["counts_from"]))
    if int(facts.get("from") or 1) > 1:
        raw = raw.where(F.col("_batch") >= int(facts["from"]))
    mode = facts.get("mode", "append")
    if mode == "snapshot":
        return raw.where(F.col("_batch") == int(facts.get("batch", 1)))
    if mode == "upsert":
        return _as_read_now(raw, int(facts.get("since", 1)))
    if not facts.get("superseded", True):
        return raw
    newest = raw.groupBy("_source").agg(F.max("_batch").alias("_batch"))
    if facts.get("emptied"):
        emptied = raw.sparkSession.createDataFrame([(path,) for path in facts["emptied"]], "_source string")
        newest = newest.join(F.broadcast(emptied), "_source", "left_anti")
    return raw.join(F.broadcast(newest), ["_source", "_batch"]).select(*raw.columns)


def _as_read_now(raw: DataFrame, since: int) -> DataFrame:
    """Of each file what was read from a batch on; files that are gone since stay as they were read."""
    if since <= 1:
        return raw
    again = raw.where(F.col("_batch") >= since).select("_source").distinct()
    old = raw.where(F.col("_batch") < since).join(F.broadcast(again), "_source", "left_anti")
    return raw.where(F.col("_batch") >= since).unionByName(old.select(*raw.columns))


def text_columns(raw: DataFrame) -> list[str]:
    """Columns of the source that are text."""
    return [f.name for f in raw.schema if isinstance(f.dataType, StringType) and f.name not in TECHNICAL]


def looked_at(
    raw: DataFrame, table: Table, known: Mapping[str, Counts], folders: Collection[str] = ()
) -> dict[str, Counts]:
    """What the values are of each text column of a text source that declares no type.

    Args:
        raw: The raw rows.
        table: The table's configuration.
        known: What an earlier look at the same rows found; only other columns are looked at (one Spark job).
        folders: Columns that come from the names of folders: they are text whatever the format.
    """
    text = [c for c in text_columns(raw) if table.source.format == "csv" or c in folders]
    open_ = [c for c in text if c not in table.types]
    new = [c for c in open_ if c not in known]
    found = counts_of(profile(raw.select(*new))) if new else {}
    return {c: known[c] if c in known else found[c] for c in open_}


def types_of(table: Table, counts: Mapping[str, Counts]) -> dict[str, str]:
    """SQL type of each source column that is cast: as declared, else as all its values allow."""
    inferred = {column: type_of(found) for column, found in counts.items()}
    return {**{c: t for c, t in inferred.items() if t != "string"}, **table.types}


def shape(
    raw: DataFrame, table: Table, types: dict[str, str], transform: Callable[[DataFrame], DataFrame] | None = None
) -> DataFrame:
    """Cast and compute the table's columns.

    Args:
        raw: Rows as they came, with the technical columns.
        table: The table's configuration.
        types: SQL type per source column.
        transform: Comes between the casts and `columns`; leaves `_raw`, `_row` and `_reasons` as they are.

    Returns:
        The source's columns typed, those of `columns`, `_raw` (the row as it came, a struct), and `_reasons`: the
        casts that failed, as `cast:<column>`. With `delete_when` also `_deleted`, whether the row deletes its key;
        with `_rescued` also that.
    """
    # as SQL: of a table of 2,000 columns Spark's Column objects, one by one, take minutes to build
    reasons = ["case when _corrupt is not null then 'corrupt' end"] if "_corrupt" in raw.columns else []
    typed: list[str] = []
    for name in (c for c in raw.columns if c not in TECHNICAL):
        if types.get(name, "string") == "string":
            typed.append(f"`{name}`")
            continue
        cast = f"try_cast({castable(f'`{name}`', types[name])} as {types[name]})"
        typed.append(f"{cast} as `{name}`")
        reasons.append(f"case when {cast} is null and trim(cast(`{name}` as string)) <> '' then 'cast:{name}' end")
    typed += ["_rescued"] if "_rescued" in raw.columns else []
    order = [c for c in ("_batch", "_source", *_offset(table)) if c in raw.columns]
    frame = raw.selectExpr(
        *typed,
        f"struct({', '.join(f'`{c}`' for c in raw.columns)}) as {RAW}",
        f"struct({', '.join(order)}) as {ROW}",
        f"array_compact(array({', '.join([*reasons, 'cast(null as string)'])})) as {REASONS}",
    )
    frame = transform(frame) if transform else frame
    for name, sql in table.columns.items():
        frame = _with(frame, name, sql)
    return _deleting(frame, table, table.source.delete_when) if table.source.delete_when else frame


def _deleting(frame: DataFrame, table: Table, when: str) -> DataFrame:
    """Mark the rows that delete their key; of these only the key and the times matter."""
    frame = frame.withColumn(DELETED, F.coalesce(F.expr(when), F.lit(False)))
    needed = [c for c in (*table.key, table.event_time, table.available_at) if c]
    matter = F.array(*[F.lit(reason) for reason in ("corrupt", *(f"cast:{c}" for c in needed))])
    reasons = F.when(F.col(DELETED), F.array_intersect(REASONS, matter)).otherwise(F.col(REASONS))
    return frame.withColumn(REASONS, reasons)


def _with(frame: DataFrame, name: str, sql: str) -> DataFrame:
    expression, casts = safe_casts(sql)
    for operand, cast in casts:
        failed = F.expr(f"({operand}) is not null and ({cast}) is null")
        reason = F.when(failed, F.array(F.lit(f"cast:{name}"))).otherwise(F.array().cast("array<string>"))
        frame = frame.withColumn(REASONS, F.array_union(F.col(REASONS), reason))
    return frame.withColumn(name, F.expr(expression))


def _offset(table: Table) -> tuple[str, ...]:
    """Of messages, which are ordered within a partition, the column that says how."""
    return ("_source_version",) if table.source.kind == "kafka" else ()


def kept_columns(frame: DataFrame, table: Table) -> list[str]:
    """The columns of the cleaned table.

    Raises:
        ConfigError: If `keep` names a column that is not there, or leaves out one that the table needs.
    """
    there = [c for c in frame.columns if not c.startswith("_")]
    if not table.keep:
        return there
    missing = [c for c in table.keep if c not in there]
    needed = [c for c in (*table.key, table.event_time, table.available_at) if c and c not in table.keep]
    if missing or needed:
        told = [f"there is no column {', '.join(missing)}"] * bool(missing)
        told += [f"the key and the times need {', '.join(needed)} as well"] * bool(needed)
        raise ConfigError(f"keep: {'; '.join(told)}; the columns are {', '.join(there)}")
    return list(table.keep)
