"""Ingest: sources -> `raw_<table>`, append-only; a file lands once however often the job runs."""

from __future__ import annotations

from typing import Any

from headrace.config.checks import sources
from headrace.config.types import Pipeline, Source, Table
from headrace.ingest import others
from headrace.ingest.files import listed
from headrace.ingest.kafka import Topics
from headrace.ingest.landing import ingest_files, path_of
from headrace.runtime.step import Done, Run, Step


def raw(table: str) -> str:
    """The raw table's name."""
    return f"raw_{table}"


def steps(pipeline: Pipeline) -> tuple[Step, ...]:
    """One step per table that this pipeline makes."""
    return tuple(_step(name, table) for name, table in pipeline.tables.items() if not table.shared)


def _step(name: str, table: Table) -> Step:
    source = table.source
    decides = {"source": source.model_dump(mode="json", by_alias=True)}
    topics = Topics(name, table) if source.kind == "kafka" else None

    def state(run: Run) -> Any:
        if topics:
            return topics.state(run)
        if source.kind != "files":
            return others.state(run, name, source)
        return [(f.path, f.size, f.modified) for f in listed(run.spark, path_of(source))]

    def work(run: Run) -> Done:
        if topics:
            return topics.ingest(run)
        return (ingest_files if source.kind == "files" else others.ingest)(run, name, table)

    return Step(
        stage="ingest",
        name=f"ingest:{name}",
        inputs=(),
        outputs=(raw(name),),
        config={"tables": {name: decides | ({"sensitive": table.sensitive} if table.sensitive else {})}},
        state=state,
        run=work,
    )


def missing(source: Source) -> str | None:
    """What is wrong with a source's path, where that can be said without Spark."""
    return sources.missing(path_of(source)) if source.kind == "files" else None
