"""The probability from which on a model says yes: the best of all cuts between held-out rows, exactly.

Rows of equal probability fall on the same side of a cut, so there is a cut below each distinct probability, and one
above all. Rows are counted in ranges whose borders do not matter to the result: it is exact however many rows there
are, and none of them comes to the driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from pyspark.ml.feature import Bucketizer
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from headrace.config.deciding import Threshold

P = "p"
"""Column: the probability of the positive class."""
HALF = 0.5
_RANGES, _RANGE = 200, "__range"


@dataclass(frozen=True)
class Counts:
    """What comes of a cut.

    Attributes:
        right: Positive rows that are said to be so.
        wrong: Negative rows that are said to be positive.
        positive: All positive rows.
        negative: All others.
    """

    right: int
    wrong: int
    positive: int
    negative: int

    @property
    def figures(self) -> dict[str, float | None]:
        """Metrics by name; None where not defined, as the precision of a model that never says yes."""
        said, missed = self.right + self.wrong, self.positive - self.right
        return {
            "f1": 2 * self.right / (self.positive + said),
            "precision": self.right / said if said else None,
            "recall": self.right / self.positive,
            "accuracy": (self.right + self.negative - self.wrong) / (self.positive + self.negative),
            "false_positive": self.wrong,
            "false_negative": missed,
        }


@dataclass(frozen=True)
class Best:
    """A cut, and what comes of it on the rows that it was chosen on.

    Attributes:
        at: `probability >= at` is a yes.
        counts: Of these rows.
        met: Whether the precision that was asked for was reached; if not, the cut has the largest.
    """

    at: float
    counts: Counts
    met: bool = True


def best(rows: DataFrame, wanted: Threshold) -> Best:
    """Choose the cut; of equally good ones the highest, in the middle between two distinct probabilities.

    Runs a few Spark jobs.

    Args:
        rows: `label` (0 or 1) and `P`, of rows that the model has not learned from; some of each class.
        wanted: How the cut is chosen.
    """
    if wanted.at is not None:
        return Best(wanted.at, counts_at(rows, wanted.at))
    all_yes = counts_at(rows, 0.0)
    positive, negative = all_yes.positive, all_yes.negative
    met, worth = _judged(wanted, F.col("right"), F.col("wrong"), positive, negative)
    found: Any = counted(rows).agg(F.max(F.struct(met, worth, P, "right", "wrong")), F.max(P)).first()
    (reached, value, low, right, wrong), top = found
    if wanted.recall is None and wanted.precision is None and top < 1:
        _, never = _judged(wanted, 0, 0, positive, negative)
        if never >= value:
            return Best((top + 1) / 2, Counts(0, 0, positive, negative))
    below: Any = rows.where(F.col(P) < low).agg(F.max(P)).first()
    return Best(((below[0] or 0.0) + low) / 2, Counts(right, wrong, positive, negative), reached)


def _judged(wanted: Threshold, right: Any, wrong: Any, positive: int, negative: int) -> tuple[Any, Any]:
    """Whether a cut does what is asked for at least, and what is then as large as can be."""
    said = right + wrong
    if wanted.cost:
        cost = wanted.cost
        return F.lit(True), -(cost.false_positive * wrong + cost.false_negative * (positive - right))
    if wanted.metric == "f1":
        return F.lit(True), 2 * right / (positive + said)
    if wanted.metric == "accuracy":
        return F.lit(True), (right + negative - wrong) / (positive + negative)
    if wanted.recall:
        return right / positive >= wanted.recall, right / said
    met = right / said >= wanted.precision
    return met, F.when(met, right / positive).otherwise(right / said)


def counts_at(rows: DataFrame, at: float) -> Counts:
    """What comes of a cut. Runs a Spark job."""
    said, real = F.col(P) >= at, F.col("label") == 1
    found: Any = rows.agg(*[F.count_if(one) for one in (said & real, said & ~real, real, ~real)]).first()
    return Counts(*found)


def counted(rows: DataFrame) -> DataFrame:
    """For each distinct probability, how many rows of each class have it or more: `P`, `right`, `wrong`.

    Runs two Spark jobs.
    """
    each = rows.groupBy(P).agg(
        F.count_if(F.col("label") == 1).alias("right"), F.count_if(F.col("label") == 0).alias("wrong")
    )
    borders = rows.approxQuantile(P, [number / _RANGES for number in range(1, _RANGES)], 0.001)
    splits = [-float("inf"), *sorted(set(borders)), float("inf")]
    ranged = Bucketizer(splits=splits, inputCol=P, outputCol=_RANGE).transform(each)
    sums = {row[0]: row[1:] for row in ranged.groupBy(_RANGE).agg(F.sum("right"), F.sum("wrong")).collect()}
    window = Window.partitionBy(_RANGE).orderBy(F.desc(P))
    return ranged.select(
        P, *[_above(name, [sums.get(n, (0, 0))[k] for n in range(len(splits) - 1)], window) for k, name in _CLASSES]
    )


_CLASSES = ((0, "right"), (1, "wrong"))


def _above(name: str, sums: list[int], window: Any) -> Any:
    """A running sum over all ranges: within its own, and of those above."""
    above = [0, *accumulate(reversed(sums))][:-1][::-1]
    before = F.element_at(F.array(*[F.lit(number) for number in above]), F.col(_RANGE).cast("int") + 1)
    return (F.sum(name).over(window) + before).alias(name)
