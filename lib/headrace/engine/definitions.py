"""From a feature table's configuration to what the engine computes: names, windows, clocks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.config.durations import microseconds
from headrace.config.names import aggregate_column
from headrace.config.types import Aggregates, FeatureTable, Table
from headrace.engine.published import Published
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COUNTED = "_events"


@dataclass(frozen=True)
class Definition:
    """One aggregate over one window.

    Attributes:
        name: Of the feature, as `arr_delay_mean_3h`.
        source: Column of the prepared events, or `*`.
        function: As in `window_features`.
        window: A duration, or two with `/` between them.
    """

    name: str
    source: str
    function: str
    window: str


def definitions(table: FeatureTable) -> tuple[Definition, ...]:
    """All aggregates of a feature table, in the order of the YAML; that no name stands twice has been checked."""
    return tuple(
        _definition(number, part, function, window)
        for number, part in enumerate(table.aggregates)
        for function in part.functions
        for window in part.windows
    )


def _definition(number: int, part: Aggregates, function: str, window: str) -> Definition:
    name = aggregate_column(part, function, window)
    source = part.column if part.where is None else f"_filtered_{number}"
    return Definition(name, source, function, window)


def prepared_events(events: DataFrame, table: FeatureTable, source: Table) -> DataFrame:
    """The columns of the cleaned events that the windows need, conditions applied.

    Args:
        events: Rows of the cleaned table.
        table: The feature table.
        source: The cleaned table's configuration.

    Returns:
        Entity columns, clock, `available_at` where there is one, and one column per aggregated value.
    """
    times = [t for t in (clock(table, source), known_at(table, source)) if t]
    values = {p.column for p in table.aggregates if p.where is None and p.column != "*"}
    plain = list(dict.fromkeys([*table.entity, *times, *sorted(values)]))
    filtered = [
        F.when(F.expr(p.where), F.lit(1) if p.column == "*" else F.col(p.column)).alias(f"_filtered_{number}")
        for number, p in enumerate(table.aggregates)
        if p.where is not None
    ]
    return events.select(*plain, *filtered)


def clock(table: FeatureTable, source: Table) -> str:
    """The column by which windows and `latest` go.

    Raises:
        ConfigError: If there is none.
    """
    column = table.time or source.event_time
    if column is None:
        raise ConfigError(
            f"a feature table from {table.from_} needs a clock: give it `time`, or tables.{table.from_} an event_time"
        )
    return column


def known_at(table: FeatureTable, source: Table) -> str | None:
    """The column of the time from which an event is known; None: from its clock on."""
    if source.available_at:
        return source.available_at
    return source.event_time if source.event_time != clock(table, source) else None


def published(table: FeatureTable, source: Table, as_of: datetime | None = None) -> Published:
    """What a feature table of window aggregates holds, by its configuration.

    Args:
        table: The feature table.
        source: The cleaned table's configuration.
        as_of: The logical now, where a grid of times ends.
    """
    return Published(
        entity=list(table.entity),
        event_time=clock(table, source),
        available_at=known_at(table, source),
        aggregates={d.name: (d.source, d.function, d.window) for d in definitions(table)},
        every=microseconds(table.grid) if table.grid else None,
        until=None if as_of is None else round(as_of.timestamp() * 1_000_000),
    )


def longest_window(table: FeatureTable) -> str | None:
    """The longest of a feature table's windows, or its `max_age`; None: without bound."""
    windows = [length for p in table.aggregates for w in p.windows for length in w.split("/")]
    reaches = windows or ([table.max_age] if table.max_age else [])
    return max(reaches, key=microseconds) if reaches else None
