"""Landing files in `raw_<table>`: append-only; a file lands once however often the job runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import _parse_datatype_string

from headrace.config import secrets
from headrace.config.types import Source, Table
from headrace.errors import DataError
from headrace.examples import unpacked
from headrace.ingest.drift import NESTED, RESCUED, Columns, merged, plain
from headrace.ingest.files import SourceFile, is_single_file, listed
from headrace.ingest.index import carried, index_of
from headrace.ingest.landed import Landed, Mode, holding, landed
from headrace.ingest.privacy import key_of, protected, reading, refuse_in_paths, refuse_plain
from headrace.ingest.reading import How, Read, read
from headrace.ingest.schemas import CORRUPT
from headrace.runtime.home import home
from headrace.runtime.step import Done, Output, Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

POLICIES = {"path", "mode", "on_drift", "on_corrupt", "delete_when", "schema_"}
"""Keys of a source that do not change how a file is read, or that files do not have."""
_TECHNICAL = (CORRUPT, RESCUED, "_source", "_source_version", "_ingested_at", "_batch")


def path_of(source: Source) -> str:
    """Where a source's files are."""
    return unpacked(source.path, Path(home()) / "examples")


def ingest_files(run: Run, name: str, table: Table) -> Done:
    """Land the files of a source that are new or were replaced.

    Raises:
        DataError: If there is no row, or files are corrupt or of other columns, and the policy is not to bear it.
    """
    source, key = table.source, key_of(run.pipeline, table)
    raw, path = f"raw_{name}", path_of(source)
    files = listed(run.spark, path)
    refuse_plain(run, name, table)
    refuse_in_paths(name, table, (file.path for file in files))
    mode: Mode = source.mode or ("snapshot" if is_single_file(path, files) else "append")
    there = run.exists(raw)
    earlier = run.facts(raw).get("facts", {}) if there else {}
    how = source.model_dump(mode="json", exclude=POLICIES) | reading(table, key)
    # what landed while the source was no file counts no more
    first = int(earlier.get("from", 1)) if "files" in earlier or not there else int(earlier.get("batch", 0)) + 1
    index = index_of(run, raw, first, mode) if there else None
    counting = run.read(raw).where(F.col("_batch") >= first) if there else None
    before = landed(counting, earlier, how, mode, index) if counting is not None else Landed()
    new = before.to_read(files, mode)
    known = _known(run.read(raw), earlier) if before.known else None
    found = read(run.spark, _how(source, known), new)
    frame = None if found.frame is None or found.frame.isEmpty() else found.frame
    frame = None if frame is None else protected(frame, table.sensitive, key, f"tables.{name}")
    if frame is None and (not there or (mode == "snapshot" and new)):
        raise _nothing(name, source, there, found.corrupt)
    if there and frame is not None:
        _same_types(name, run.read(raw), {n: k for n, k in found.columns.items() if n not in table.sensitive})
    skipped = {f.path: f.version for f in new if f.path in found.corrupt}
    replaced = [f for f in before.replaced(new) if f.path not in skipped] if mode == "append" else []
    replaced = holding(counting, replaced) if counting is not None else []
    gone = before.missing(files) if mode != "snapshot" else []
    emptied = _without_rows(run, source, replaced, known)
    batch = int(earlier.get("batch", 0)) + bool(new)
    facts = {
        "batch": batch,
        "mode": mode,
        "reading": how,
        "sensitive": table.sensitive,
        "kinds": _kinds(table, found) if found.columns else earlier.get("kinds", {}),
        "files": len(new) - len(skipped),
        "columns": _columns(frame, found, earlier) if frame is not None else earlier.get("columns"),
        "folders": list(found.folders) if frame is not None else earlier.get("folders", []),
        "emptied": {**before.still_empty([f for f in new if f.path not in skipped]), **emptied}
        if mode == "append"
        else {},
        "corrupt": {**before.still_corrupt(new, files), **skipped},
        "superseded": there and bool(replaced or earlier.get("superseded", True) or mode != before.mode),
        "since": int(earlier.get("since", 1)) if before.known else batch,
        "gone": len(gone),
        "from": first,
        "landed": carried(_landed(before, new, skipped, mode), index),
    }
    output = Output(
        raw,
        _stamped(frame, batch) if frame is not None else run.read(raw).limit(0),
        mode="append",
        facts=facts,
        serializable=True,
        merge_schema=True,
        based_on=run.version(raw) if there else -1,
        adds_nothing=frame is None and emptied.keys() <= before.emptied.keys() and mode == before.mode,
    )
    return Done((output,), notes=tuple(_notes(replaced, gone if len(gone) > before.gone else [], found)))


