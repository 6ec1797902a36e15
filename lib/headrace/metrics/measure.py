"""Every metric of a task, for all rows and for slices, with its 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from headrace.config.metrics import METRICS, larger_is_better
from headrace.metrics.frame import OVERALL, judged, unit_group
from headrace.metrics.gather import Slice, chunks, gather, only, slices_with
from headrace.metrics.ranking import ranking_metrics
from headrace.metrics.statistics import GRID, interval, real, values, weights

GROUPS = 200
RANKING = ("areaUnderROC", "areaUnderPR")


@dataclass(frozen=True)
class Measure:
    """One metric of one slice.

    Attributes:
        metric: Spark ML's name.
        slice_column: None for all rows.
        slice_value: As text; None for all rows.
        value: None where it is not defined (one class only).
        lower: Of the 95 % interval.
        upper: Of the 95 % interval.
        rows: Judged rows.
    """

    metric: str
    slice_column: str | None
    slice_value: str | None
    value: float | None
    lower: float | None
    upper: float | None
    rows: int


def measure(
    frame: DataFrame,
    task: str,
    labels: Sequence[Any],
    key: Sequence[str],
    slices: Sequence[str] = (),
    min_rows: int = 100,
    seed: int = 0,
) -> list[Measure]:
    """Metrics of predictions; runs Spark jobs, and brings only bounded aggregates to the driver.

    Args:
        frame: `label`, `prediction`, `probability` (see `metrics.frame.judged`), the key and the slice columns.
        task: `binary`, `multiclass` or `regression`.
        labels: All classes in the order of their index.
        key: Columns by which rows fall into random groups.
        slices: Columns whose values are judged one by one.
        min_rows: Smaller slices are left out.
        seed: Of the bootstrap; equal seeds give equal intervals.
    """
    rows = judged(frame, task, labels, unit_group(key, GROUPS, seed), slices)
    drawn = weights(GROUPS, seed)
    found: list[Measure] = []
    dense = GROUPS * ((len(labels) + 1) ** 2 + (2 * GRID if task == "binary" else 0))
    for part in chunks(slices_with(rows, min_rows), dense=dense):
        chosen = only(rows, [one.slice for one in part])
        statistics = gather(chosen, task, len(labels), GROUPS)
        exact = _exact_areas(chosen) if task == "binary" else {}
        for one in part:
            sample = {name: float(v[0]) for name, v in values(statistics[one.slice], np.ones((1, GROUPS))).items()}
            replicates = values(statistics[one.slice], drawn)
            for metric in (name for name in METRICS[task] if name in sample):
                value = exact.get(one.slice, {}).get(metric, sample[metric]) if metric in RANKING else sample[metric]
                lower, upper = interval(value, sample[metric], replicates[metric])
                column, text = one.slice if one.slice[0] != OVERALL else (None, None)
                found.append(Measure(metric, column, text, real(value), real(lower), real(upper), one.rows))
    return found


@dataclass(frozen=True)
class Difference:
    """How much better one model is than another on the same rows (positive: better), with its 95 % interval.

    Where there is none, `lower` and `upper` are None: of a metric in Python, and of rows that are too few or too alike.
    """

    metric: str
    value: float
    lower: float | None = None
    upper: float | None = None


def difference(
    new: DataFrame, old: DataFrame, task: str, labels: Sequence[Any], key: Sequence[str], metric: str, seed: int = 0
) -> Difference:
    """A paired bootstrap: each replicate draws the same rows for both models.

    Args:
        new: Predictions as in `measure`.
        old: Predictions of the same rows by the other model.
        task: Of both.
        labels: Of both.
        key: Columns by which rows fall into random groups.
        metric: What is compared.
        seed: Of the bootstrap.
    """
    drawn, ones = weights(GROUPS, seed), np.ones((1, GROUPS))
    samples, replicates, exact = [], [], []
    for frame in (new, old):
        rows = judged(frame, task, labels, unit_group(key, GROUPS, seed))
        statistics = gather(rows, task, len(labels), GROUPS)[OVERALL, OVERALL]
        samples.append(float(values(statistics, ones)[metric][0]))
        replicates.append(values(statistics, drawn)[metric])
        areas = _exact_areas(rows).get((OVERALL, OVERALL), {}) if metric in RANKING else {}
        exact.append(areas.get(metric, samples[-1]))
    sign = 1.0 if larger_is_better(metric) else -1.0
    value = sign * (exact[0] - exact[1])
    lower, upper = interval(value, sign * (samples[0] - samples[1]), sign * (replicates[0] - replicates[1]))
    return Difference(metric, value, real(lower), real(upper))


def _exact_areas(rows: DataFrame) -> dict[Slice, dict[str, float]]:
    found = ranking_metrics(rows).collect()  # one row per slice
    return {
        (row["slice_column"], row["slice_value"]): {
            name: float("nan") if row[name] is None else float(row[name]) for name in RANKING
        }
        for row in found
    }
