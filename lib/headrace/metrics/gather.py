"""From judged rows to bounded statistics on the driver: counts per slice, random group and cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.metrics.frame import OVERALL
from headrace.metrics.statistics import EPSILON, GRID, ClassStatistics, RegressionStatistics, Statistics

if TYPE_CHECKING:  # a plan imports this, and needs no pandas
    import pandas as pd

MAX_SLICES = 1000
MAX_CELLS = 1_000_000
MAX_DENSE = 50_000_000
"""Numbers on the driver at a time."""
Slice = tuple[str, str]


@dataclass(frozen=True)
class SliceRows:
    """A slice and how many judged rows it has."""

    slice: Slice
    rows: int


def slices_with(judged: DataFrame, min_rows: int) -> list[SliceRows]:
    """All rows, and the slices with at least `min_rows` rows: the largest `MAX_SLICES`, largest first."""
    found = (
        judged.groupBy("slice_column", "slice_value")
        .agg(F.count("*").alias("rows"))
        .where((F.col("rows") >= min_rows) | (F.col("slice_column") == OVERALL))
        .orderBy(F.col("slice_column") != OVERALL, F.desc("rows"), "slice_column", "slice_value")
        .limit(MAX_SLICES + 1)
        .collect()  # at most MAX_SLICES rows and one
    )
    return [SliceRows((row["slice_column"], row["slice_value"]), row["rows"]) for row in found]


def chunks(
    slices: Sequence[SliceRows], limit: int = MAX_CELLS, dense: int = 0, most: int = 2 * GRID * 200
) -> Iterator[list[SliceRows]]:
    """Slices in parts whose statistics fit the driver.

    Args:
        slices: With their rows.
        limit: Cells counted by Spark at a time.
        dense: Numbers that the arrays of one slice hold, however few rows it has.
        most: Cells that one slice has, however many rows it has.
    """
    part: list[SliceRows] = []
    cells = 0
    for one in slices:
        size = min(one.rows, most)
        if part and (cells + size > limit or (len(part) + 1) * dense > MAX_DENSE):
            yield part
            part, cells = [], 0
        part.append(one)
        cells += size
    if part:
        yield part


def only(judged: DataFrame, slices: Sequence[Slice]) -> DataFrame:
    """The rows of these slices."""
    by_column: dict[str, list[str]] = {}
    for column, value in slices:
        by_column.setdefault(column, []).append(value)
    conditions = [
        (F.col("slice_column") == column) & F.col("slice_value").isin(values) for column, values in by_column.items()
    ]
    return judged.where(reduce(or_, conditions))


def gather(judged: DataFrame, task: str, classes: int, groups: int) -> dict[Slice, Statistics]:
    """Statistics of every slice in the frame.

    Args:
        judged: See `metrics.frame`; few enough slices for the driver (`chunks`).
        task: `binary`, `multiclass` or `regression`.
        classes: How many labels there are.
        groups: How many random groups `unit` has.
    """
    if task == "regression":
        return _regression(judged, groups)
    confusion = _confusion(judged, classes, groups)
    histograms = _histograms(judged, groups) if task == "binary" else {}
    empty = np.zeros((groups, 2, GRID)) if task == "binary" else None
    return {key: ClassStatistics(*parts, histogram=histograms.get(key, empty)) for key, parts in confusion.items()}


def _by_slice(cells: DataFrame) -> Iterator[tuple[Slice, pd.DataFrame]]:
    for key, part in cells.toPandas().groupby(["slice_column", "slice_value"], sort=False):  # bounded: counts per cell
        yield (str(key[0]), str(key[1])), part


def _confusion(judged: DataFrame, classes: int, groups: int) -> dict[Slice, tuple[np.ndarray, np.ndarray]]:
    clipped = F.greatest(F.lit(EPSILON), F.least(F.lit(1 - EPSILON), F.col("p_true")))
    cells = judged.groupBy("slice_column", "slice_value", "unit", "y", "yhat").agg(
        F.count("*").cast("double").alias("rows"), F.sum(-F.log(clipped)).alias("loss")
    )
    found = {}
    for key, part in _by_slice(cells):
        # one class more: a label that training did not know
        confusion, loss = np.zeros((groups, classes + 1, classes + 1)), np.zeros(groups)
        unit = part["unit"].to_numpy()
        place = (unit, part["y"].to_numpy().astype(int), part["yhat"].to_numpy().astype(int))
        np.add.at(confusion, place, part["rows"].to_numpy())
        np.add.at(loss, unit, part["loss"].to_numpy())
        found[key] = (confusion, loss)
    return found


def _histograms(judged: DataFrame, groups: int) -> dict[Slice, np.ndarray]:
    p = F.greatest(F.lit(1e-7), F.least(F.lit(1 - 1e-7), F.col("score")))
    cell = F.greatest(F.lit(0), F.least(F.lit(GRID - 1), F.floor((F.log(p / (1 - p)) + 16) * (GRID / 32))))
    cells = (
        judged.where(F.col("y").isin(0.0, 1.0))
        .groupBy("slice_column", "slice_value", "unit", "y", cell.cast("int").alias("cell"))
        .agg(F.count("*").cast("double").alias("rows"))
    )
    found = {}
    for key, part in _by_slice(cells):
        histogram = np.zeros((groups, 2, GRID))
        place = (part["unit"].to_numpy(), part["y"].to_numpy().astype(int), part["cell"].to_numpy())
        np.add.at(histogram, place, part["rows"].to_numpy())
        found[key] = histogram
    return found


def _regression(judged: DataFrame, groups: int) -> dict[Slice, Statistics]:
    error = F.col("yhat") - F.col("y")
    cells = judged.groupBy("slice_column", "slice_value", "unit").agg(
        F.count("*").cast("double").alias("rows"),
        F.sum(error * error).alias("squared"),
        F.sum(F.abs(error)).alias("absolute"),
        F.avg("y").alias("mean"),
        (F.var_pop("y") * F.count("*")).alias("deviation"),
    )
    found: dict[Slice, Statistics] = {}
    for key, part in _by_slice(cells):
        columns = []
        for name in ("rows", "squared", "absolute", "mean", "deviation"):
            values = np.zeros(groups)
            values[part["unit"].to_numpy()] = part[name].to_numpy()
            columns.append(values)
        found[key] = RegressionStatistics(*columns)
    return found
