"""Harrell's concordance for all rows and for slices, with 95 % intervals, and between two models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.metrics.concordance import BY, Cuts, binned, concordances, cuts_of, in_buckets
from headrace.metrics.frame import FLAG, OVERALL, judged, unit_group
from headrace.metrics.gather import Slice, chunks, only, slices_with
from headrace.metrics.measure import GROUPS, Difference, Measure
from headrace.metrics.statistics import Array, interval, real, weights

CONCORDANCE = "concordance"
CUTS = 20
"""Of times and of predictions, for the intervals alone."""


def evaluated(frame: DataFrame) -> float:
    """The concordance of what a model gave; NaN where it is not defined. Runs Spark jobs.

    Args:
        frame: `label`, `prediction`, and `FLAG` where there is such a thing.
    """
    rows = judged(frame, "regression", (), F.lit(0))
    found = concordances(rows, cuts_of(rows)).collect()  # one row
    value = found[0][CONCORDANCE] if found else None
    return float("nan") if value is None else float(value)


def comparable(frame: DataFrame) -> bool:
    """Whether any two rows can be compared: of the first event and what comes last it is so, or of none. Runs a Spark job.

    Args:
        frame: `label`, and `FLAG` where there is such a thing.
    """
    late = F.col(FLAG) if FLAG in frame.columns else F.lit(False)
    when = F.struct(F.col("label").cast("double"), late)  # of equal times what is censored comes later
    rows = frame.where("label is not null")
    found: Any = rows.agg(F.min(F.when(~late, when)).alias("event"), F.max(when).alias("last")).first()
    return found["event"] is not None and tuple(found["event"]) < tuple(found["last"])


def measure_concordance(
    frame: DataFrame, key: Sequence[str], slices: Sequence[str] = (), min_rows: int = 100, seed: int = 0
) -> list[Measure]:
    """The concordance of predictions; runs Spark jobs, and brings only bounded aggregates to the driver.

    Args:
        frame: `label`, `prediction`, `FLAG` where there is such a thing, the key and the slice columns.
        key: Columns by which rows fall into random groups.
        slices: Columns whose values are judged one by one.
        min_rows: Smaller slices are left out.
        seed: Of the bootstrap; equal seeds give equal intervals.
    """
    return measure_judged(judged(frame, "regression", (), unit_group(key, GROUPS, seed), slices), min_rows, seed)


def measure_judged(rows: DataFrame, min_rows: int, seed: int) -> list[Measure]:
    """As `measure_concordance`, of rows in the form that metrics read."""
    drawn, slices = weights(GROUPS, seed), slices_with(rows, min_rows)
    if not slices:
        return []
    cuts = cuts_of(rows)
    exact = _exact(concordances(only(rows, [one.slice for one in slices]), cuts))
    few, found = cuts.of(CUTS), []
    cells = GROUPS * math.prod(few.buckets)
    for part in chunks(slices, dense=2 * cells, most=cells):
        gathered = _gathered(only(rows, [one.slice for one in part]), few)
        for one in part:
            value = exact.get(one.slice, float("nan"))
            bounds = _bounds(value, *_drawn(gathered[one.slice], drawn))
            column, text = one.slice if one.slice[0] != OVERALL else (None, None)
            found.append(Measure(CONCORDANCE, column, text, real(value), *bounds, one.rows))
    return found


def difference_in_concordance(new: DataFrame, old: DataFrame, key: Sequence[str], seed: int = 0) -> Difference:
    """How much better the new model orders the same rows, by a paired bootstrap.

    Args:
        new: Predictions as in `measure_concordance`.
        old: Predictions of the same rows by the other model.
        key: Columns by which rows fall into random groups.
        seed: Of the bootstrap.
    """
    drawn, found = weights(GROUPS, seed), []
    for frame in (new, old):
        rows = judged(frame, "regression", (), unit_group(key, GROUPS, seed))
        cuts = cuts_of(rows)
        exact, cells = _exact(concordances(rows, cuts)), _gathered(rows, cuts.of(CUTS))
        found.append((exact[OVERALL, OVERALL], *_drawn(cells[OVERALL, OVERALL], drawn)))
    value, sample, replicates = (one - other for one, other in zip(*found, strict=True))
    return Difference(CONCORDANCE, value, *_bounds(value, sample, replicates))


Cells = tuple[Array, Array]
"""Rows, and events, of each random group: (groups, times, levels)."""


def _exact(found: DataFrame) -> dict[Slice, float]:
    rows = found.collect()  # one per slice
    return {(row[BY[0]], row[BY[1]]): float("nan") if row[CONCORDANCE] is None else row[CONCORDANCE] for row in rows}


def _gathered(judged: DataFrame, cuts: Cuts) -> dict[Slice, Cells]:
    rows, (times, levels) = in_buckets(judged, cuts), cuts.buckets
    counted = rows.groupBy(*BY, "unit", "times", F.least("levels", F.lit(levels - 1)).alias("levels")).agg(
        F.count("*").cast("double").alias("rows"), F.sum(1.0 - F.col("late")).alias("events")
    )
    found: dict[Slice, Cells] = {}
    for key, part in counted.toPandas().groupby(list(BY), sort=False):  # bounded: counts per cell
        cells = np.zeros((GROUPS, times, levels)), np.zeros((GROUPS, times, levels))
        place = (part["unit"].to_numpy(), part["times"].to_numpy(), part["levels"].to_numpy())
        for counts, name in zip(cells, ("rows", "events"), strict=True):
            np.add.at(counts, place, part[name].to_numpy())
        found[str(key[0]), str(key[1])] = cells
    return found


def _drawn(cells: Cells, drawn: Array) -> tuple[float, Array]:
    """The value of the sample, and of each replicate, by buckets."""
    every = np.vstack([np.ones((1, GROUPS)), drawn])
    counts, events = ((every @ one.reshape(GROUPS, -1)).reshape(-1, *one.shape[1:]) for one in cells)
    values = binned(counts, events)
    return float(values[0]), values[1:]


def _bounds(value: float, sample: float, replicates: Array) -> tuple[float | None, float | None]:
    """The interval; none where the buckets do not tell the rows apart that make the value what it is."""
    lower, upper = interval(value, sample, replicates)
    blind = lower == upper and not math.isclose(value, sample, abs_tol=1e-12)
    return (None, None) if blind else (real(lower), real(upper))
