"""Sources that are no files: what says whether they have changed, and how their rows land."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from headrace.config import secrets
from headrace.config.names import column_names
from headrace.config.types import Source, Table
from headrace.ingest import delta, kafka, marks, watermark
from headrace.ingest.jdbc import Database
from headrace.ingest.python import ingest_python, python_rows
from headrace.ingest.snapshots import Origin, land
from headrace.runtime.step import Done, Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def state(run: Run, name: str, source: Source) -> Any:
    """What tells one state of the source from another."""
    if source.kind == "jdbc" and source.watermark:
        return list(astuple(marks.look(_base(run, name, source))))
    if source.kind == "delta":
        version = delta.state(run.spark, source)
        if version is not None:
            return version
    return f"read in each run, as in {run.run_id}"  # whether it has changed, only its rows can tell


def ingest(run: Run, name: str, table: Table) -> Done:
    """Land what is new."""
    source = table.source
    if source.kind == "python":
        return ingest_python(run, name, table)
    if source.kind == "jdbc" and source.watermark:
        return watermark.ingest_marked(run, name, _base(run, name, source))
    if source.kind == "delta" and delta.state(run.spark, source) is not None:
        return delta.ingest_versions(run, name, table)
    where = f"tables.{name}.source"
    found = watermark.origin(_base(run, name, source)) if source.kind == "jdbc" else None
    return land(run, name, table, found or Origin(where, source.path, source.path, "Cast it"), rows(run, name, source))


def rows(run: Any, name: str, source: Source) -> DataFrame:
    """The rows of a source as they are now, columns named as in the tables; nothing lands.

    Args:
        run: Its `spark`, `pipeline` and `parallelism` are asked for.
        name: The table.
        source: Its source.
    """
    if source.kind == "python":
        return python_rows(run, name, source)
    if source.kind == "kafka":
        return kafka.rows(run, name, source)
    if source.kind == "jdbc":
        base = _base(run, name, source)
        if source.watermark:
            marks.marked(base)
        return base.rows(None, run.parallelism)
    if source.kind == "delta":
        frame = delta.whole(run.spark, source, None)
    else:
        reader = run.spark.read.format(source.format).options(**secrets.revealed(source.options))
        placed = source.path.split(" ")[0] != source.format.lower()  # a path of its own, no words in place of one
        frame = reader.load(source.path) if placed else reader.load()
    return frame.toDF(*column_names(frame.columns))


def _base(run: Any, name: str, source: Source) -> Database:
    return Database(run.spark, source, f"tables.{name}.source")
