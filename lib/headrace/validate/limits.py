"""What stops a run: rules of `on_fail: fail`, rules that more rows break than may, rules about the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.config.rules import share_of
from headrace.errors import DataError
from headrace.validate.checks import Check

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

EXAMPLES = 5

Counts = Mapping[tuple[str, str], int]
"""Rows by (how a rule acts, the rule), and `("total", "rows")`."""


def stopping(checks: Sequence[Check], counts: Counts) -> dict[str, str]:
    """The checks that stop the run, and what is said of each."""
    return dict(_stopping(checks, counts))


def _stopping(checks: Sequence[Check], counts: Counts) -> Iterator[tuple[str, str]]:
    rows = counts.get(("total", "rows"), 0)
    for check in checks:
        broken = counts.get((check.on_fail, check.name), 0)
        told = f"{check.name}: {broken:,} of {rows:,} rows"
        if check.on_fail == "fail" and broken:
            yield check.name, told
        elif check.at_most and Fraction(broken) > share_of(check.at_most) * rows:
            yield check.name, f"{told} ({_percent(broken, rows)}), at most {check.at_most} may"


def _percent(part: int, rows: int) -> str:
    return f"{100 * part / rows:.3g} %"


def refuse(judged: DataFrame, table: str, rules: Mapping[str, str], states: Sequence[str]) -> None:
    """Stop where anything does.

    Args:
        judged: Judged rows; of those that break one of the rules `_raw` is there.
        table: The table.
        rules: Rules over rows that stop the run, and what is said of each.
        states: What is said of rules about the table that stop the run.

    Raises:
        DataError: With the counts per rule and at most five examples.
    """
    if not rules and not states:
        return
    told = "; ".join([*(rules[name] for name in sorted(rules)), *states])
    advice = "Mend the data, or the rule, or what it allows (on_fail, at_most)"
    shown = "\n".join(["", *examples(judged, sorted(rules))]) if rules else ""
    raise DataError(
        f"table {table} breaks rules that fail the run ({told}). {advice}{'. Examples:' if rules else ''}{shown}"
    )


def examples(judged: DataFrame, names: list[str]) -> Iterator[str]:
    """Some rows that break one of the rules, with those that they break."""
    broken = F.array_union(F.array_union("_reasons", "_warnings"), F.col("_failures"))
    hit = F.array_intersect(broken, F.array(*map(F.lit, names))).alias("hit")
    shown = judged.select(hit, "_raw").where(F.size("hit") > 0).limit(EXAMPLES).collect()
    for row in shown:
        yield f"  {', '.join(row['hit'])}: {_short(row['_raw'].asDict())}"


def _short(row: dict[str, object]) -> str:
    return ", ".join(f"{k}={v}" for k, v in row.items() if not k.startswith("_"))[:300]
