"""Sources that are no files: what says whether they have changed, and how their rows land."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import astuple, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import StructType

from headrace.config.hooks import use
from headrace.config.names import column_names
from headrace.config.types import Source, Table
from headrace.ingest import delta, kafka, marks, python, readers, watermark
from headrace.ingest.frames import Frame
from headrace.ingest.jdbc import Database
from headrace.ingest.marks import Since
from headrace.ingest.readers import Rows
from headrace.ingest.snapshots import Origin, land, withheld
from headrace.runtime.hooks import computing
from headrace.runtime.step import Done, Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def state(run: Run, name: str, source: Source) -> Any:
    """What tells one state of the source from another."""
    if source.kind == "jdbc" and source.watermark:
        return list(astuple(marks.look(_base(run, name, source))))
    if source.kind == "delta" and not source.watermark:
        version = delta.state(run.spark, source)
        if version is not None:
            return version
    return f"read in each run, as in {run.run_id}"  # whether it has changed, only its rows can tell


def ingest(run: Run, name: str, table: Table) -> Done:
    """Land what is new."""
    source = table.source
    if source.kind == "jdbc" and source.watermark:
        base = replace(_base(run, name, source), withhold=partial(withheld, run, name, table))
        return watermark.ingest_marked(run, name, base)
    if source.watermark:
        return _ingest_frame(run, name, table)
    if source.kind == "delta" and delta.state(run.spark, source) is not None:
        return delta.ingest_versions(run, name, table)
    origin = _base(run, name, source).origin if source.kind == "jdbc" else _origin(run, name, source)
    telling = _telling(run, name, source)
    if source.kind == "jdbc":
        return land(run, name, table, origin, rows(run, name, source))
    with telling() if source.kind == "spark" else nullcontext():
        read = _read(run, name, source, None, _known(run, name, source))
    return land(run, name, table, origin, read.frame, telling(), _facts(source, read))


def _ingest_frame(run: Run, name: str, table: Table) -> Done:
    """Land what is new of a source that is read as a DataFrame."""
    source, telling = table.source, _telling(run, name, table.source)
    _, earlier, _ = watermark.earlier_mark(run, name)
    since = None
    if earlier and earlier["lower"] is not None:
        column = str(source.watermark).lower()
        since = Since(column, earlier["lower"], run.read(f"raw_{name}").schema[column].dataType)
    with telling() if source.kind == "spark" else nullcontext():
        read = _read(run, name, source, since, _known(run, name, source))
    withhold = partial(withheld, run, name, table)
    where = f"tables.{name}.source"
    origin, facts = _origin(run, name, source), _facts(source, read)
    since = None if read.bounded else since
    base = Frame(source, where, origin, read.frame, since, withhold, telling, read.open, facts)
    try:
        done = watermark.ingest_marked(run, name, base)
    except BaseException:
        base.release()
        raise
    if done.rows_in == 0:
        _closed(done, base)
        told = f"{base.origin.what}: no row that has not landed before"
        return Done(rows_in=0, rows_out=0, notes=(told,), unchanged=True)
    return replace(done, cleanup=partial(_closed, done, base))


def _closed(done: Done, base: Frame) -> None:
    if done.cleanup:
        done.cleanup()
    base.release()


def rows(run: Any, name: str, source: Source) -> DataFrame:
    """The rows of a source as they are now, columns named as in the tables; nothing lands.

    Args:
        run: Its `spark`, `pipeline` and `parallelism` are asked for.
        name: The table.
        source: Its source.
    """
    if source.kind == "kafka":
        return kafka.rows(run, name, source)
    if source.kind == "jdbc":
        base = _base(run, name, source)
        if source.watermark:
            marks.marked(base)
        return base.rows(None, run.parallelism)
    return _read(run, name, source, None, None).frame


def _read(run: Any, name: str, source: Source, since: Since | None, known: StructType | None) -> Rows:
    if source.kind == "python":
        return Rows(python.python_rows(run, name, source, since))
    if source.kind == "delta":
        frame = delta.whole(run.spark, source, None)
        return Rows(frame.toDF(*column_names(frame.columns)))
    return readers.read(run, f"tables.{name}.source", source, known, since)


def _facts(source: Source, read: Rows) -> dict[str, Any]:
    """Which fields were read: a sample of documents does not show all of them each time."""
    return {} if read.fields is None else {"fields": read.fields.jsonValue(), "fields_of": source.path}


def _known(run: Run, name: str, source: Source) -> StructType | None:
    raw = f"raw_{name}"
    facts = run.facts(raw).get("facts", {}) if run.exists(raw) else {}
    return StructType.fromJson(facts["fields"]) if facts.get("fields_of") == source.path else None


def _telling(run: Run, name: str, source: Source) -> Callable[[], AbstractContextManager[Any]]:
    """Says in words what goes wrong when rows are computed."""
    where = f"tables.{name}.source"
    if source.kind == "python":
        return partial(computing, use(run.pipeline, f"{where}.python"))
    return partial(readers.telling, where, source)


def _origin(run: Run, name: str, source: Source) -> Origin:
    where = f"tables.{name}.source"
    if source.kind == "python":
        one = use(run.pipeline, f"{where}.python")
        return Origin(one.where, one.hook, f"the hook {one.hook}", "Cast in the hook")
    mend = "Say its type under `schema` of the source" if source.kind == "spark" else "Cast it"
    return Origin(where, source.path, source.path, mend)


def _base(run: Any, name: str, source: Source) -> Database:
    return Database(run.spark, source, f"tables.{name}.source")
