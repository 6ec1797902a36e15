"""From raw text to typed columns: casts, then the SQL of `columns`; a cast that fails is a reason, never an abort."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from headrace.clean.inference import infer_types, profile
from headrace.config.sql import safe_casts
from headrace.config.types import Table
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

RAW = "_raw"
REASONS = "_reasons"
ROW = "_row"
TECHNICAL = ("_source", "_source_version", "_ingested_at", "_batch", "_corrupt")


def current(raw: DataFrame, mode: str, batch: int) -> DataFrame:
    """The raw rows that count: of a snapshot the newest batch, else of each file the newest version."""
    if mode == "snapshot":
        return raw.where(F.col("_batch") == batch)
    newest = raw.groupBy("_source").agg(F.max("_batch").alias("_batch"))
    return raw.join(F.broadcast(newest), ["_source", "_batch"]).select(*raw.columns)


def text_columns(raw: DataFrame) -> list[str]:
    """Columns of the source that are text."""
    return [f.name for f in raw.schema if isinstance(f.dataType, StringType) and f.name not in TECHNICAL]


def types_of(raw: DataFrame, table: Table) -> dict[str, str]:
    """SQL type of each text column of a text source: as declared, else as all its values allow (one Spark job)."""
    if table.source.format != "csv":
        return dict(table.types)
    open_ = [c for c in text_columns(raw) if c not in table.types]
    inferred = infer_types(profile(raw.select(*open_))) if open_ else {}
    return {**{c: t for c, t in inferred.items() if t != "string"}, **table.types}


def shape(raw: DataFrame, table: Table, types: dict[str, str]) -> DataFrame:
    """Cast and compute the table's columns.

    Args:
        raw: Rows as they came, with the technical columns.
        table: The table's configuration.
        types: SQL type per source column.

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
    there = [c for c in frame.columns if c not in (RAW, REASONS, ROW)]
    if not table.keep:
        return there
    missing = [c for c in table.keep if c not in there]
    needed = [c for c in (*table.key, table.event_time, table.available_at) if c and c not in table.keep]
    if missing or needed:
        told = [f"there is no column {', '.join(missing)}"] * bool(missing)
        told += [f"the key and the times need {', '.join(needed)} as well"] * bool(needed)
        raise ConfigError(f"keep: {'; '.join(told)}; the columns are {', '.join(there)}")
    return list(table.keep)
