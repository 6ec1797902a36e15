"""Any reader of Spark by its `format` and `options`, and tables of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import StructType

from headrace.config import secrets
from headrace.config.names import column_names
from headrace.config.types import Source
from headrace.errors import ConfigError
from headrace.ingest import dynamodb, mongodb
from headrace.ingest.fields import Fields
from headrace.ingest.marks import Since

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Rows:
    """What was read.

    Attributes:
        frame: The rows, columns named as in the tables.
        fields: Of a source without a schema those that were read, with their types and their own names.
        open: Columns of numbers without declared digits, which come as text.
        bounded: Whether they are those from the start on; a filter once more would hide values of other types.
    """

    frame: DataFrame
    fields: StructType | None = None
    open: tuple[str, ...] = ()
    bounded: bool = False


def read(run: Any, where: str, source: Source, known: StructType | None, since: Since | None) -> Rows:
    """The rows of a source from a value of its watermark on, or more of them.

    Args:
        run: Its `spark` and `parallelism` are asked for.
        where: The source's place in the YAML.
        source: The source.
        known: The fields that were read before, of a source without a schema.
        since: From where on; what a source cannot leave out by itself, the caller does.
    """
    fields = Fields(_declared(source), known)
    if source.format.lower() == "mongodb":
        return Rows(*mongodb.read(run.spark, source, where, fields, since), bounded=True)
    if source.format.lower() == "dynamodb":
        return Rows(*dynamodb.read(run, source, where, fields, since))
    reader = run.spark.read.format(source.format).options(**secrets.revealed(source.options))
    reader = reader if fields.declared is None else reader.schema(fields.declared)
    placed = source.path.split(" ")[0] != source.format.lower()  # a path of its own, no words in place of one
    frame = reader.load(source.path) if placed else reader.load()
    return Rows(frame.toDF(*column_names(frame.columns)))


def _declared(source: Source) -> StructType | None:
    """The columns that the YAML says, with their types."""
    if not source.schema_:
        return None
    declared = StructType.fromDDL(
        ", ".join(f"`{name.replace('`', '``')}` {kind}" for name, kind in source.schema_.items())
    )
    return declared if isinstance(declared, StructType) else None


@contextmanager
def telling(where: str, source: Source) -> Iterator[None]:
    """What a reader says against a source, in words.

    Raises:
        ConfigError: In place of errors of connectors that are known.
        DataError: If a value is of another type than declared or found.
    """
    try:
        yield
    except Exception as error:  # Py4J's, Spark's and the connectors' errors have no common base class
        text = f"{type(error).__name__}: {error}\n{getattr(error, '_stackTrace', None) or ''}"
        if "DATA_SOURCE_NOT_FOUND" in text and source.format.lower() in ("mongodb",):
            raise ConfigError(
                f"{where}: Spark has no reader for {source.format}; its jars are loaded as a job starts, not into a session "
                "that is there: start it by a job of Headrace, or with --packages"
            ) from None
        words = {"mongodb": mongodb.words, "dynamodb": dynamodb.words}.get(source.format.lower())
        told = words(text) if words else None
        if told is None:
            raise
        kind, said = told
        raise kind(f"{where}: {source.format} {said}") from None
