"""Harrell's concordance for all rows and for slices, with 95 % intervals, and between two models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.metrics.concordance import BY, binned, concordances, cuts_of, in_buckets
from headrace.metrics.frame import OVERALL, judged, unit_group
from headrace.metrics.gather import Slice, chunks, only, slices_with
from headrace.metrics.measure import GROUPS, Difference, Measure
from headrace.metrics.statistics import Array, interval, weights

CONCORDANCE = "concordance"
CUTS = 20
"""Of times and of predictions, for the intervals alone."""
TIMES, LEVELS = 3 * CUTS + 1, 2 * CUTS + 1


def evaluated(frame: DataFrame) -> float:
    """The concordance of what a model gave; NaN where it is not defined. Runs Spark jobs.

    Args:
        frame: `label`, `prediction`, and `FLAG` where there is such a thing.
    """
    rows = judged(frame, "regression", (), F.lit(0))
    found = concordances(rows, cuts_of(rows)).collect()  # one row
    value = found[0][CONCORDANCE] if found else None
    return float("nan") if value is None else float(value)


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
    found: list[Measure] = []
    drawn, cuts = weights(GROUPS, seed), cuts_of(rows)
    for part in chunks(slices_with(rows, min_rows), dense=2 * GROUPS * TIMES * LEVELS):
        chosen = only(rows, [one.slice for one in part])
        exact = {(row[BY[0]], row[BY[1]]): row[CONCORDANCE] for row in concordances(chosen, cuts).collect()}
        cells = _gathered(in_buckets(chosen, cuts.of(CUTS)))
        for one in part:
            known = _number(exact.get(one.slice))
            sample, replicates = _drawn(cells[one.slice], drawn)
            value, lower, upper = (_real(number) for number in (known, *interval(known, sample, replicates)))
            column, text = one.slice if one.slice[0] != OVERALL else (None, None)
            found.append(Measure(CONCORDANCE, column, text, value, lower, upper, one.rows))
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
        exact = [_number(row[CONCORDANCE]) for row in concordances(rows, cuts).collect()]
        cells = _gathered(in_buckets(rows, cuts.of(CUTS)))
        found.append((exact[0], *_drawn(cells[OVERALL, OVERALL], drawn)))
    value, sample, replicates = (one - other for one, other in zip(*found, strict=True))
    lower, upper = interval(value, sample, replicates)
    return Difference(CONCORDANCE, value, lower, upper)


Cells = tuple[Array, Array]
"""Rows, and events, of each random group: (groups, times, levels)."""


def _gathered(rows: DataFrame) -> dict[Slice, Cells]:
    counted = rows.groupBy(*BY, "unit", "times", F.least("levels", F.lit(LEVELS - 1)).alias("levels")).agg(
        F.count("*").cast("double").alias("rows"), F.sum(1.0 - F.col("late")).alias("events")
    )
    found: dict[Slice, Cells] = {}
    for key, part in counted.toPandas().groupby(list(BY), sort=False):  # bounded: counts per cell
        cells = np.zeros((GROUPS, TIMES, LEVELS)), np.zeros((GROUPS, TIMES, LEVELS))
        place = (part["unit"].to_numpy(), part["times"].to_numpy(), part["levels"].to_numpy())
        for counts, name in zip(cells, ("rows", "events"), strict=True):
            np.add.at(counts, place, part[name].to_numpy())
        found[str(key[0]), str(key[1])] = cells
    return found


def _drawn(cells: Cells, drawn: Array) -> tuple[float, Array]:
    """The value of the sample, and of each replicate, by buckets."""
    every = np.vstack([np.ones((1, GROUPS)), drawn])
    counts, events = ((every @ one.reshape(GROUPS, -1)).reshape(-1, TIMES, LEVELS) for one in cells)
    values = binned(counts, events)
    return float(values[0]), values[1:]


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _real(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
