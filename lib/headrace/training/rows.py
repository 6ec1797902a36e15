"""From spine rows to feature rows: the same for training and for parity checks."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, NumericType, StringType

from headrace.config.learning import TrainingSet
from headrace.config.sql.expressions import columns
from headrace.config.types import Table
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

DRAWN = 500
"""Rows for which a transform is called once more, alone."""
FEATURE_TYPES = (NumericType, BooleanType, StringType)


def add_row_features(frame: DataFrame, training: TrainingSet, table: Table, cleaned: list[str]) -> DataFrame:
    """The features that are SQL over the row and the joined features, in the order of the YAML.

    Raises:
        ConfigError: If one uses a column that is not known when the prediction is made.
    """
    for name, sql in training.row_features.items():
        unknown = {c.lower() for c in columns(sql) or set()} & {c.lower() for c in cleaned} - {
            c.lower() for c in frame.columns
        }
        if unknown:
            why = (
                f"it is known only at {table.available_at}; list it in tables.{training.spine}.known_early if it is known before"
                if table.available_at
                else "the label is made of it"
            )
            raise ConfigError(
                f"training_set.row_features.{name} uses {', '.join(sorted(unknown))}, unknown at predict_at: {why}"
            )
        if name in frame.columns:
            raise ConfigError(
                f"training_set.row_features.{name}: there is a column of this name already; choose another"
            )
        frame = frame.withColumn(name, F.expr(sql))
    return frame


def feature_names(
    frame: DataFrame, training: TrainingSet, table: Table, made: tuple[str, ...], guarded: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """The columns that are features, in order, and those of other types that are not.

    Args:
        frame: Columns of the spine, the joined features, the row features.
        training: The configuration.
        table: The spine's table: its key and event time are no features by themselves.
        made: Columns that are no features (key, predict_at, label, ...).
        guarded: Columns of the spine's table that are sensitive, and not allowed as features.
    """
    never = {*made, *table.key, table.event_time, table.available_at, *training.exclude}
    asked = [
        f
        for f in frame.schema
        if f.name not in guarded
        and (f.name not in never or (f.name in table.known_early and f.name not in training.exclude))
    ]
    usable = [f.name for f in asked if _is_feature(f.dataType)]
    return usable, [f.name for f in asked if not _is_feature(f.dataType)]


def _is_feature(kind: DataType) -> bool:
    return isinstance(kind, FEATURE_TYPES)


def drawn(key: tuple[str, ...], rows: int) -> Column:
    """Whether a row is among the few hundred, at most half of all, drawn by a hash of the key."""
    parts = 1_000_000
    return F.pmod(F.xxhash64(*key), F.lit(parts)) < int(min(0.5, DRAWN / max(1, rows)) * parts)
