"""Features: cleaned tables -> a Delta table per feature table, for people to query and for the joins of training."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config.describing import DESCRIPTIVE
from headrace.config.types import FeatureTable, Pipeline, Table
from headrace.engine.buckets import quoted, without_nulls
from headrace.engine.definitions import clock
from headrace.engine.time import known_by, moment
from headrace.errors import DataError
from headrace.features.follow import followed
from headrace.features.kinds import due, latest, lookup, next_change, windows
from headrace.features.layout import by_time
from headrace.features.refresh import backfills, made_of, refreshed
from headrace.features.views import views
from headrace.runtime.merging import CHANGE
from headrace.runtime.step import Done, Output, Run, Step

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


_ROWS = "__headrace_rows"


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
    notes = (_whole(run, name),) if backfills(run) and run.exists(name) else ()
    known = known_by(cleaned, source, run.as_of)
    if table.kind == "lookup":
        _refuse_repeated(known, name, table, source)
    frame = rows(known, table, source, run.as_of)
    if table.kind == "aggregates":
        frame = by_time(frame, known, due(table, source), rows_in)
    return Done((output(frame),), rows_in=rows_in, expires=expires, notes=notes)


def _refuse_repeated(rows: DataFrame, name: str, table: FeatureTable, source: Table) -> None:
    """A table that is looked up by its key has one row per key. Runs a Spark job where `key` does not say so already.

    Raises:
        DataError: With some keys that have more.
    """
    if source.key and set(source.key) <= set(table.entity):
        return
    keys = [quoted(key) for key in table.entity]
    counts = without_nulls(rows.select(*keys), keys).groupBy(*keys).agg(F.count("*").alias(_ROWS))
    some = counts.where(F.col(_ROWS) > 1).orderBy(*keys).limit(3).collect()
    if some:
        shown = "; ".join(
            ", ".join(f"{k} = {row[k]}" for k in table.entity) + f" ({row[_ROWS]:,} rows)" for row in some
        )
        raise DataError(
            f"feature_tables.{name}.lookup: {table.from_} has more than one row for {shown}. A lookup takes one row per "
            f"entity: write `latest` in its place, which takes the newest known, or give tables.{table.from_} the key "
            f"[{', '.join(table.entity)}], which keeps one"
        )


def _whole(run: Run, name: str) -> str:
    """Why a backfill made more anew than its window."""
    why = (
        "it is no table of windows"
        if run.pipeline.feature_tables[name].kind != "aggregates"
        else ("its definition or the code is another now, or somebody else wrote to it")
    )
    return f"{name}: the whole table was made anew, not the window alone: {why}; see headrace plan"


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
