"""Files of a source: which there are, which are new, and their rows as they stand."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from headrace.errors import ConfigError, DataError
from headrace.runtime.commits import is_local

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CORRUPT = "_corrupt"
TEXT_FORMATS = ("csv",)


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
        ConfigError: If nothing is there.
    """
    found = _local(path) if is_local(path) else _remote(spark, path)
    if found is None:
        raise ConfigError(
            f"there is no file, folder or glob {path!r}; mend source.path (a relative path starts where the job does)"
        )
    if not found:
        raise DataError(f"{path!r} holds no file; put one there, or mend source.path")
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


def column_names(columns: Iterable[str]) -> list[str]:
    """Names that SQL and Delta take as they are: lower case; other characters become `_`; none stands twice.

    >>> column_names(["Customer ID", "tenure (months)", "2nd", "a", "A"])
    ['customer_id', 'tenure_months', 'c_2nd', 'a', 'a_2']
    """
    names: list[str] = []
    for position, column in enumerate(columns, 1):
        name = re.sub(r"\W+", "_", column.strip().lower()).strip("_") or f"column_{position}"
        name = f"c_{name}" if name[0].isdigit() else name
        unique, number = name, 2
        while unique in names:
            unique, number = f"{name}_{number}", number + 1
        names.append(unique)
    return names


def rows(spark: SparkSession, format_: str, options: dict[str, str], files: list[SourceFile]) -> DataFrame:
    """The rows of files as they stand, with `_source` and `_source_version`.

    Columns of text formats are strings, exactly as in the file; a line that does not fit the header is kept whole
    in `_corrupt`.
    """
    paths = [unquote(f.path) if f.path.startswith("file:") else f.path for f in files]  # as_uri quotes, Hadoop does not
    reader = spark.read.format(format_).options(**options)
    if format_ in TEXT_FORMATS:
        reader = reader.option("header", options.get("header", "true")).option("inferSchema", "false")
        header = reader.load(paths[0]).columns
        _same_header(reader, header, paths)
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


def _same_header(reader: Any, header: list[str], paths: list[str]) -> None:
    for path in paths[1:]:
        other = reader.load(path).columns
        if other != header:
            extra, missing = sorted(set(other) - set(header)), sorted(set(header) - set(other))
            raise DataError(
                f"{path} has other columns than {paths[0]}: additional {extra}, missing {missing}"
                f"{'' if extra or missing else ', in another order'}; files of one source have the same columns"
            )
