"""Which rows are to be scored."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, MapType

from headrace.engine.time import moment
from headrace.models.compiled.agreement import LEAST, TOLERANCE

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def due(as_of: datetime, since: datetime | None, until: datetime | None) -> Column:
    """Whether a spine row of a part that is scored is to be scored: its time has come, inside the window asked for.

    Args:
        as_of: The logical now.
        since: First `predict_at`, inclusive.
        until: Last `predict_at`, exclusive.
    """
    at = F.col("predict_at")
    wanted = at.isNull() | (at <= moment(as_of))
    if since is not None:
        wanted = wanted & (at >= moment(since))
    return wanted if until is None else wanted & (at < moment(until))


def unscored(
    rows: DataFrame,
    predictions: DataFrame | None,
    key: tuple[str, ...],
    since: datetime | None = None,
    until: datetime | None = None,
) -> DataFrame:
    """The rows whose key and `predict_at` have no prediction yet, whatever the model was.

    Args:
        rows: Of the spine.
        predictions: What was predicted; None: nothing.
        key: Of the spine.
        since: No row lies before it: predictions of earlier ones are not read.
        until: No row lies at or after it.
    """
    if predictions is None:
        return rows
    there = predictions.select(*key, "predict_at")
    there = there if since is None else there.where(F.col("predict_at") >= moment(since))
    there = there if until is None else there.where(F.col("predict_at") < moment(until))
    return rows.join(there, _same(rows, there, (*key, "predict_at")), "left_anti")


def changed(scored: DataFrame, predictions: DataFrame, key: tuple[str, ...]) -> DataFrame:
    """Of rows scored anew, those whose result differs from the latest revision, with the next `revision`."""
    newest = predictions.groupBy(*key, "predict_at").agg(
        F.max_by(F.struct("revision", "prediction", "probability"), "revision").alias("_last")
    )
    joined = scored.join(newest, _same(scored, newest, (*key, "predict_at")), "left")
    plain = [scored[c] for c in scored.columns if c != "revision"]
    differs = ~_alike(scored, "prediction", NUMBERS) | ~_alike(scored, "probability", PROBABILITIES)
    revision = (F.coalesce(F.col("_last.revision"), F.lit(0)) + 1).cast("int").alias("revision")
    return joined.where(differs).select(*plain, revision).select(*scored.columns)


NUMBERS, PROBABILITIES = (1e-9, 0.0), (TOLERANCE, LEAST)
"""Relative and absolute: sums in another order, and what `transform` and the compiled scorer may differ by, are the same result."""


def _alike(scored: DataFrame, name: str, room: tuple[float, float]) -> Column:
    """Whether a column is as in the last revision, numbers but for their last digits."""
    one, other, kind = scored[name], F.col(f"_last.{name}"), scored.schema[name].dataType
    if isinstance(kind, MapType):
        old, new = _ordered(other), _ordered(one)
        values = F.zip_with(F.map_values(new), F.map_values(old), lambda a, b: _close(a, b, room))
        close = F.coalesce(F.forall(values, lambda same: same), one.isNull())
        return F.map_keys(new).eqNullSafe(F.map_keys(old)) & close
    return _close(one, other, room) if isinstance(kind, DoubleType) else one.eqNullSafe(other)


def _close(one: Column, other: Column, room: tuple[float, float]) -> Column:
    near = F.abs(one - other) <= room[0] * F.greatest(F.abs(one), F.abs(other)) + room[1]
    return one.eqNullSafe(other) | F.coalesce(near, F.lit(False))


def _ordered(column: Column) -> Column:
    """A map by its keys."""
    return F.map_from_entries(F.array_sort(F.map_entries(column)))


def _same(left: DataFrame, right: DataFrame, columns: tuple[str, ...]) -> Column:
    condition = F.lit(True)
    for column in columns:
        condition = condition & left[column].eqNullSafe(right[column])
    return condition
