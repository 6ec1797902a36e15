"""Categories as numbers: how frequent a value is, and what the label was, so that no training row sees its own.

Of training rows the label's mean is taken over the rows of other folds (Micci-Barreca, A preprocessing scheme for
high-cardinality categorical attributes, 2001; out of fold as in Prokhorenkova et al., CatBoost, 2018); new rows get that of all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.errors import DataError
from headrace.search.plan import Category

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FOLDS = 5
ROW = "__row"
"""A hash of each training row's key: rows keep their folds, wherever and in whatever order they are read."""
MOST_CLASSES = 20


@dataclass(frozen=True)
class Goal:
    """What is learned, as far as encodings go.

    Attributes:
        classes: Of the label; 0: it is a number; None: there is none.
    """

    classes: int | None = 2

    @property
    def columns(self) -> int:
        """Numbers that a category becomes: of more than two classes one for each."""
        return self.classes if self.classes and self.classes > 2 else 1

    @property
    def nothing(self) -> float:
        """The mean where there are no rows."""
        return 1 / self.classes if self.classes else 0.0


@dataclass(frozen=True)
class Tally:
    """What was counted of a category: rows, and sums of the label, by fold and code.

    Codes are the places of the values that are kept; then that of all others, and that of null.
    """

    rows: np.ndarray
    sums: np.ndarray


def code(source: str, index: str, kept: int) -> str:
    """SQL of a value's code."""
    return f"case when {source} is null then {kept + 1} else cast(`{index}` as int) end"


def tallied(frame: DataFrame, codes: Mapping[str, str], kept: Mapping[str, int], goal: Goal) -> dict[str, Tally]:
    """Count all categories at once. Runs a Spark job; `kept` x folds numbers of each come to the driver.

    Args:
        frame: Training rows with `label` and `ROW`.
        codes: Per category SQL of its code.
        kept: Per category the number of values that are kept.
        goal: What is learned; without a label rows alone are counted.

    Raises:
        DataError: If the label has too many classes.
    """
    if goal.columns > MOST_CLASSES:
        raise DataError(
            f"search.preparation: target and woe make a feature per class, and the label has {goal.columns}; allowed: "
            f"{MOST_CLASSES}; write encode: frequency, or a coarser label"
        )
    if goal.columns == 1:
        sums = ["cast(0 as double) as s0" if goal.classes is None else "sum(label) as s0"]
    else:
        sums = [f"cast(count_if(label = {one}) as double) as s{one}" for one in range(goal.columns)]
    each = ", ".join(f"named_struct('name', {place}, 'code', {sql})" for place, sql in enumerate(codes.values()))
    fold = f"cast(pmod(`{ROW}`, {FOLDS}L) as int)" if goal.classes is not None else "0"
    tall = frame.selectExpr("label", f"{fold} as fold", f"inline(array({each}))")
    from pyspark.sql import functions as F

    counted = tall.groupBy("name", "code", "fold").agg(F.count("*").alias("n"), *map(F.expr, sums)).collect()
    names = list(codes)
    found = {
        name: Tally(np.zeros((FOLDS, kept[name] + 2)), np.zeros((goal.columns, FOLDS, kept[name] + 2)))
        for name in names
    }
    for row in counted:
        tally, place = found[names[row["name"]]], (row["fold"], row["code"])
        tally.rows[place] = row["n"]
        for one in range(goal.columns):
            tally.sums[(one, *place)] = row[f"s{one}"] or 0.0
    return found


def values(tally: Tally, how: Category, goal: Goal, scaled: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """What codes become: of new rows by code, of training rows by fold and code; a pair per column.

    Args:
        tally: What was counted.
        how: Encoding and smoothing.
        goal: What is learned.
        scaled: To mean 0 and deviation 1 over the training rows.
    """
    rows = tally.rows.sum(axis=0)
    made = []
    for sums in tally.sums[: goal.columns if how.encode != "frequency" else 1]:
        if how.encode == "frequency":
            whole = rows / max(rows.sum(), 1)
            folds = np.tile(whole, (FOLDS, 1))
        else:
            whole = _encoded(rows, sums.sum(axis=0), how, goal)
            others = zip(rows - tally.rows, sums.sum(axis=0) - sums, strict=True)
            folds = np.stack([_encoded(count, total, how, goal) for count, total in others])
        made.append(_scaled(whole, folds, rows) if scaled else (whole, folds))
    return made


def _encoded(rows: np.ndarray, sums: np.ndarray, how: Category, goal: Goal) -> np.ndarray:
    """Means per code, drawn to that of all by `smoothing` rows; woe: how its log odds differ from those of all."""
    count = rows.sum()
    mean = sums.sum() / count if count else goal.nothing
    weight = rows + how.smoothing
    means = np.divide(sums + how.smoothing * mean, weight, out=np.full(len(rows), mean), where=weight > 0)
    return _odds(means, count) - _odds(np.full(1, mean), count) if how.encode == "woe" else means


def _odds(part: np.ndarray, count: float) -> np.ndarray:
    least = 0.5 / (count + 1)  # a value all of whose rows are of one class: half a row of the other
    part = np.clip(part, least, 1 - least)
    return np.log(part / (1 - part))


def _scaled(whole: np.ndarray, folds: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count = rows.sum()
    middle = (rows * whole).sum() / count if count else 0.0
    width = math.sqrt((rows * (whole - middle) ** 2).sum() / (count - 1)) if count > 1 else 0.0
    factor = 1 / width if width > 0 else 0.0
    return (whole - middle) * factor, (folds - middle) * factor


def looked_up(numbers: Sequence[float] | np.ndarray, place: str) -> str:
    """SQL of the number at a place, from 0; one text, for a parser takes long over thousands of numbers."""
    text = ",".join(repr(float(one)) for one in np.ravel(np.asarray(numbers)))
    return f"element_at(cast(split('{text}', ',') as array<double>), {place} + 1)"


def in_fold(place: str, kept: int) -> str:
    """SQL of a place among the numbers of all folds."""
    return f"cast(pmod(`{ROW}`, {FOLDS}L) as int) * {kept + 2} + {place}"


def with_rows(frame: DataFrame, names: Sequence[str]) -> Any:
    """`ROW` of some columns beside all others."""
    from pyspark.sql import functions as F

    return frame.withColumn(ROW, F.xxhash64(*[F.col(f"`{name}`").cast("string") for name in names]))
