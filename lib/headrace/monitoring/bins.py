"""Histograms of many columns at once: bins learnt from a baseline, then every row counted in one pass.

However many columns there are, `learn` is two Spark jobs' worth of work and `counted` one; the driver sees bins and
counts, never rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from headrace.monitoring import statistics

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal["numeric", "categorical"]

QUANTILES = 20
CATEGORIES = 50
CURRENT = "_current"
_COUNTS = "side int, position int, bin int, rows long, total double, finite long"
_MEAN = -1


@dataclass(frozen=True)
class Bins:
    """How one column is cut up.

    Attributes:
        column: Its name.
        kind: `numeric`: bins `(previous edge, edge]`, the last without an upper edge, then NaN, then null.
            `categorical`: one bin per category, then all others, then null.
        edges: Inner edges of a numeric column, ascending.
        categories: The baseline's most frequent values, as text.
    """

    column: str
    kind: Kind
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of bins; the last one holds the nulls."""
        return (len(self.edges) + 3) if self.kind == "numeric" else (len(self.categories) + 2)


@dataclass(frozen=True)
class Histogram:
    """Rows per bin of one column.

    Attributes:
        rows: Counts, of length `Bins.size`.
        mean: Mean of the finite values, or None where there are none or the column is categorical.
    """

    rows: NDArray[np.int64]
    mean: float | None


def kind_of(data_type: T.DataType) -> Kind | None:
    """Numbers, dates and times are cut at quantiles; text and booleans are categories; anything else is None."""
    if isinstance(data_type, T.NumericType | T.TimestampType | T.DateType):
        return "numeric"
    return "categorical" if isinstance(data_type, T.StringType | T.BooleanType) else None


def learn(baseline: DataFrame, columns: Sequence[str]) -> tuple[Bins, ...]:
    """Bins from the baseline: up to 20 at quantiles of a numeric column, up to 50 categories.

    Args:
        baseline: The rows that current rows are held against.
        columns: Columns to cut up; those of a type without a kind are left out.

    Returns:
        One `Bins` per column, in the order of `columns`.
    """
    kinds = {name: kind for name in columns if (kind := kind_of(baseline.schema[name].dataType))}
    edges = _edges(baseline, [name for name, kind in kinds.items() if kind == "numeric"])
    categories = _categories(baseline, [name for name, kind in kinds.items() if kind == "categorical"])
    return tuple(Bins(name, kind, edges.get(name, ()), categories.get(name, ())) for name, kind in kinds.items())


def counted(frame: DataFrame, bins: Sequence[Bins]) -> DataFrame:
    """Rows per side, column and bin; one pass over the frame, nothing but counts leaves a task.

    Args:
        frame: The columns of `bins`, and boolean `_current`: False for the baseline.
        bins: From `learn`.

    Returns:
        `side int` (0 baseline, 1 current), `position int` (in `bins`), `bin int`, `rows long`, and in the row
        with bin -1 the sum `total double` and number `finite long` of the column's finite values.
    """
    values = [_value(frame, b.column, b.kind).alias(f"c{i}") for i, b in enumerate(bins)]
    counts = frame.select(F.col(CURRENT).cast("int").alias("side"), *values).mapInArrow(_counter(tuple(bins)), _COUNTS)
    return counts.groupBy("side", "position", "bin").agg(
        F.sum("rows").alias("rows"), F.sum("total").alias("total"), F.sum("finite").alias("finite")
    )


def histograms(frame: DataFrame, bins: Sequence[Bins]) -> list[tuple[Histogram, Histogram]]:
    """Baseline and current histogram of each column; runs Spark. See `counted` for the arguments."""
    rows = [[np.zeros(b.size, dtype=np.int64) for b in bins] for _ in range(2)]
    means: list[list[float | None]] = [[None] * len(bins) for _ in range(2)]
    if not bins:
        return []
    for row in counted(frame, bins).collect():  # at most 2 sides x columns x 53 rows
        if row["bin"] != _MEAN:
            rows[row["side"]][row["position"]][row["bin"]] = row["rows"]
        elif row["finite"]:
            means[row["side"]][row["position"]] = row["total"] / row["finite"]
    sides = [[Histogram(r, m) for r, m in zip(rows[s], means[s], strict=True)] for s in range(2)]
    return list(zip(*sides, strict=True))