def _landed(before: Landed, new: list[SourceFile], skipped: Mapping[str, str], mode: Mode) -> dict[str, str]:
    """The files that have landed when these have; of a snapshot only its own."""
    now = {f.path: f.version for f in new if f.path not in skipped}
    return now if mode == "snapshot" and new else {**before.files, **now}


def _how(source: Source, known: Columns | None) -> How:
    options = secrets.revealed(source.options)
    return How(source.format, options, source.on_drift, source.on_corrupt, known)


def _known(raw: DataFrame, earlier: Mapping[str, Any]) -> Columns:
    """The source's columns as they landed last; of sensitive ones as they were before they were hashed or dropped."""
    wanted = earlier.get("columns") or raw.columns
    columns = {f.name: plain(f.dataType) for f in raw.select(*wanted).schema.fields if f.name not in _TECHNICAL}
    kinds = earlier.get("kinds") or {}
    return columns | {name: plain(_parse_datatype_string(kind)) for name, kind in kinds.items()}


def _kinds(table: Table, found: Read) -> dict[str, str]:
    """Types of the sensitive columns in the files, which the raw table does not tell."""
    return {name: kind.simpleString() for name, kind in found.columns.items() if name in table.sensitive}


def _same_types(name: str, before: DataFrame, now: Columns) -> None:
    """The raw table keeps all batches, also those read in another way: a column that it has keeps its type."""
    kinds = {f.name: plain(f.dataType) for f in before.schema.fields}
    told = [
        f"{n} is {kind.simpleString()}, it was {kinds[n].simpleString()}"
        for n, kind in now.items()
        if n in kinds and kinds[n] != kind and not (isinstance(kind, NESTED) and merged(kinds[n], kind))
    ]
    if told:
        raise DataError(
            f"tables.{name}: raw_{name} keeps what it has, and columns have come in another type: {'; '.join(told)}. Read "
            "them as before, or under another table's name"
        )


def _nothing(name: str, source: Source, there: bool, corrupt: Mapping[str, str]) -> DataError:
    stands = ". What landed before stands as it is" if there else ""
    told = f"; {len(corrupt)} corrupt file(s) were left out: {_told(corrupt)}" if corrupt else ""
    return DataError(
        f"tables.{name}: {source.path} holds no row{told}; put data there, or mend source.path and source.options{stands}"
    )


def _columns(frame: DataFrame, found: Read, earlier: Mapping[str, Any]) -> list[str]:
    """The columns of the raw table that are the source's as it is read now."""
    own = [c for c in frame.columns if c in found.columns or c in (CORRUPT, RESCUED)]
    own += [RESCUED] if RESCUED in (earlier.get("columns") or ()) and RESCUED not in own else []
    return [*own, "_source", "_source_version", "_ingested_at", "_batch"]


def _stamped(frame: DataFrame, batch: int) -> DataFrame:
    """Rows with the columns that say when they landed."""
    stamps = F.current_timestamp().alias("_ingested_at"), F.lit(batch).cast("bigint").alias("_batch")
    return frame.select("*", *stamps)


def _without_rows(run: Run, source: Source, files: list[SourceFile], known: Columns | None) -> dict[str, str]:
    """Of replaced files those that hold no row now, with their version."""
    frame = read(run.spark, _how(source, known), files).frame if files else None
    holding = {r["_source"] for r in frame.select("_source").distinct().toLocalIterator()} if frame is not None else ()
    return {f.path: f.version for f in files if f.path not in holding}


def _told(corrupt: Mapping[str, str]) -> str:
    return "; ".join(f"{path} ({why})" for path, why in list(corrupt.items())[:3])


def _notes(replaced: list[SourceFile], gone: list[str], found: Read) -> Iterator[str]:
    if replaced:
        told = ", ".join(f.path for f in replaced[:3])
        yield f"{len(replaced)} replaced file(s) supersede their earlier rows: {told}"
    if gone:
        yield f"{len(gone)} file(s) that landed are gone; their rows stay: {', '.join(gone[:3])}"
    if found.corrupt:
        yield f"{len(found.corrupt)} corrupt file(s) left out: {_told(found.corrupt)}"
    for file, drift in list(found.drift.items())[:3]:
        yield f"columns differ in {file}: {drift}"
