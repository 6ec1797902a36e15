"""Metrics that are means of what single rows (or users, or words of rows) have, with 95 % intervals by bootstrap over random groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from headrace.config.metrics import larger_is_better
from headrace.metrics.frame import OVERALL, unit_group
from headrace.metrics.gather import MAX_SLICES, Slice
from headrace.metrics.measure import GROUPS, Difference, Measure
from headrace.metrics.statistics import Array, interval, real, weights

_SHAPES: Mapping[str, Callable[[Array], Array]] = {"rmse": np.sqrt, "perplexity": np.exp}
"""What is done to the mean: `rmse` is given as squared errors, `perplexity` as logarithms."""


def measure_rows(
    frame: DataFrame,
    values: Mapping[str, Column],
    key: Sequence[str],
    slices: Sequence[str] = (),
    min_rows: int = 100,
    seed: int = 0,
    weight: Column | None = None,
) -> list[Measure]:
    """The means; runs a Spark job, and brings bounded aggregates to the driver.

    Args:
        frame: Key, slice columns, and what the values are made of.
        values: Metric -> its value of a row; null where it has none. Of `rmse` the squared error; with a weight the sum
            over the row's parts, as words.
        key: Columns by which rows fall into random groups.
        slices: Columns whose values are judged one by one.
        min_rows: Smaller slices are left out; of the others the `MAX_SLICES` largest are judged.
        seed: Of the bootstrap.
        weight: How many parts a row has; None: it is one.
    """
    found: list[Measure] = []
    drawn = weights(GROUPS, seed)
    for (column, text), sums in _sums(frame, values, key, slices, min_rows, seed, weight).items():
        sliced, named = (None, None) if column == OVERALL else (column, text)
        for metric in values:
            total, count = sums[metric]
            value = float(_mean(metric, total, count, np.ones((1, GROUPS)))[0])
            lower, upper = interval(value, value, _mean(metric, total, count, drawn))
            rows = int(sums["rows"][1].sum())
            found.append(Measure(metric, sliced, named, real(value), real(lower), real(upper), rows))
    return found


def difference_of_rows(
    new: DataFrame,
    old: DataFrame,
    value: Column,
    metric: str,
    key: Sequence[str],
    seed: int = 0,
    weight: Column | None = None,
) -> Difference:
    """How much better the new model is on the same rows, by a paired bootstrap.

    Args:
        new: Key, and what the value is made of, by the new model.
        old: The same rows by the other.
        value: The metric of a row.
        metric: Its name.
        key: Columns by which rows fall into random groups.
        seed: Of the bootstrap.
        weight: As in `measure_rows`.
    """
    sign = 1.0 if larger_is_better(metric) else -1.0
    drawn = np.vstack([np.ones((1, GROUPS)), weights(GROUPS, seed)])
    means = []
    for frame in (new, old):
        total, count = _sums(frame, {metric: value}, key, (), 0, seed, weight)[OVERALL, OVERALL][metric]
        means.append(_mean(metric, total, count, drawn))
    better = sign * (means[0] - means[1])
    lower, upper = interval(float(better[0]), float(better[0]), better[1:])
    return Difference(metric, float(better[0]), real(lower), real(upper))


def _sums(
    frame: DataFrame,
    values: Mapping[str, Column],
    key: Sequence[str],
    slices: Sequence[str],
    min_rows: int,
    seed: int,
    weight: Column | None = None,
) -> dict[Slice, dict[str, tuple[Array, Array]]]:
    """Per slice and metric: sum and count (of weights) of each random group; `rows`: of all rows, whether they have a value or not."""
    parts = [F.struct(F.lit(OVERALL).alias("column"), F.lit(OVERALL).alias("value"))]
    parts += [
        F.struct(
            F.lit(name).alias("column"),
            F.coalesce(F.col(f"`{name}`").cast("string"), F.lit("null")).alias("value"),
        )
        for name in slices
    ]
    named = {f"v{place}": value for place, value in enumerate(values.values())}
    rows = frame.select(
        F.explode(F.array(*parts)).alias("slice"),
        unit_group(key, GROUPS, seed).alias("unit"),
        *[F.nanvl(value.cast("double"), F.lit(None)).alias(name) for name, value in named.items()],
        (F.lit(1.0) if weight is None else weight.cast("double")).alias("weight"),
    )
    sums = [F.sum(name).alias(f"{name}s") for name in named]
    counts = [F.sum(F.when(F.col(name).isNotNull(), F.col("weight"))).alias(f"{name}n") for name in named]
    cells = rows.groupBy("slice", "unit").agg(F.count("*").cast("double").alias("rows"), *sums, *counts)
    large = cells.groupBy("slice").agg(F.sum("rows").alias("all")).where(
        (F.col("all") >= min_rows) | (F.col("slice.column") == OVERALL)
    )  # fmt: skip
    kept = large.orderBy(F.col("slice.column") != OVERALL, F.desc("all"), "slice.value").limit(MAX_SLICES)
    taken = cells.join(kept.select("slice"), "slice") if slices else cells
    found: dict[Slice, dict[str, tuple[Array, Array]]] = {}
    for row in taken.collect():  # bounded: slices times groups
        place = (row["slice"]["column"], row["slice"]["value"])
        blank = {name: (np.zeros(GROUPS), np.zeros(GROUPS)) for name in (*values, "rows")}
        of = found.setdefault(place, blank)
        of["rows"][1][row["unit"]] = row["rows"]
        for name, metric in zip(named, values, strict=True):
            of[metric][0][row["unit"]] = row[f"{name}s"] or 0.0
            of[metric][1][row["unit"]] = row[f"{name}n"] or 0.0
    return found


def _mean(metric: str, total: Array, count: Array, drawn: Array) -> Array:
    below = drawn @ count
    mean = np.divide(drawn @ total, below, out=np.full(len(drawn), np.nan), where=below > 0)
    return _SHAPES.get(metric, np.asarray)(mean)
