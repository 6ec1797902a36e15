"""Columns that are the label in disguise: an almost perfect copy, or filled only once the outcome is known."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from headrace.clean.sketch import Sketch
from headrace.cli.profiling.facts import ColumnFacts, LabelFacts
from headrace.cli.profiling.sampled import Sampled

ALMOST = 0.99
"""Share of the errors of always saying the most frequent value that a copy removes."""
FEW_VALUES = 200
ROWS_PER_VALUE = 5
NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")
MOST_CLASSES = 100
Pairs = Iterable[tuple[str | None, str | None, int]]


def is_number(kind: str) -> bool:
    """Whether an SQL type is one of numbers."""
    return kind.split("(")[0] in NUMBERS


def leaks(
    columns: tuple[ColumnFacts, ...],
    sketches: dict[str, Sketch],
    sampled: Sampled,
    label: ColumnFacts,
    values: LabelFacts,
) -> dict[str, str]:
    """Columns -> why they tell the label.

    Args:
        columns: Columns to look at.
        sketches: What was kept of all rows.
        sampled: Rows at random.
        label: The label's column.
        values: Its values.
    """
    columns = tuple(c for c in columns if c.type != "other")
    numeric = [c for c in columns if is_number(c.type)]
    if len(values.counts) > MOST_CLASSES:
        return _same_numbers(sampled, numeric, label) if is_number(label.type) else {}
    found = {c.name: why for c in numeric if (why := _apart(sampled, c, values))}
    return {**found, **_telling(columns, sketches, values)}


def _telling(columns: tuple[ColumnFacts, ...], sketches: dict[str, Sketch], values: LabelFacts) -> dict[str, str]:
    """By the values of a column, or by whether it has one, the label can be told."""
    most = min(FEW_VALUES, values.rows // ROWS_PER_VALUE)
    found: dict[str, str] = {}
    for column in columns:
        sketch = sketches[column.name]
        if 2 <= column.profile.distinct <= most and not sketch.many:
            cells: list[tuple[str | None, str | None, int]] = [
                (value, label, n) for (value, label), n in sketch.pairs.items()
            ]
            cells += [(None, label, n) for label, n in sketch.gaps.items()]
            _tell(column.name, "its values tell the label", cells, values, found)
        if column.missing and column.name not in found:
            _tell(column.name, "it is filled only for some values of the label", _gaps(column, sketch), values, found)
    return found


def _gaps(column: ColumnFacts, sketch: Sketch) -> Pairs:
    missing = Counter(sketch.gaps)
    if column.type != "string":
        for (_, label), n in sketch.marks.items():
            missing[label] += n
    return [("missing", label, n) for label, n in missing.items()]


def _tell(name: str, says: str, cells: Pairs, values: LabelFacts, found: dict[str, str]) -> None:
    """Whether saying each cell's most frequent label is almost always right; rows of no cell make one more."""
    beside: dict[str | None, Counter[str]] = defaultdict(Counter)
    for value, label, n in cells:
        name_of = values.name(label)
        if name_of is not None:
            beside[value][name_of] += n
    rest = Counter(dict(values.counts))
    for counts in beside.values():
        rest.subtract(counts)
    right = sum(max(counts.values()) for counts in beside.values()) + max(0, *rest.values())
    wrong_at_first = values.rows - values.counts[0][1]
    if 1 - (values.rows - right) / wrong_at_first >= ALMOST:
        found.setdefault(name, f"{says} in {right / values.rows:.1%} of the rows")


def _apart(sampled: Sampled, column: ColumnFacts, values: LabelFacts) -> str | None:
    """A number whose ranges (without 0.5 % at both ends) do not overlap between the label's values."""
    numbers = sampled.measures(column)
    names = np.array([values.name(label) or "" for label in sampled.labels])
    ranges = []
    for name, _ in values.counts:
        mine = numbers[(names == name) & ~np.isnan(numbers)]
        if not len(mine):
            return None
        ranges.append(tuple(np.quantile(mine, [0.005, 0.995], method="nearest")))
    ranges.sort()
    if all(low[1] < high[0] for low, high in pairwise(ranges)):
        return "its values lie in ranges of their own for each value of the label"
    return None


def _same_numbers(sampled: Sampled, numeric: list[ColumnFacts], label: ColumnFacts) -> dict[str, str]:
    """Numbers that run with a numeric label."""
    target = sampled.measures(label)
    close = {column.name: abs(_correlation(sampled.measures(column), target)) for column in numeric}
    return {name: f"its correlation with the label is {value:.5f}" for name, value in close.items() if value > 0.9999}


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 3 or not one[both].std() or not other[both].std():
        return 0.0
    return float(np.corrcoef(one[both], other[both])[0, 1])
