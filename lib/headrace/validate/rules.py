"""Rules as columns: every row learns, in one pass, all the rules that it breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.config.types import Rule
from headrace.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

EXAMPLES = 5


def broken(rule: Rule) -> Column:
    """Whether a row breaks a rule; a check that yields NULL passes."""
    return ~F.coalesce(F.expr(rule.check), F.lit(True))


def judge(frame: DataFrame, rules: tuple[Rule, ...], key: tuple[str, ...], reasons: str = "_reasons") -> DataFrame:
    """Add to `reasons` what sets a row aside, and in `_warnings` what is only counted.

    Args:
        frame: Typed rows with the array column `reasons`.
        rules: The table's rules; those that fail the run are in `_failures`.
        key: Columns of the key; none of them may be null.

    Returns:
        The rows with `reasons` completed, and the array columns `_warnings` and `_failures`; of rows that break
        nothing `_raw` is null: nobody asks for it, and it would be most of what is kept of a pass.
    """
    by_kind = {kind: [r for r in rules if r.on_fail == kind] for kind in ("quarantine", "warn", "fail")}
    keys = [F.when(F.col(c).isNull(), F.lit(f"key:{c}")) for c in key]
    # a row that deletes its key need not be whole
    counts = ~F.col("_deleted") if "_deleted" in frame.columns else F.lit(True)
    named = {kind: [F.when(counts & broken(r), F.lit(r.name)) for r in found] for kind, found in by_kind.items()}
    judged = frame.select(
        *[c for c in frame.columns if c != reasons],
        F.array_union(F.col(reasons), _names(*keys, *named["quarantine"])).alias(reasons),
        _names(*named["warn"]).alias("_warnings"),
        _names(*named["fail"]).alias("_failures"),
    )
    bad = (F.size(reasons) > 0) | (F.size("_failures") > 0)
    return judged.withColumn("_raw", F.when(bad, F.col("_raw")))


def _names(*columns: Column) -> Column:
    return F.array_compact(F.array(*columns, F.lit(None).cast("string")))


def tally(judged: DataFrame, reasons: str = "_reasons") -> DataFrame:
    """Counts of a pass: one row per reason, with how it acted; `rows` and `quarantined` count rows."""
    kinds = [(reasons, "quarantine"), ("_warnings", "warn"), ("_failures", "fail")]
    tagged = [_tagged(column, kind) for column, kind in kinds]
    totals = F.array(_fact("total", F.lit("rows")), F.when(F.size(reasons) > 0, _fact("total", F.lit("quarantined"))))
    each = F.explode(F.array_compact(F.concat(totals, *tagged))).alias("fact")
    return judged.select(each).groupBy("fact.kind", "fact.name").count()


def _fact(kind: str, name: Column) -> Column:
    return F.struct(F.lit(kind).alias("kind"), name.alias("name"))


def _tagged(column: str, kind: str) -> Column:
    return F.transform(F.col(column), lambda name: _fact(kind, name))


def refuse_failures(judged: DataFrame, counts: dict[tuple[str, str], int], table: str) -> None:
    """Stop where a rule of `on_fail: fail` is broken.

    Raises:
        DataError: With the counts per rule and at most five examples.
    """
    failures = {name: n for (kind, name), n in counts.items() if kind == "fail"}
    if not failures:
        return
    shown = judged.where(F.size("_failures") > 0).select("_failures", "_raw").limit(EXAMPLES).collect()
    lines = [f"  {', '.join(r['_failures'])}: {_short(r['_raw'].asDict())}" for r in shown]
    told = ", ".join(f"{name}: {n:,} of {counts[('total', 'rows')]:,} rows" for name, n in sorted(failures.items()))
    raise DataError(
        f"table {table} breaks rules that fail the run ({told}). Mend the data, or the rule, or set on_fail to "
        "quarantine. Examples:\n" + "\n".join(lines)
    )


def _short(row: dict[str, object]) -> str:
    return ", ".join(f"{k}={v}" for k, v in row.items() if not k.startswith("_"))[:300]
