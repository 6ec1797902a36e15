"""Features: cleaned tables -> a Delta table per feature table, for people to query and for the joins of training."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config.describing import DESCRIPTIVE
from headrace.config.types import FeatureTable, Pipeline, Table
from headrace.engine.definitions import clock
from headrace.engine.time import known_by, moment
from headrace.features.follow import followed
from headrace.features.kinds import due, latest, lookup, next_change, windows
from headrace.features.layout import by_time
from headrace.features.refresh import made_of, refreshed
from headrace.features.views import views
from headrace.runtime.merging import CHANGE
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
    cleaned = run.read(table.from_)
    rows_in = run.facts(table.from_).get("counts", {}).get("kept")
    expires = next_change(cleaned, table, source, run.as_of)

    def output(frame: DataFrame, **how: Any) -> Output:
        columns = [column for column in frame.columns if column != CHANGE]
        facts = {"kind": table.kind, **made_of(run, table)}
        return Output(name, frame, facts=facts, change_feed=True, views=views(name, table, columns), **how)

    found = (refreshed if table.kind == "aggregates" else followed)(run, name, table, source, output)
    if found is not None:
        changes, release, told = found
        return Done((changes,), rows_in=rows_in, expires=expires, notes=(f"{name} {told}",), cleanup=release)
    known = known_by(cleaned, source, run.as_of)
    frame = rows(known, table, source, run.as_of)
    if table.kind == "aggregates":
        frame = by_time(frame, known, due(table, source), rows_in)
    return Done((output(frame),), rows_in=rows_in, expires=expires)


def rows(events: DataFrame, table: FeatureTable, source: Table, as_of: datetime) -> DataFrame:
    """A feature table's rows.

    Args:
        events: The cleaned rows known at the logical now.
        table: The feature table.
        source: The cleaned table's configuration.
        as_of: The logical now.
    """
    if table.kind != "aggregates":
        return (latest if table.kind == "latest" else lookup)(events, table, source)
    happened = events.where(F.col(clock(table, source)) <= moment(as_of))
    return windows(happened, table, source, as_of)
