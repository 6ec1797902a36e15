"""Ingest: sources -> `raw_<table>`, append-only; a file lands once however often the job runs."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.config.types import Pipeline, Source
from headrace.errors import DataError
from headrace.examples import unpacked
from headrace.ingest.files import SourceFile, is_single_file, listed, rows
from headrace.runtime.commits import is_local
from headrace.runtime.home import home
from headrace.runtime.step import Done, Output, Run, Step

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def raw(table: str) -> str:
    """The raw table's name."""
    return f"raw_{table}"


def steps(pipeline: Pipeline) -> tuple[Step, ...]:
    """One step per table."""
    return tuple(_step(name, table.source) for name, table in pipeline.tables.items())


def _step(name: str, source: Source) -> Step:
    def state(run: Run) -> list[tuple[str, int, int]]:
        return [(f.path, f.size, f.modified) for f in listed(run.spark, _path(source))]

    return Step(
        stage="ingest",
        name=f"ingest:{name}",
        inputs=(),
        outputs=(raw(name),),
        config=source.model_dump(mode="json", by_alias=True),
        state=state,
        run=lambda run: _ingest(run, name, source),
    )


def missing(source: Source) -> str | None:
    """What is wrong with a source's path, where that can be said without Spark."""
    path = _path(source)
    if not is_local(path) or glob.glob(path.removeprefix("file://")):
        return None
    return f"there is no file, folder or glob {path!r}; a relative path starts where the job does, or beside the YAML"


def _path(source: Source) -> str:
    return unpacked(source.path, Path(home()) / "examples")


def _ingest(run: Run, name: str, source: Source) -> Done:
    files = listed(run.spark, _path(source))
    mode = source.mode or ("snapshot" if is_single_file(_path(source), files) else "append")
    there = run.exists(raw(name))
    earlier = run.facts(raw(name)).get("facts", {}) if there else {}
    reading = source.model_dump(mode="json", exclude={"path", "mode"})
    known = _known(run.read(raw(name))) if there and earlier.get("reading") == reading else {}
    new = new_files(files, known)
    if not new:
        return Done(rows_in=0, rows_out=0)
    replaced = [f.path for f in new if f.path in known] if mode == "append" else []
    batch = int(earlier.get("batch", 0)) + 1
    frame = (
        rows(run.spark, source.format, {k: str(v) for k, v in source.options.items()}, new)
        .withColumn("_ingested_at", F.current_timestamp())
        .withColumn("_batch", F.lit(batch).cast("bigint"))
    )
    if frame.isEmpty() and not there:
        raise DataError(
            f"tables.{name}: {source.path} holds no row; put data there, or mend source.path and source.options"
        )
    if known:
        _same_columns(name, list(earlier.get("columns") or run.read(raw(name)).columns), frame.columns)
    facts = {"batch": batch, "mode": mode, "reading": reading, "files": len(new), "columns": frame.columns}
    notes = (
        [f"{len(replaced)} replaced file(s) supersede their earlier rows: {', '.join(replaced[:3])}"]
        if replaced
        else []
    )
    return Done(
        outputs=(Output(raw(name), frame, mode="append", facts=facts, serializable=True, merge_schema=True),),
        notes=tuple(notes),
    )


def _same_columns(name: str, before: list[str], now: list[str]) -> None:
    extra, missing = sorted(set(now) - set(before)), sorted(set(before) - set(now))
    if extra or missing:
        raise DataError(
            f"tables.{name}: the new files have other columns than what landed before: additional {extra}, missing "
            f"{missing}. Put files of the same columns there, or change source.options on purpose: all is then read anew"
        )


def _known(table: DataFrame) -> dict[str, str]:
    """Version of each file that landed last; one row per file reaches the driver."""
    newest = table.groupBy("_source").agg(F.max_by("_source_version", F.struct("_batch")).alias("version"))
    return {r["_source"]: r["version"] for r in newest.toLocalIterator()}


def new_files(files: list[SourceFile], known: dict[str, str]) -> list[SourceFile]:
    """Files that are new or were replaced."""
    return [f for f in files if known.get(f.path) != f.version]
