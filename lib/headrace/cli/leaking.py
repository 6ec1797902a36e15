"""Columns that are the label in disguise: an almost perfect copy, or filled only once the outcome is known."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.cli.facts import ColumnFacts, LabelFacts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ALMOST = 0.99
"""Share of the errors of always saying the most frequent value that a copy removes."""
FEW_VALUES = 200
ROWS_PER_VALUE = 5
NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double")
MOST_CLASSES = 100


def leaks(typed: DataFrame, columns: tuple[ColumnFacts, ...], label: str, values: LabelFacts) -> dict[str, str]:
    """Columns -> why they tell the label. Two Spark jobs.

    Args:
        typed: The data.
        columns: Columns to look at.
        label: The label's column.
        values: Its values.
    """
    columns = tuple(c for c in columns if c.type != "other")
    known = typed.where(F.col(label).isNotNull())
    numeric = [c.name for c in columns if c.type in NUMBERS]
    if len(values.counts) > MOST_CLASSES:
        return _same_numbers(known, numeric, label) if dict(typed.dtypes)[label] in NUMBERS else {}
    found = _telling_values(known, columns, label, values)
    return {**_apart(known, numeric, label), **found}


def _telling_values(
    known: DataFrame, columns: tuple[ColumnFacts, ...], label: str, values: LabelFacts
) -> dict[str, str]:
    """By the values of a column, or by whether it has one, the label can be told."""
    most = min(FEW_VALUES, values.rows // ROWS_PER_VALUE)
    few = [c.name for c in columns if 2 <= c.profile.distinct <= most]
    gaps = [c.name for c in columns if c.profile.missing or c.profile.marked]
    tests = [F.col(n).cast("string") for n in few] + [F.col(n).isNull().cast("string") for n in gaps]
    if not tests:
        return {}
    text = F.col(label).cast("string").alias("label")
    cells = known.select(text, F.posexplode(F.array(*tests)).alias("test", "value")).groupBy("test", "value", "label")
    best = cells.count().groupBy("test", "value").agg(F.max("count").alias("right"))
    right = {row["test"]: row["right"] for row in best.groupBy("test").agg(F.sum("right").alias("right")).collect()}
    wrong_at_first = values.rows - values.counts[0][1]
    found: dict[str, str] = {}
    for test, name in enumerate([*few, *gaps]):
        removed = 1 - (values.rows - right.get(test, 0)) / wrong_at_first
        if removed >= ALMOST:
            says = "its values tell the label" if test < len(few) else "it is filled only for some values of the label"
            found.setdefault(name, f"{says} in {right[test] / values.rows:.1%} of the rows")
    return found


def _apart(known: DataFrame, numeric: list[str], label: str) -> dict[str, str]:
    """Numbers whose ranges (without 0.5 % at both ends) do not overlap between the label's values."""
    if not numeric:
        return {}
    ends = [F.percentile_approx(name, [0.005, 0.995], 1_000).alias(name) for name in numeric]
    rows = known.groupBy(F.col(label).alias("_label")).agg(*ends).collect()  # a row per class
    found = {}
    for name in numeric:
        ranges = sorted(tuple(row[name]) for row in rows if row[name] is not None)
        apart = all(low[1] < high[0] for low, high in pairwise(ranges))
        if len(ranges) == len(rows) and apart:
            found[name] = "its values lie in ranges of their own for each value of the label"
    return found


def _same_numbers(known: DataFrame, numeric: list[str], label: str) -> dict[str, str]:
    """Numbers that run with a numeric label."""
    if not numeric:
        return {}
    row = known.agg(
        *[F.try_divide(F.covar_pop(n, label), F.stddev_pop(n) * F.stddev_pop(label)).alias(n) for n in numeric]
    ).first()
    assert row is not None, "an aggregate without groups has one row"
    close = {name: abs(row[name]) for name in numeric if row[name] is not None and abs(row[name]) > 0.9999}
    return {name: f"its correlation with the label is {value:.5f}" for name, value in close.items()}
