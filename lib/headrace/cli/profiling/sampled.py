"""Rows at random, as numbers and moments: what quantiles and correlations are estimated by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.clean.kinds import moments, tell
from headrace.clean.survey import Sample
from headrace.cli.profiling.facts import ColumnFacts


@dataclass(frozen=True)
class Sampled:
    """A sample.

    Attributes:
        rows: Texts as they stand, blanks around them gone; None: nothing was drawn.
        weights: How many rows each stands for.
        labels: The label of each, as written.
        names: The columns.
    """

    rows: pa.Table | None
    weights: NDArray[np.float64]
    labels: list[str | None]
    names: tuple[str, ...]

    @classmethod
    def of(cls, sample: Sample, names: list[str]) -> Sampled:
        """From what a survey drew."""
        return cls(*sample.rows(), tuple(names))

    def texts(self, name: str) -> pa.Array:
        """A column's values; null where there is none."""
        if self.rows is None:
            return pa.array([], pa.string())
        found = self.rows.column(self.names.index(name)).combine_chunks()
        return pc.if_else(pc.equal(found, ""), pa.scalar(None, found.type), found)

    def measures(self, column: ColumnFacts, pattern: str | None = None) -> NDArray[np.float64]:
        """Numbers, or moments in microseconds since 1970; NaN where there is none."""
        texts = self.texts(column.name)
        found = np.full(len(texts), np.nan)
        filled = np.array(texts.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
        if not filled.any():
            return found
        values = texts.filter(pa.array(filled))
        if pattern:
            found[filled] = moments(values, pattern)
            return found
        found[filled] = tell(values).measures
        return found

    def quantiles(self, measures: NDArray[np.float64], shares: list[float]) -> list[float]:
        """Quantiles of all rows, by the sample."""
        known = ~np.isnan(measures)
        order = np.argsort(measures[known])
        values, weights = measures[known][order], self.weights[known][order]
        upto = np.cumsum(weights) / weights.sum()
        return [float(values[min(int(np.searchsorted(upto, share)), len(values) - 1)]) for share in shares]

    def examples(self, name: str, number: int = 3) -> tuple[str, ...]:
        """Some of a column's values."""
        return tuple(self.texts(name).drop_null().unique().slice(0, number).to_pylist())
