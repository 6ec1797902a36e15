"""From raw text to typed columns: casts, then the SQL of `columns`; a cast that fails is a reason, never an abort."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from headrace.clean.inference import infer_types, profile
from headrace.config.sql.expressions import safe_casts
from headrace.config.types import Table
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

RAW = "_raw"
REASONS = "_reasons"
ROW = "_row"
TECHNICAL = ("_source", "_source_version", "_ingested_at", "_batch", "_corrupt")


def current(raw: DataFrame, facts: Mapping[str, Any]) -> DataFrame:
    """The raw rows that count: of a snapshot the newest batch, else of each file the newest version.

    Args:
        raw: The raw table.
        facts: What its commit carries: `mode`, `batch`, `superseded` (whether any file ever was), `emptied` (files
            whose newest version holds no row), `since` (of a source that is no file: the first batch that counts).
    """
    if facts.get("since"):
        return raw.where(F.col("_batch") >= int(facts["since"]))
    if facts.get("mode", "append") == "snapshot":
        return raw.where(F.col("_batch") == int(facts.get("batch", 1)))
    if not facts.get("superseded", True):
        return raw
    newest = raw.groupBy("_source").agg(F.max("_batch").alias("_batch"))
    if facts.get("emptied"):
        emptied = raw.sparkSession.createDataFrame([(path,) for path in facts["emptied"]], "_source string")
        newest = newest.join(F.broadcast(emptied), "_source", "left_anti")
    return raw.join(F.broadcast(newest), ["_source", "_batch"]).select(*raw.columns)


def text_columns(raw: DataFrame) -> list[str]:
    """Columns of the source that are text."""
    return [f.name for f in raw.schema if isinstance(f.dataType, StringType) and f.name not in TECHNICAL]


def inferred_types(raw: DataFrame, table: Table, known: Mapping[str, str]) -> dict[str, str]:
    """SQL type of each text column of a text source that declares none, as all its values allow.

    Args:
        raw: The raw rows.
        table: The table's configuration.
        known: What an earlier look at the same rows found; only other columns are looked at (one Spark job).
    """
    if table.source.format != "csv":
        return {}
    open_ = [c for c in text_columns(raw) if c not in table.types]
    new = [c for c in open_ if c not in known]
    found = infer_types(profile(raw.select(*new))) if new else {}
    return {c: known[c] if c in known else found[c] for c in open_}


def types_of(table: Table, inferred: Mapping[str, str]) -> dict[str, str]:
    """SQL type of each source column that is cast: as declared, else as inferred."""
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
        casts that failed, as `cast:<column>`.
    """
    source = [c for c in raw.columns if c not in TECHNICAL]
    reasons: list[Column] = []
    if "_corrupt" in raw.columns:
        reasons.append(F.when(F.col("_corrupt").isNotNull(), F.lit("corrupt")))
    typed: list[Column] = []
    for name in source:
        if name in types:
            cast = F.expr(
                f"try_cast(nullif(trim(`{name}`), '') as {types[name]})" if types[name] != "string" else f"`{name}`"
            )
            typed.append(cast.alias(name))
            failed = cast.isNull() & (F.trim(F.col(f"`{name}`").cast("string")) != "")
            reasons.append(F.when(failed, F.lit(f"cast:{name}")))
        else:
            typed.append(F.col(f"`{name}`"))
    raw_struct = F.struct(*[F.col(f"`{c}`") for c in raw.columns]).alias(RAW)
    order = [F.col(c) for c in ("_batch", "_source") if c in raw.columns]
    frame = raw.select(
        *typed, raw_struct, F.struct(*order).alias(ROW), F.array_compact(F.array(*reasons, _no_reason())).alias(REASONS)
    )
    frame = transform(frame) if transform else frame
    for name, sql in table.columns.items():
        frame = _with(frame, name, sql)
    return frame


def _with(frame: DataFrame, name: str, sql: str) -> DataFrame:
    expression, casts = safe_casts(sql)
    for operand, cast in casts:
        failed = F.expr(f"({operand}) is not null and ({cast}) is null")
        reason = F.when(failed, F.array(F.lit(f"cast:{name}"))).otherwise(F.array().cast("array<string>"))
        frame = frame.withColumn(REASONS, F.array_union(F.col(REASONS), reason))
    return frame.withColumn(name, F.expr(expression))


def _no_reason() -> Column:
    return F.lit(None).cast("string")


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
