"""Rules as columns: every row learns, in one pass, all the rules that it breaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, MapType, StructType, VariantType

from headrace.config.types import Table
from headrace.engine.outliers import Thresholds, beside
from headrace.runtime.transforms import PRINT, checksum
from headrace.validate.checks import SPREAD, Check, checks_of, shuffles

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_WINDOW = "_window_"


def kinds_of(frame: DataFrame) -> dict[str, str]:
    """Spark's type of each column, by its name in lower case."""
    return {f.name.lower(): f.dataType.simpleString() for f in frame.schema}


def judge(
    frame: DataFrame, table: Table, learned: Mapping[str, Any] | None = None, reasons: str = "_reasons"
) -> DataFrame:
    """Add to `reasons` what sets a row aside, and in `_warnings` what is only counted.

    Args:
        frame: Typed rows with the array column `reasons`.
        table: The table: its rules over rows (those that fail the run are in `_failures`), and its key, of which
            no column may be null.
        learned: Thresholds of its rules for outliers, as `thresholds.recorded` gives them; without any none is one.
        reasons: Name of the array column.

    Returns:
        The rows with `reasons` completed, and the array columns `_warnings` and `_failures`; of rows that break
        nothing that could stop the run `_raw` is null: nobody asks for it, and it would be most of what is kept of
        a pass.
    """
    checks = checks_of(table, {**kinds_of(frame), **_foreign_kinds(frame, table)})
    windowed = _with_windows(_with_thresholds(frame, table, checks, learned or {}), checks)
    keys = [F.when(F.col(c).isNull(), F.lit(f"key:{c}")) for c in table.key]
    # a row that deletes its key need not be whole
    counts = ~F.col("_deleted") if "_deleted" in frame.columns else F.lit(True)
    kinds = ("quarantine", "warn", "fail")
    named = {kind: [F.when(counts, _name_if_broken(c)) for c in checks if c.on_fail == kind] for kind in kinds}
    judged = windowed.select(
        *[c for c in frame.columns if c != reasons],
        _names(*keys, *named["quarantine"], after=F.col(reasons)).alias(reasons),
        _names(*named["warn"]).alias("_warnings"),
        _names(*named["fail"]).alias("_failures"),
    )
    bad = (F.size(reasons) > 0) | (F.size("_failures") > 0)
    limited = [F.lit(c.name) for c in checks if c.at_most and c.on_fail == "warn"]
    bad = bad | F.arrays_overlap("_warnings", F.array(*limited)) if limited else bad
    return judged.withColumn("_raw", F.when(bad, F.col("_raw")))


def _foreign_kinds(frame: DataFrame, table: Table) -> dict[str, str]:
    """The same of the columns that foreign keys are looked for in, as `airports.faa`; the tables are views by name."""
    keys = [rule.foreign for rule in table.rules if rule.foreign]
    views = {other: kinds_of(frame.sparkSession.table(other)) for other, _ in keys}
    return {f"{other}.{column}": views[other][column] for other, column in keys if column in views[other]}


def _with_thresholds(frame: DataFrame, table: Table, checks: Sequence[Check], learned: Mapping[str, Any]) -> DataFrame:
    """The thresholds of each row's groups, as columns."""
    names = {name for rule in table.rules if rule.outlier for name in rule.parts}
    for check in checks:
        if check.name in names:
            kept = learned.get(check.name)
            found = Thresholds.from_dict(kept) if kept else Thresholds()
            frame = frame.withColumn(check.bounds, F.expr(beside(found, check.groups)))
    return frame


def _with_windows(frame: DataFrame, checks: Sequence[Check]) -> DataFrame:
    """The checks that look at other rows, as columns: one shuffle for all that can share it."""
    nested = (MapType, VariantType, ArrayType, StructType)
    plain = [F.col(f"`{f.name}`") for f in frame.schema if not isinstance(f.dataType, nested)]
    for group in shuffles(checks):
        absent = F.lit(False)
        for column in group[0].together:
            absent = absent | F.col(f"`{column}`").isNull()
        frame = frame.withColumn(SPREAD, F.when(absent, F.xxhash64(*plain)))
        for check in group:
            frame = frame.withColumn(_WINDOW + check.name, F.expr(check.sql))
    return frame


def _name_if_broken(check: Check) -> Column:
    holds = F.col(f"`{_WINDOW}{check.name}`") if check.together else F.expr(check.sql)
    return F.when(~F.coalesce(holds, F.lit(True)), F.lit(check.name))


def _names(*columns: Column, after: Column | None = None) -> Column:
    """The names that are there, behind those of `after`; of most rows none is, and no array is made for them."""
    before = F.array().cast("array<string>") if after is None else after
    if not columns:
        return before
    names = F.array_compact(F.array(*columns))
    more = names if after is None else F.array_union(after, names)
    return F.when(F.coalesce(*columns).isNull(), before).otherwise(more)


def tally(judged: DataFrame, reasons: str = "_reasons", most: Mapping[str, Column] | None = None) -> DataFrame:
    """Counts of a pass: one row per reason, with how it acted; `rows` and `quarantined` count rows.

    Args:
        judged: Judged rows. If they have fingerprints (`_print`), their checksum becomes the column `_print`.
        reasons: Name of the array column.
        most: Expressions over a row by name: their greatest value becomes the column `_most_<name>`.
    """
    kinds = {reasons: "quarantine", "_warnings": "warn", "_failures": "fail"}
    tagged = [_tagged(column, kind) for column, kind in kinds.items()]
    row, aside = _fact("total", F.lit("rows")), F.when(F.size(reasons) > 0, _fact("total", F.lit("quarantined")))
    nothing = reduce(and_, (F.size(column) == 0 for column in kinds))  # most rows: the same array for all of them
    facts_of = F.when(nothing, F.array(row)).otherwise(F.array_compact(F.concat(F.array(row, aside), *tagged)))
    each = F.explode(facts_of).alias("fact")
    named = {f"_most_{name}": column for name, column in (most or {}).items()}
    prints = [PRINT] if PRINT in judged.columns else []
    facts = judged.select(each, *prints, *[column.alias(name) for name, column in named.items()])
    greatest = [F.max(F.col(f"`{name}`")).alias(name) for name in named]
    return facts.groupBy("fact.kind", "fact.name").agg(F.count("*").alias("count"), *greatest, *map(checksum, prints))


def _fact(kind: str, name: Column) -> Column:
    return F.struct(F.lit(kind).alias("kind"), name.alias("name"))


def _tagged(column: str, kind: str) -> Column:
    return F.transform(F.col(column), lambda name: _fact(kind, name))
