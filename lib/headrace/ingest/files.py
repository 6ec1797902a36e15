"""Files of a source: which there are, which are new, and their rows as they stand."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from headrace.config.names import column_names
from headrace.errors import ConfigError, DataError
from headrace.runtime.commits import is_local

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CORRUPT = "_corrupt"
TEXT_FORMATS = ("csv",)
_PACKED = (".gz", ".bz2", ".deflate", ".snappy", ".lz4", ".zst", ".zstd", ".xz")
_LONGEST_LINE = 1_000_000


@dataclass(frozen=True, order=True)
class SourceFile:
    """A file: its URI, and what changes when its content does.

    Attributes:
        path: URI as Spark names it.
        size: Bytes.
        modified: Milliseconds since 1970.
    """

    path: str
    size: int
    modified: int

    @property
    def version(self) -> str:
        """Changes when the file is replaced."""
        return f"{self.size}-{self.modified}"


def listed(spark: SparkSession, path: str) -> list[SourceFile]:
    """The files below a file, folder or glob, sorted; hidden ones (`_`, `.`) left out.

    Raises:
        ConfigError: If there is no such file or folder; an empty folder is no mistake.
    """
    found = _local(path) if is_local(path) else _remote(spark, path)
    if found is None:
        raise ConfigError(
            f"there is no file, folder or glob {path!r}; mend source.path (a relative path starts in the current folder, "
            "else beside the YAML)"
        )
    return sorted(found)


def _hidden(name: str) -> bool:
    return name.startswith(("_", "."))


def _local(path: str) -> list[SourceFile] | None:
    matches = glob.glob(path.removeprefix("file://"))
    files = [m for m in map(Path, matches) if m.is_file()]
    for folder in (m for m in map(Path, matches) if m.is_dir()):
        files += [f for f in folder.rglob("*") if f.is_file() and not any(map(_hidden, f.relative_to(folder).parts))]
    stats = [(f.absolute().as_uri(), f.stat()) for f in files]
    return [SourceFile(uri, s.st_size, s.st_mtime_ns // 1_000_000) for uri, s in stats] if matches else None


def _remote(spark: SparkSession, path: str) -> list[SourceFile] | None:
    jvm: Any = spark.sparkContext._jvm
    jpath = jvm.org.apache.hadoop.fs.Path(path)
    system = jpath.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())
    found: list[SourceFile] = []
    waiting = list(system.globStatus(jpath) or ())
    if not waiting:
        return None
    while waiting:
        status = waiting.pop()
        if status.isDirectory():
            waiting += [s for s in system.listStatus(status.getPath()) if not _hidden(s.getPath().getName())]
        else:
            uri = status.getPath().toUri().toString()
            found.append(SourceFile(uri, status.getLen(), status.getModificationTime()))
    return found


def is_single_file(path: str, files: list[SourceFile]) -> bool:
    """Whether a path names one file itself, no folder or glob."""
    return len(files) == 1 and files[0].path.rstrip("/").endswith(path.removeprefix("file://").rstrip("/"))


def rows(spark: SparkSession, format_: str, options: dict[str, str], files: list[SourceFile]) -> DataFrame | None:
    """The rows of files as they stand, with `_source` and `_source_version`; None where not even a header is there.

    Columns of text formats are strings, exactly as in the file; a line that does not fit the header is kept whole
    in `_corrupt`.
    """
    files = [f for f in files if f.size]
    if not files:
        return None
    paths = [unquote(f.path) if f.path.startswith("file:") else f.path for f in files]  # as_uri quotes, Hadoop does not
    reader = spark.read.format(format_).options(**options)
    if format_ in TEXT_FORMATS:
        reader = reader.option("header", options.get("header", "true")).option("inferSchema", "false")
        reader = reader.option("columnPruning", "false")  # else a line is not looked at whole where a column is dropped
        header = _header(reader, paths, by_line=not {"comment", "multiline"} & {name.lower() for name in options})
        if not header:
            return None
        fields = [StructField(c, StringType()) for c in [*header, CORRUPT]]
        reader = (
            reader.schema(StructType(fields)).option("columnNameOfCorruptRecord", CORRUPT).option("mode", "PERMISSIVE")
        )
    frame = reader.option("columnNameOfCorruptRecord", CORRUPT).load(paths)
    if format_ == "json" and CORRUPT not in frame.columns:
        frame = frame.withColumn(CORRUPT, F.lit(None).cast("string"))
    plain = [c for c in frame.columns if c != CORRUPT]
    kept = [F.col(f"`{c}`").alias(n) for c, n in zip(plain, column_names(plain), strict=True)]
    version = F.concat_ws("-", F.col("_metadata.file_size"), F.unix_millis(F.col("_metadata.file_modification_time")))
    path = F.regexp_replace("_metadata.file_path", "^file:/+", "file:///")  # as the listing writes it
    technical = [path.alias("_source"), version.alias("_source_version")]
    corrupt = [F.col(CORRUPT)] if CORRUPT in frame.columns else []
    return frame.select(*kept, *corrupt, *technical)


def _header(reader: Any, paths: list[str], by_line: bool) -> list[str]:
    """The columns of text files, the same in all of them; files of blank lines have none.

    Args:
        reader: Spark's, with its options.
        paths: The files.
        by_line: The first line tells the header, so that Spark is asked once for each that is different.

    Raises:
        DataError: If two files differ.
    """
    found: dict[str | bytes, list[str]] = {}
    header: tuple[str, list[str]] | None = None
    for path in paths:
        line = (_first_line(path) if by_line else None) or path
        if line not in found:
            found[line] = reader.load(path).columns
        if found[line]:
            header = header or (path, found[line])
            _same_columns(path, found[line], *header)
    return header[1] if header else []


def _first_line(path: str) -> bytes | None:
    """The first line of a file on this machine; None where it is blank or cannot be had at once."""
    if not is_local(path) or path.endswith(_PACKED):
        return None
    with Path(path.removeprefix("file://")).open("rb") as file:
        line = file.readline(_LONGEST_LINE)
    return line if line.strip() and line.count(b'"') % 2 == 0 and len(line) < _LONGEST_LINE else None


def _same_columns(path: str, columns: list[str], first: str, wanted: list[str]) -> None:
    if columns != wanted:
        extra, missing = sorted(set(columns) - set(wanted)), sorted(set(wanted) - set(columns))
        raise DataError(
            f"{path} has other columns than {first}: additional {extra}, missing {missing}"
            f"{'' if extra or missing else ', in another order'}; files of one source have the same columns"
        )
