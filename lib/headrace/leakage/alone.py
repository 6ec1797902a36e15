"""What one column alone tells of the label: learned of some rows, judged by others, so that an id looks like nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import rankdata

from headrace.leakage import cells as cut
from headrace.leakage import evidence, measures, numbers
from headrace.leakage.cells import Bools, Cells, Floats, Ints

VALIDATION = 2
"""The part of a row; the training rows are of two halves, 0 and 1."""


@dataclass(frozen=True)
class Rows:
    """A column beside the label.

    Attributes:
        part: 0 and 1: halves of the training part; 2: the validation part.
        label: The class of each row, or its number.
        classes: The classes in words; empty: the label is a number.
        values: Numbers, NaN where there is none; None of text.
        codes: Of text the number of each row's value, -1: none; None of numbers.
        texts: The values of text.
    """

    part: Ints
    label: Floats
    classes: Sequence[str]
    values: Floats | None = None
    codes: Ints | None = None
    texts: Sequence[str] = ()

    @property
    def keys(self) -> Floats:
        """What tells values apart, of text its number; NaN: none."""
        if self.values is not None:
            return self.values
        assert self.codes is not None
        return np.where(self.codes < 0, np.nan, self.codes)

    @property
    def measures(self) -> Floats | None:
        """Numbers, also those that are written as text; None: it is none."""
        if self.values is not None or self.codes is None:
            return self.values
        try:
            return np.append(np.array(self.texts, dtype=float), np.nan)[self.codes]
        except ValueError:
            return None


@dataclass(frozen=True)
class Told:
    """What one column alone tells; None: too few rows to say so.

    Attributes:
        rows: Rows looked at.
        filled: Of these with a value.
        distinct: Different values.
        words: Of text, how many words these have on average.
        repeated: Whether training has more than one value, "no value" among them.
        new: The share of the validation rows that have another value than the only one of training.
        judged_on: `validation`, or `train` where that has too few rows: then each half is judged by the other.
        power: Area under the ROC curve (regression: R2) where it is judged.
        train: The same within training, each half judged by the other; of a regression a rank correlation.
        validation: The same in the validation part.
        deviation: Standard deviation of the difference between these two.
        copy: The share of errors that saying each value's class removes (regression: rank correlation).
        missing: The same of whether there is a value at all.
        one_sided: `filled` or `empty` where some class is (almost) never so, and another often is.
        examples: Values and rows of each class.
        gaps: Rows of each class with and without a value.
    """

    rows: int = 0
    filled: int = 0
    distinct: int = 0
    words: float = 0.0
    repeated: bool = True
    new: float = 0.0
    judged_on: str | None = None
    power: float | None = None
    train: float | None = None
    validation: float | None = None
    deviation: float | None = None
    copy: float | None = None
    missing: float | None = None
    one_sided: str | None = None
    examples: str = field(default="")
    gaps: str = field(default="")


OFTEN, NEVER = 0.2, 0.001
"""Of a class so many rows, of another hardly any: the column is filled once the outcome is known."""
ONE_SIDED = 50
"""Rows that must be so, and rows of the other class that then would be expected to be."""


def look(rows: Rows) -> Told:
    """Measure one column."""
    train = rows.part != VALIDATION
    classes = rows.label.astype(np.int64) if rows.classes else None
    if rows.values is not None:
        cells = cut.of_numbers(rows.values, train, classes, len(rows.classes))
    else:
        assert rows.codes is not None
        cells = cut.of_text(rows.codes, len(rows.classes))
    facts = _facts(rows, train)
    if classes is not None:
        return Told(**facts, **_classes(rows, cells, classes))
    return Told(**facts, **_numbers(rows, cells, train))


def _facts(rows: Rows, train: Bools) -> dict[str, Any]:
    values = rows.keys
    filled = ~np.isnan(values)
    known = np.unique(values[train])  # NaN is one value here
    new = 0.0
    if len(known) == 1 and not train.all():
        others = values[~train]
        same = np.isnan(others) if np.isnan(known[0]) else others == known[0]
        new = float(1 - same.mean())
    return {
        "rows": len(values),
        "filled": int(filled.sum()),
        "distinct": len(np.unique(values[filled])),
        "words": float(np.mean([len(text.split()) for text in rows.texts])) if rows.texts else 0.0,
        "repeated": len(known) > 1,
        "new": new,
    }


def _classes(rows: Rows, cells: Cells, classes: Ints) -> dict[str, Any]:
    count = len(rows.classes)
    parts = [cut.counted(cells, classes, count, rows.part == part) for part in (0, 1, VALIDATION)]
    crossed = [(parts[0], parts[1]), (parts[1], parts[0])]
    apart = [(parts[0] + parts[1], parts[2])]
    found: dict[str, Any] = {"examples": evidence.of_classes(rows, classes)}
    train, validation = (measures.power(pairs, cells.ordered) for pairs in (crossed, apart))
    pairs = apart if validation is not None else crossed
    power = validation if validation is not None else train
    if train is not None and validation is not None:
        both = measures.deviation(train, parts[0] + parts[1]), measures.deviation(validation, parts[2])
        found["deviation"] = float(np.hypot(*both))
    gaps = [(_gaps(learned), _gaps(judged)) for learned, judged in pairs]
    filled = [(learned[:-1], judged[:-1]) for learned, judged in pairs]
    copies = [measures.told(pairs, cells.ordered), _where_filled(filled)]
    everything = _gaps(sum(parts[1:], parts[0]))
    return found | {
        "judged_on": None if power is None else "validation" if validation is not None else "train",
        "power": power,
        "train": train,
        "validation": validation,
        "copy": max((one for one in copies if one is not None), default=None),
        "missing": measures.told(gaps, ordered=False),
        "one_sided": _one_sided(everything),
        "gaps": evidence.of_gaps(everything, rows.classes),
    }


def _where_filled(pairs: list[tuple[Ints, Ints]]) -> float | None:
    """A copy that is filled now and then is one where it is filled."""
    rows = sum(int(judged.sum()) for _, judged in pairs)
    return measures.told(pairs, ordered=False) if rows >= numbers.LEAST else None


def _gaps(table: Ints) -> Ints:
    """Two cells: rows with a value, rows without."""
    return np.stack([table[:-1].sum(axis=0), table[-1]])


def _one_sided(gaps: Ints) -> str | None:
    rows = gaps.sum(axis=0)
    known = np.flatnonzero(rows >= measures.FEW)
    if len(known) < 2:
        return None
    for word, so in zip(("filled", "empty"), gaps, strict=True):
        share = so[known] / rows[known]
        most, least = known[np.argmax(share)], known[np.argmin(share)]
        expected = share.max() * rows[least]
        if share.max() >= OFTEN and share.min() <= NEVER and min(so[most], expected) >= ONE_SIDED:
            return word
    return None


def _numbers(rows: Rows, cells: Cells, train: Bools) -> dict[str, Any]:
    label, values, judged = rows.label, rows.measures, ~train
    enough = {part: bool((rows.part == part).sum() >= numbers.LEAST) for part in (0, 1, VALIDATION)}
    found: dict[str, Any] = {"examples": evidence.of_numbers(rows)}
    if not (enough[0] and enough[1]):
        return found
    ranked = rankdata(label)
    said, straight, order = (np.empty(len(label)) for _ in range(3))
    for half, learned in ((0, rows.part == 1), (1, rows.part == 0), (VALIDATION, train)):
        mine = rows.part == half
        said[mine] = numbers.means(cells, label, learned)[mine]
        order[mine] = numbers.means(cells, ranked, learned)[mine]
        if values is not None:
            straight[mine] = numbers.line(values, label, learned)[mine]
    where = judged if enough[VALIDATION] else train
    found |= {"judged_on": "validation" if enough[VALIDATION] else "train"}
    found["train"] = numbers.rank_correlation(order[train], label[train])
    if enough[VALIDATION]:
        found["validation"] = numbers.rank_correlation(order[judged], label[judged])
        found["deviation"] = float(np.hypot(1 / np.sqrt(train.sum()), 1 / np.sqrt(judged.sum())))
    powers = [numbers.r2(said[where], label[where])]
    if values is not None:
        powers.append(numbers.r2(straight[where], label[where]))
    filled = where & cells.filled
    if filled.sum() >= numbers.LEAST:
        if values is not None:
            found["copy"] = abs(numbers.rank_correlation(values[filled], label[filled]))
        else:
            found["copy"] = numbers.r2(said[filled], label[filled])
    return found | {"power": max(powers)}
