"""Whether the compiled scorer says what `transform` says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.models.card import ModelCard
from headrace.models.compiled.columns import Floats
from headrace.models.predict import predict

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

TOLERANCE = 1e-6
"""Of numbers and probabilities, relative."""
LEAST = 1e-12
"""Of probabilities, and of numbers relative to their median: what is left when 1 is taken from something close to it."""
_ROW = "__row"


def disagreement(
    spark: SparkSession, model: PipelineModel, card: ModelCard, rows: pa.Table, told: pa.Table
) -> str | None:
    """How what was told of rows differs from `transform`; None where it does not. Runs a Spark job.

    Args:
        spark: The session.
        model: Fitted.
        card: Its card.
        rows: Feature columns; those that are not there are null.
        told: `prediction` and `probability` of each row.
    """
    return different(card, told, transformed(spark, model, card, rows))


def transformed(spark: SparkSession, model: PipelineModel, card: ModelCard, rows: pa.Table) -> pa.Table:
    """What `transform` says of rows, in their order: `prediction` and `probability`. Runs a Spark job.

    Args:
        spark: The session.
        model: Fitted.
        card: Its card.
        rows: Feature columns; those that are not there are null.
    """
    return answered(spark, card, rows, lambda frame, keep: predict(model, card, frame, keep))


def answered(
    spark: SparkSession, card: ModelCard, rows: pa.Table, score: Callable[[DataFrame, list[str]], DataFrame]
) -> pa.Table:
    """What is said of rows, in their order: `prediction` and `probability`. Runs a Spark job.

    Args:
        spark: The session.
        card: The model's.
        rows: Feature columns; those that are not there are null.
        score: From these rows and the columns to keep to rows scored.
    """
    from pyspark.sql import functions as F

    frame: Any = spark.createDataFrame(rows.append_column(_ROW, pa.array(np.arange(rows.num_rows))))
    there = set(rows.column_names)
    columns = [
        (F.col(f"`{name}`") if name in there else F.lit(None)).cast(kind).alias(name)
        for name, kind in card.features.items()
    ]
    return score(frame.select(_ROW, *columns), [_ROW]).toArrow().sort_by(_ROW).drop_columns([_ROW])


def different(card: ModelCard, ours: pa.Table, theirs: pa.Table, tolerance: float = TOLERANCE) -> str | None:
    """How two tables of `prediction` and `probability` differ, in words; None where they agree.

    A prediction may be another where a probability lies within the tolerance of where it changes.

    Args:
        card: The model's.
        ours: One.
        theirs: The other.
        tolerance: Of numbers and probabilities, relative.
    """
    if ours.num_rows != theirs.num_rows:
        return f"{ours.num_rows} rows and {theirs.num_rows}"
    if card.task == "regression":
        one, other = (_numbers(table.column("prediction")) for table in (ours, theirs))
        return _told(_apart(one, other, tolerance), "another prediction", _by(one, other))
    one, other = (_likely(card, table) for table in (ours, theirs))
    apart = _apart(one, other, tolerance).any(axis=1)
    if apart.any():
        return _told(apart, "another probability", _by(one, other).max(axis=1))
    said, says = (table.column("prediction").to_pylist() for table in (ours, theirs))
    return _told(
        np.array([a != b for a, b in zip(said, says, strict=True)], bool) & ~_ties(card, other, tolerance),
        "another class",
    )


def largest(card: ModelCard, ours: pa.Table, theirs: pa.Table) -> float:
    """By how much numbers or probabilities of two such tables differ at most, where both are finite."""
    of = (lambda table: _numbers(table.column("prediction"))) if card.task == "regression" else None
    one, other = (of(table) if of else _likely(card, table) for table in (ours, theirs))
    by = _by(one, other)
    return float(by[np.isfinite(by)].max(initial=0.0))


def _numbers(column: Any) -> Floats:
    """Doubles, NaN where there is none."""
    return np.asarray(column.combine_chunks().fill_null(np.nan).to_numpy(zero_copy_only=False), dtype=np.float64)


def _likely(card: ModelCard, table: pa.Table) -> Floats:
    """Probabilities (rows, classes), in one order of the classes."""
    column = table.column("probability")
    if card.task == "binary":
        return _numbers(column)[:, None]
    rows = [dict(row or ()) for row in column.to_pylist()]
    names = sorted(set().union(*rows))
    return np.array([[row.get(name, np.nan) for name in names] for row in rows], dtype=np.float64).reshape(
        len(rows), -1
    )


def _by(one: Floats, other: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.abs(one - other)


def _apart(one: Floats, other: Floats, tolerance: float) -> Any:
    with np.errstate(invalid="ignore"):
        finite = np.abs(other[np.isfinite(other)])
        room = tolerance * np.abs(other) + LEAST * max(1.0, float(np.median(finite)) if finite.size else 1.0)
        same = (one == other) | (np.isnan(one) & np.isnan(other)) | (np.abs(one - other) <= room)
    return ~same


def _ties(card: ModelCard, likely: Floats, tolerance: float) -> Any:
    if card.task == "binary":
        cut = float((card.learned or {}).get("threshold", 0.5))
        return np.abs(likely[:, 0] - cut) <= tolerance
    best = np.sort(likely, axis=1)
    return best[:, -1] - best[:, -2] <= tolerance if best.shape[1] > 1 else np.zeros(len(best), bool)


def _told(wrong: Any, what: str, by: Any = None) -> str | None:
    if not wrong.any():
        return None
    most = "" if by is None or not np.isfinite(by[wrong]).any() else f" (by up to {np.nanmax(by[wrong]):.3g})"
    return f"{int(wrong.sum()):,} of {len(wrong):,} rows have {what}{most}"
