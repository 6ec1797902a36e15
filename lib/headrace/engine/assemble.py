"""Features at the spine's own cut-offs: the one path for training and scoring."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.config.durations import microseconds
from headrace.config.names import feature_columns
from headrace.config.types import FeatureTable, Pipeline, Table
from headrace.engine.definitions import clock, definitions, known_at, longest_window, prepared_events
from headrace.engine.point_in_time import lookup_join, point_in_time_join
from headrace.engine.published import VALID_UNTIL
from headrace.engine.time import moment
from headrace.engine.windows import window_features

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Read = Callable[[str, FeatureTable], "DataFrame"]
"""Rows of a cleaned or feature table by name that can count for a feature table, those known at the logical now."""

Span = tuple[datetime, datetime]
"""First and last cut-off, both inclusive."""


def within_reach(events: DataFrame, table: FeatureTable, source: Table, span: Span) -> DataFrame:
    """Leave out rows that no cut-off of the span can see: after it, or older than the longest window."""
    if table.kind == "lookup":
        return events
    first, last = span
    column = F.col("event_time" if table.kind == "latest" else clock(table, source))
    reach = longest_window(table)
    seen = events.where(column <= moment(last))
    return seen if reach is None else seen.where(column > moment(first - timedelta(microseconds=microseconds(reach))))


def add_features(
    spine: DataFrame, pipeline: Pipeline, names: tuple[str, ...], read: Read, spine_time: str = "predict_at"
) -> DataFrame:
    """The spine's rows with the columns of feature tables as known at each row's cut-off.

    Args:
        spine: Rows with a cut-off and the entity columns of the feature tables.
        pipeline: The configuration.
        names: Feature tables, in order.
        read: Gives cleaned and feature tables.
        spine_time: The column of the cut-off.

    Returns:
        The spine's columns, then `<feature_table>__<column>` for each. Rows in = rows out.
    """
    for name in names:
        spine = _add(spine, pipeline, name, read, spine_time)
    return spine


def _add(spine: DataFrame, pipeline: Pipeline, name: str, read: Read, spine_time: str) -> DataFrame:
    table = pipeline.feature_tables[name]
    source = pipeline.tables[table.from_]
    entity = list(table.entity)
    if table.kind == "aggregates":
        return window_features(
            spine,
            prepared_events(read(table.from_, table), table, source),
            entity=entity,
            spine_time=spine_time,
            event_time=clock(table, source),
            available_at=known_at(table, source),
            aggregates={f"{name}__{d.name}": (d.source, d.function, d.window) for d in definitions(table)},
        )
    columns = [f"{name}__{column}" for column in feature_columns(table)]
    renamed = read(name, table).withColumnsRenamed(dict(zip([*table.latest, *table.lookup], columns, strict=True)))
    if table.kind == "lookup":
        return lookup_join(spine, renamed, entity=entity, columns=columns)
    return point_in_time_join(
        spine,
        renamed,
        entity=entity,
        spine_time=spine_time,
        feature_time="event_time",
        available_at="available_at",
        valid_until=VALID_UNTIL if table.until else None,
        max_age=table.max_age,
        columns=columns,
    )
