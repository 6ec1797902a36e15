"""Values, and rows of each class, in words: what a person looks at before believing a finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from headrace.leakage.cells import Ints

if TYPE_CHECKING:
    from headrace.leakage.alone import Rows

VALUES = 3
CLASSES = 4
WIDTH = 30
"""Characters of a text that are shown."""


def of_classes(rows: Rows, classes: Ints) -> str:
    """Of text and few numbers the most frequent values with their rows per class, else the range of each class."""
    keys = rows.keys
    filled = ~np.isnan(keys)
    values, place, count = np.unique(keys[filled], return_inverse=True, return_counts=True)
    if rows.values is not None and len(values) > 2 * VALUES:
        return _ranges(rows, classes, filled)
    told = []
    for one in np.argsort(-count, kind="stable")[:VALUES]:
        table = np.bincount(classes[filled][place == one], minlength=len(rows.classes))
        name = f"{values[one]:g}" if rows.values is not None else repr(short(rows.texts[int(values[one])]))
        told.append(f"{name}: {_rows(table, rows.classes)}")
    return "; ".join(told)


def _ranges(rows: Rows, classes: Ints, filled: np.ndarray) -> str:
    assert rows.values is not None
    told = []
    for one in np.argsort(-np.bincount(classes, minlength=len(rows.classes)), kind="stable")[:CLASSES]:
        mine = rows.values[filled & (classes == one)]
        if len(mine):
            low, middle, high = np.quantile(mine, [0.01, 0.5, 0.99])
            told.append(f"{short(rows.classes[one])}: {low:g} to {high:g}, median {middle:g} ({len(mine):,} rows)")
    return "; ".join(told)


def of_gaps(gaps: Ints, classes: Sequence[str]) -> str:
    """Rows with and without a value, per class."""
    return f"filled: {_rows(gaps[0], classes)}; empty: {_rows(gaps[1], classes)}"


def of_numbers(rows: Rows) -> str:
    """Some values beside the label's."""
    keys = rows.keys
    filled = np.flatnonzero(~np.isnan(keys))
    if not len(filled):
        return ""
    spread = filled[np.argsort(rows.label[filled], kind="stable")][[0, len(filled) // 2, -1]]
    told = []
    for one in spread:
        value = f"{keys[one]:g}" if rows.values is not None else repr(short(rows.texts[int(keys[one])]))
        told.append(f"{value} where the label is {rows.label[one]:g}")
    return "; ".join(dict.fromkeys(told))


def short(text: str) -> str:
    """A text, cut where it is long."""
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."


def _rows(table: Ints, classes: Sequence[str]) -> str:
    shown = np.argsort(-table, kind="stable")[:CLASSES] if len(classes) > CLASSES else range(len(classes))
    return ", ".join(f"{int(table[k]):,} of {short(classes[k])}" for k in shown)
