"""Ingest: sources -> `raw_<table>`, append-only; a file lands once however often the job runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config import secrets
from headrace.config.checks import sources
from headrace.config.types import Pipeline, Source, Table
from headrace.errors import DataError
from headrace.examples import unpacked
from headrace.ingest import others
from headrace.ingest.files import SourceFile, is_single_file, listed, rows
from headrace.ingest.landed import Landed, Mode, landed
from headrace.ingest.privacy import key_of, protected, reading, refuse_in_paths, refuse_plain
from headrace.runtime.home import home
from headrace.runtime.step import Done, Output, Run, Step

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def raw(table: str) -> str:
    """The raw table's name."""
    return f"raw_{table}"


def steps(pipeline: Pipeline) -> tuple[Step, ...]:
    """One step per table that this pipeline makes."""
    return tuple(_step(name, table) for name, table in pipeline.tables.items() if not table.shared)


def _step(name: str, table: Table) -> Step:
    source = table.source
    decides = {"source": source.model_dump(mode="json", by_alias=True)}

    def state(run: Run) -> Any:
        if source.kind != "files":
            return others.state(run, name, source)
        return [(f.path, f.size, f.modified) for f in listed(run.spark, _path(source))]

    return Step(
        stage="ingest",
        name=f"ingest:{name}",
        inputs=(),
        outputs=(raw(name),),
        config={"tables": {name: decides | ({"sensitive": table.sensitive} if table.sensitive else {})}},
        state=state,
        run=lambda run: (_ingest if source.kind == "files" else others.ingest)(run, name, table),
    )


def missing(source: Source) -> str | None:
    """What is wrong with a source's path, where that can be said without Spark."""
    return sources.missing(_path(source)) if source.kind == "files" else None


def _path(source: Source) -> str:
    return unpacked(source.path, Path(home()) / "examples")


def _ingest(run: Run, name: str, table: Table) -> Done:
    source, key = table.source, key_of(run.pipeline, table)
    files = listed(run.spark, _path(source))
    refuse_plain(run, name, table)
    refuse_in_paths(name, table, (file.path for file in files))
    mode: Mode = source.mode or ("snapshot" if is_single_file(_path(source), files) else "append")
    there = run.exists(raw(name))
    earlier = run.facts(raw(name)).get("facts", {}) if there else {}
    how = source.model_dump(mode="json", exclude={"path", "mode"}) | reading(table, key)
    before = landed(run.read(raw(name)), earlier, how, mode) if there else Landed()
    new = before.to_read(files, mode)
    frame = _bare(_rows(run, source, new), name, table, key)
    filled = frame is not None and not frame.isEmpty()
    if not filled and (not there or (mode == "snapshot" and new)):
        raise _nothing(name, source, there)
    if before.known and frame is not None and filled:
        _same_columns(name, list(earlier.get("columns") or run.read(raw(name)).columns), _columns(frame))
    replaced, gone = (before.replaced(new), before.missing(files)) if mode == "append" else ([], [])
    emptied = _without_rows(run, source, replaced)
    batch = int(earlier.get("batch", 0)) + bool(new)
    facts = {
        "batch": batch,
        "mode": mode,
        "reading": how,
        "sensitive": table.sensitive,
        "files": len(new),
        "columns": _columns(frame) if frame is not None and filled else earlier.get("columns"),
        "emptied": {**before.still_empty(new), **emptied} if mode == "append" else {},
        "superseded": there and bool(replaced or earlier.get("superseded", True) or mode != before.mode),
        "gone": len(gone),
    }
    output = Output(
        raw(name),
        _stamped(frame, batch) if frame is not None and filled else run.read(raw(name)).limit(0),
        mode="append",
        facts=facts,
        serializable=True,
        merge_schema=True,
        based_on=run.version(raw(name)) if there else -1,
        adds_nothing=not filled and emptied.keys() <= before.emptied.keys() and mode == before.mode,
    )
    return Done((output,), notes=tuple(_notes(replaced, gone if len(gone) > before.gone else [])))


def _nothing(name: str, source: Source, there: bool) -> DataError:
    stands = ". What landed before stands as it is" if there else ""
    return DataError(
        f"tables.{name}: {source.path} holds no row; put data there, or mend source.path and source.options{stands}"
    )


def _rows(run: Run, source: Source, files: list[SourceFile]) -> DataFrame | None:
    return rows(run.spark, source.format, secrets.revealed(source.options), files)


def _bare(frame: DataFrame | None, name: str, table: Table, key: bytes | None) -> DataFrame | None:
    """Rows without the values of sensitive columns."""
    return None if frame is None else protected(frame, table.sensitive, key, f"tables.{name}")


def _columns(frame: DataFrame) -> list[str]:
    """The columns of the raw table."""
    return [*frame.columns, "_ingested_at", "_batch"]


def _stamped(frame: DataFrame, batch: int) -> DataFrame:
    """Rows with the columns that say when they landed."""
    stamps = F.current_timestamp().alias("_ingested_at"), F.lit(batch).cast("bigint").alias("_batch")
    return frame.select("*", *stamps)


def _without_rows(run: Run, source: Source, files: list[SourceFile]) -> dict[str, str]:
    """Of replaced files those that hold no row now, with their version."""
    frame = _rows(run, source, files)
    holding = {r["_source"] for r in frame.select("_source").distinct().toLocalIterator()} if frame is not None else ()
    return {f.path: f.version for f in files if f.path not in holding}


def _notes(replaced: list[SourceFile], gone: list[str]) -> Iterator[str]:
    if replaced:
        told = ", ".join(f.path for f in replaced[:3])
        yield f"{len(replaced)} replaced file(s) supersede their earlier rows: {told}"
    if gone:
        yield f"{len(gone)} file(s) that landed are gone; their rows stay: {', '.join(gone[:3])}"


def _same_columns(name: str, before: list[str], now: list[str]) -> None:
    extra, missing = sorted(set(now) - set(before)), sorted(set(before) - set(now))
    if extra or missing:
        raise DataError(
            f"tables.{name}: the new files have other columns than what landed before: additional {extra}, missing "
            f"{missing}. Put files of the same columns there, or change source.options on purpose: all is then read anew"
        )
