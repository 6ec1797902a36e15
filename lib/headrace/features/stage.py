"""Features: cleaned tables -> a Delta table per feature table, for people to query and for the joins of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config.describing import DESCRIPTIVE
from headrace.config.types import FeatureTable, Pipeline, Table
from headrace.engine.definitions import clock, definitions, prepared_events
from headrace.engine.published import published_windows
from headrace.engine.time import known_by
from headrace.runtime.step import Done, Output, Run, Step

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def steps(pipeline: Pipeline) -> tuple[Step, ...]:
    """One step per feature table that this pipeline makes."""
    return tuple(_step(pipeline, name, table) for name, table in pipeline.feature_tables.items() if not table.shared)


def config_of(pipeline: Pipeline, name: str) -> dict[str, Any]:
    """What of the configuration decides a feature table's values."""
    table = pipeline.feature_tables[name]
    source = pipeline.tables[table.from_]
    times = source.model_dump(mode="json", include={"event_time", "available_at"})
    defined = table.model_dump(mode="json", by_alias=True, exclude=set(DESCRIPTIVE))
    return {"feature_tables": {name: defined}, "tables": {table.from_: times}}


def _step(pipeline: Pipeline, name: str, table: FeatureTable) -> Step:
    return Step(
        stage="features",
        name=f"features:{name}",
        inputs=(table.from_,),
        outputs=(name,),
        config=config_of(pipeline, name),
        run=lambda run: _features(run, name, table, pipeline.tables[table.from_]),
    )


def _features(run: Run, name: str, table: FeatureTable, source: Table) -> Done:
    events = known_by(run.read(table.from_), source, run.as_of)
    makers = {"aggregates": windows, "latest": latest, "lookup": lookup}
    frame = makers[table.kind](events, table, source)
    output = Output(name, frame, facts={"kind": table.kind})
    rows_in = run.facts(table.from_).get("counts", {}).get("kept")
    return Done((output,), rows_in=rows_in)


def windows(events: DataFrame, table: FeatureTable, source: Table) -> DataFrame:
    """Entity, `valid_from`, `valid_until`, aggregates: the values just after each moment at which something became known."""
    return published_windows(
        prepared_events(events, table, source),
        entity=list(table.entity),
        event_time=clock(table, source),
        available_at=source.available_at,
        aggregates={d.name: (d.source, d.function, d.window) for d in definitions(table)},
    )


def latest(events: DataFrame, table: FeatureTable, source: Table) -> DataFrame:
    """Entity, `event_time`, `available_at`, columns: every row that could be the latest at some time."""
    time = F.col(clock(table, source))
    available = F.col(source.available_at) if source.available_at else time
    columns = [c for c in table.latest if c not in table.entity]
    kept = events.select(*table.entity, time.alias("event_time"), available.alias("available_at"), *columns)
    return kept.where("event_time is not null and available_at is not null")


def lookup(events: DataFrame, table: FeatureTable, source: Table) -> DataFrame:
    """Entity and columns, one row per entity."""
    return events.select(*table.entity, *[c for c in table.lookup if c not in table.entity])
