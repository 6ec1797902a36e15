"""Which rows are to be scored."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import MapType

from headrace.engine.time import moment

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType


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
    kind = scored.schema["probability"].dataType
    same = _plain(scored["probability"], kind).eqNullSafe(_plain(F.col("_last.probability"), kind))
    differs = ~scored["prediction"].eqNullSafe(F.col("_last.prediction")) | ~same
    revision = (F.coalesce(F.col("_last.revision"), F.lit(0)) + 1).cast("int").alias("revision")
    return joined.where(differs).select(*plain, revision).select(*scored.columns)


def _plain(column: Column, kind: DataType) -> Column:
    """A map as something that can be compared."""
    return F.array_sort(F.map_entries(column)) if isinstance(kind, MapType) else column


def _same(left: DataFrame, right: DataFrame, columns: tuple[str, ...]) -> Column:
    condition = F.lit(True)
    for column in columns:
        condition = condition & left[column].eqNullSafe(right[column])
    return condition