def _value(frame: DataFrame, name: str, kind: Kind) -> Column:
    column = F.col(quoted(name))
    if kind == "categorical":
        return column.cast("string")
    if isinstance(frame.schema[name].dataType, T.DateType):
        column = column.cast("timestamp")
    return column.cast("double")


def quoted(name: str) -> str:
    """A column name as Spark SQL reads it, dots and all."""
    return "`" + name.replace("`", "``") + "`"


def _edges(baseline: DataFrame, names: Sequence[str]) -> dict[str, tuple[float, ...]]:
    if not names:
        return {}
    wanted = [F.lit(i / QUANTILES) for i in range(1, QUANTILES)]
    values = baseline.select(*[_value(baseline, name, "numeric").alias(f"c{i}") for i, name in enumerate(names)])
    quantiles = [
        F.percentile_approx(F.when(~F.isnan(f"c{i}"), F.col(f"c{i}")), F.array(*wanted), 1000).alias(f"c{i}")
        for i in range(len(names))
    ]
    row = values.agg(*quantiles).collect()[0]
    return {name: statistics.edges(row[i] or []) for i, name in enumerate(names)}


def _categories(baseline: DataFrame, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    if not names:
        return {}
    values = F.array(*[_value(baseline, name, "categorical") for name in names])
    counts = (
        baseline.select(F.posexplode(values).alias("position", "value"))
        .where("value is not null")
        .groupBy("position", "value")
        .count()
    )
    order = Window.partitionBy("position").orderBy(F.desc("count"), "value")
    top = counts.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= CATEGORIES)
    found: dict[str, list[tuple[int, str]]] = {name: [] for name in names}
    for row in top.collect():  # at most 50 rows per column
        found[names[row["position"]]].append((row["rank"], row["value"]))
    return {name: tuple(value for _, value in sorted(ranked)) for name, ranked in found.items()}


def _counter(bins: tuple[Bins, ...]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = [np.zeros(2 * b.size, dtype=np.int64) for b in bins]
        sums, finite = np.zeros((2, len(bins))), np.zeros((2, len(bins)), dtype=np.int64)
        for batch in batches:
            side = batch.column(0).to_numpy(zero_copy_only=False).astype(np.int64)
            for i, b in enumerate(bins):
                column = batch.column(i + 1)
                rows[i] += np.bincount(side * b.size + _codes(column, b), minlength=2 * b.size)
                if b.kind == "numeric":
                    values = column.to_numpy(zero_copy_only=False)
                    good = np.isfinite(values)
                    sums[:, i] += np.bincount(side[good], weights=values[good], minlength=2)
                    finite[:, i] += np.bincount(side[good], minlength=2)
        yield _batch(bins, rows, sums, finite)

    return count


def _codes(column: pa.Array, bins: Bins) -> NDArray[np.int64]:
    """The bin of each value."""
    null = np.asarray(column.is_null().to_numpy(zero_copy_only=False), dtype=bool)
    if bins.kind == "categorical":
        known = pc.index_in(column, value_set=pa.array(bins.categories, type=column.type))
        codes = pc.fill_null(known, len(bins.categories)).to_numpy(zero_copy_only=False).astype(np.int64)
    else:
        values = column.to_numpy(zero_copy_only=False)
        codes = np.searchsorted(np.asarray(bins.edges, dtype=float), values, side="left")
        codes[np.isnan(values)] = len(bins.edges) + 1
    codes[null] = bins.size - 1
    return codes


def _batch(
    bins: tuple[Bins, ...], rows: list[NDArray[np.int64]], sums: NDArray[np.float64], finite: NDArray[np.int64]
) -> pa.RecordBatch:
    out: list[tuple[int, int, int, int, float, int]] = []
    for i, b in enumerate(bins):
        out += [(int(k) // b.size, i, int(k) % b.size, int(rows[i][k]), 0.0, 0) for k in np.flatnonzero(rows[i])]
        out += [(s, i, _MEAN, 0, float(sums[s, i]), int(finite[s, i])) for s in range(2) if finite[s, i]]
    types = (pa.int32(), pa.int32(), pa.int32(), pa.int64(), pa.float64(), pa.int64())
    names = ("side", "position", "bin", "rows", "total", "finite")
    columns = zip(*out, strict=True) if out else [()] * len(names)
    arrays = [pa.array(values, type=t) for values, t in zip(columns, types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=list(names))
