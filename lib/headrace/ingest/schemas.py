"""Which columns files have: those of the same columns are read together.

The headers of text and Avro files, and the footers of Parquet and ORC files on this machine, tell it without a Spark job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import StringType, StructField, StructType

from headrace.errors import DataError
from headrace.ingest.files import SourceFile
from headrace.ingest.heads import avro_schemas, first_lines
from headrace.runtime.commits import is_local

if TYPE_CHECKING:
    from pyspark.sql import DataFrameReader, SparkSession

CORRUPT = "_corrupt"
BY_VALUE = ("json", "xml")
"""Formats whose fields may be absent, and whose types are those of all values."""
COLUMNAR = ("parquet", "orc", "avro")
"""Formats whose files say what their columns are."""


@dataclass(frozen=True)
class Group:
    """Files of the same columns.

    Attributes:
        files: The files.
        schema: Their columns as they are called in the files, without those of folders.
    """

    files: tuple[SourceFile, ...]
    schema: StructType


class CorruptFilesError(DataError):
    """Files that cannot be read.

    Args:
        reasons: What is wrong, by path.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        told = "; ".join(f"{path}: {why}" for path, why in list(reasons.items())[:3])
        more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        super().__init__(
            f"{len(reasons)} file(s) cannot be read: {told}{more}. Nothing has landed: mend or remove them, or set "
            "source.on_corrupt: skip, which leaves them out, names and counts them"
        )
        self.reasons = dict(reasons)


def reader_of(spark: SparkSession, format_: str, options: Mapping[str, str]) -> DataFrameReader:
    """Spark's reader, with a header and quotes as everybody but Spark writes them (RFC 4180): `"a ""b"" c"`."""
    if {"encoding", "charset"} & {name.lower() for name in options}:
        spark.conf.set("spark.sql.legacy.javaCharsets", "true")  # windows-1252 and its like; Spark itself has seven
    reader = spark.read.format(format_)
    if format_ == "csv":
        reader = reader.option("header", "true").option("escape", '"')
        reader = reader.option("columnPruning", "false")  # else a line is not looked at whole where a column is dropped
    return reader.options(**options)


def groups(spark: SparkSession, format_: str, options: Mapping[str, str], files: list[SourceFile]) -> list[Group]:
    """Files by their columns, in the order of the first file of each; files without any column are left out.

    Raises:
        CorruptFilesError: With the files whose footer cannot be read.
    """
    reader = reader_of(spark, format_, options)
    if format_ == "csv":
        return _by_header(spark, reader.option("inferSchema", "false"), files, options)
    if format_ in ("parquet", "orc") and all(is_local(f.path) for f in files):
        return _by_footer(reader, files, _FOOTERS[format_])
    if format_ == "avro":
        schemas, wrong = avro_schemas(spark, files)
        if wrong:
            raise CorruptFilesError(wrong)
        return _grouped(files, lambda f: schemas.get(f.path, f.path), lambda f: reader.load(f.literal).schema)
    if format_ in ("parquet", "orc"):
        reader = reader.option("mergeSchema", "true")
    if format_ in BY_VALUE:
        reader = reader.option("columnNameOfCorruptRecord", CORRUPT)
    try:
        schema = reader.load([f.literal for f in files]).schema
    except Exception as error:  # Spark's errors have no common base class
        if "CANNOT_MERGE_SCHEMAS" not in str(error):
            raise
        return _grouped(files, lambda f: f.path, lambda f: reader.load(f.literal).schema)
    schema = StructType([f for f in schema.fields if f.name != CORRUPT])
    if not schema.fields:
        raise DataError(
            f"no line of {files[0].path} is a record of {format_}; where a record goes over several lines, set "
            "source.options.multiLine: true, else mend source.format"
        )
    return [Group(tuple(files), schema)]


def _grouped(
    files: Iterable[SourceFile], key: Callable[[SourceFile], Any], schema: Callable[[SourceFile], StructType]
) -> list[Group]:
    """Files with the same key, whose columns are asked for once."""
    found: dict[Any, list[SourceFile]] = {}
    for file in files:
        found.setdefault(key(file), []).append(file)
    by_columns: dict[str, tuple[StructType, list[SourceFile]]] = {}
    for those in found.values():
        columns = schema(those[0])
        if columns.fields:
            by_columns.setdefault(columns.json(), (columns, []))[1].extend(those)
    return [Group(tuple(those), columns) for columns, those in by_columns.values()]


def _by_header(spark: SparkSession, reader: Any, files: list[SourceFile], options: Mapping[str, str]) -> list[Group]:
    """Text files: the first line tells the header, so that Spark is asked once for each that is different."""
    by_line = not {"comment", "multiline"} & {name.lower() for name in options}
    lines = first_lines(spark, files) if by_line else {}

    def columns(file: SourceFile) -> StructType:
        return StructType([StructField(c, StringType()) for c in reader.load(file.literal).columns])

    return _grouped(files, lambda f: lines.get(f.path, f.path), columns)


def _by_footer(reader: Any, files: list[SourceFile], footer: Callable[[str], str]) -> list[Group]:
    from pyarrow.lib import ArrowException, ArrowNotImplementedError

    told: dict[str, str] = {}
    broken: dict[str, str] = {}
    for file in files:
        try:
            told[file.path] = footer(file.plain.removeprefix("file://"))
        except ArrowNotImplementedError:
            told[file.path] = file.path  # Spark may know a type that Arrow does not
        except (ArrowException, OSError, ValueError) as error:
            broken[file.path] = f"its footer cannot be read ({str(error).splitlines()[0][:120]})"
    if broken:
        raise CorruptFilesError(broken)
    return _grouped(files, lambda f: told[f.path], lambda f: reader.load(f.literal).schema)


def _parquet(path: str) -> str:
    from pyarrow.parquet import read_schema

    return str(read_schema(path).remove_metadata().to_string(truncate_metadata=False))


def _orc(path: str) -> str:
    from pyarrow.orc import ORCFile

    return str(ORCFile(path).schema.to_string())


_FOOTERS = {"parquet": _parquet, "orc": _orc}
