"""Which row features need no Spark: those that agree with Spark's on sampled rows, however odd what they look up is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config.types import Pipeline
from headrace.engine.buckets import quoted
from headrace.serving.derived import Derived, RowFeature, row_feature
from headrace.serving.online.store import OnlineTable
from headrace.serving.typed import arrow_type
from headrace.training.rows import add_row_features
from headrace.training.spine import spine_table, usable_columns

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from headrace.runtime.tables import Tables

SAMPLE = 500
"""Rows that both compute."""
CLOSE = 1e-12


def row_features(
    pipeline: Pipeline, tables: Tables, online: Mapping[str, OnlineTable]
) -> tuple[dict[str, str], list[RowFeature], list[str]]:
    """What a server can compute. Runs a Spark job where there are row features that need no Spark.

    Args:
        pipeline: The configuration.
        tables: Where its tables are.
        online: What can be looked up.

    Returns:
        SQL types of the spine's columns and of all row features; the row features that a server can compute; the names of
        the others.
    """
    training, table = spine_table(pipeline)
    cleaned = tables.read(training.spine, tables.last(training.spine).version)
    own = cleaned.select(*map(quoted, usable_columns(cleaned.columns, pipeline)))
    found = {f"{name}__{c}": kind for name, one in online.items() for c, kind in one.columns}
    drawn = own.limit(SAMPLE).select(
        "*", *(_drawn(kind, i).alias(name) for i, (name, kind) in enumerate(found.items()))
    )
    made = add_row_features(drawn, training, table, cleaned.columns)
    kinds = {field.name: field.dataType.simpleString().partition(" collate")[0] for field in made.schema}
    columns = {name: kind for name, kind in kinds.items() if name not in found and arrow_type(kind) is not None}
    could = [one for name, sql in training.row_features.items() if (one := row_feature(name, sql, kinds)) is not None]
    agreed = agreeing(made, could) if could else []
    return columns, agreed, [name for name in training.row_features if name not in {one.name for one in agreed}]


def agreeing(made: DataFrame, features: list[RowFeature]) -> list[RowFeature]:
    """The row features that come to the same here as in Spark.

    Args:
        made: Rows with all that these read, and with Spark's own results.
        features: Candidates; one that reads another is left out with it.
    """
    needed = dict.fromkeys([*(one.name for one in features), *(name for one in features for name in one.reads)])
    rows = made.select(*map(quoted, needed)).toArrow().to_pylist()
    good: list[RowFeature] = []
    for one in features:
        mine = [{name: row[name] for name in one.reads} for row in rows]
        try:
            Derived([one]).add(mine)
        except Exception:  # noqa: BLE001 (what fails here in any way is not computed by servers: requests give it)
            continue
        if all(same(row[one.name], theirs[one.name]) for row, theirs in zip(mine, rows, strict=True)):
            good.append(one)
    return good


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, fractions up to the last digits."""
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or one == other or math.isclose(one, other, rel_tol=CLOSE)
    return type(one) is type(other) and bool(one == other)


def _drawn(kind: str, seed: int) -> Column:
    """Values of a type, a tenth of them null."""
    number = F.rand(seed) * 2000 - 500
    if kind == "string":
        value = F.array(*map(F.lit, ("", "a", "B c", "é"))).getItem((F.rand(seed) * 4).cast("int"))
    elif kind == "boolean":
        value = F.rand(seed) < 0.5
    elif kind in ("date", "timestamp", "timestamp_ntz"):
        value = F.timestamp_seconds((F.rand(seed) * 2e9).cast("bigint")).cast(kind)
    elif kind == "tinyint":
        value = (F.rand(seed) * 100).cast(kind)
    else:
        value = number.cast(kind)
    return F.when(F.rand(seed + 1) < 0.9, value)
