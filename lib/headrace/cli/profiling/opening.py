"""Data as ingest would read them: a file, folder or glob, a table, or what any of Spark's readers reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from headrace.cli.profiling.facts import Read, Request
from headrace.config import secrets
from headrace.config.file.complaints import meant
from headrace.config.names import column_names
from headrace.errors import ConfigError, DataError
from headrace.examples import unpacked
from headrace.ingest.files import SourceFile, listed
from headrace.ingest.reading import rows
from headrace.ingest.schemas import CORRUPT
from headrace.runtime.home import home
from headrace.sources import FILES, read

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SEPARATORS = (",", ";", "\t", "|")
FORMATS = {
    "csv": "csv",
    "tsv": "csv",
    "txt": "csv",
    "parquet": "parquet",
    "json": "json",
    "jsonl": "json",
    "ndjson": "json",
    "orc": "orc",
    "avro": "avro",
}
HEAD = 50
"""Lines that the dialect of a CSV is told by."""

_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?|\d{4}-\d\d-\d\d.*")
_TABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,2}")


class Opened(NamedTuple):
    """The data.

    Attributes:
        read: How they are read.
        frame: The rows; columns of CSV as text.
        written: Each column's name -> as written in the source.
    """

    read: Read
    frame: DataFrame
    written: dict[str, str]


def opened(spark: SparkSession, request: Request) -> Opened:
    """The data as ingest would read them.

    Raises:
        ConfigError: If there is no such file or table, or its format cannot be told.
        DataError: If there is not one byte.
    """
    if request.format and request.format.lower() not in FILES:
        return _by_reader(spark, request.format.lower(), request.options, request.data or None)
    path = unpacked(request.data, Path(home()) / "examples")
    if not request.format and _is_delta(spark, path):
        return _by_reader(spark, "delta", request.options, path)
    if not request.format and _TABLE.fullmatch(request.data) and not Path(path).exists():
        if spark.catalog.tableExists(request.data):
            return _by_reader(spark, "table", {}, request.data)
        if "." not in request.data or Path(request.data).suffix.lower()[1:] not in FORMATS:
            raise ConfigError(f"there is no file, folder or table {request.data!r}")
    return _files(spark, request, path)


def _files(spark: SparkSession, request: Request, path: str) -> Opened:
    files = listed(spark, path)
    if not sum(file.size for file in files):
        raise DataError(f"{request.data} is empty; there is nothing to learn from")
    files = [file for file in files if file.size]
    how = Read((request.format or _format(path, files)).lower(), dict(request.options))
    if how.format == "csv":
        how = _dialect(spark, files[0].literal, request.options)
    frame = rows(spark, how.format, secrets.revealed(how.options), files)
    if frame is None:
        raise DataError(f"{request.data} holds blank lines only; there is nothing to learn from")
    frame = frame.select(*[c for c in frame.columns if c not in (CORRUPT, "_source", "_source_version")])
    if how.format == "csv":
        options = {"header": "true", **how.options}
        original = spark.read.options(**options).csv(files[0].literal).columns
    else:
        reader = spark.read.format(how.format).options(**secrets.revealed(how.options))
        original = [c for c in reader.load([f.literal for f in files]).columns if c != CORRUPT]
    folders = {name: name for name in frame.columns}
    return Opened(how, frame, folders | dict(zip(column_names(original), original, strict=True)))


def _by_reader(spark: SparkSession, name: str, options: Mapping[str, str], path: str | None) -> Opened:
    return _named(Read(name, dict(options)), read(spark, name, path, **secrets.revealed(options)))


def _named(read: Read, frame: DataFrame) -> Opened:
    names = column_names(frame.columns)
    return Opened(read, frame.toDF(*names), dict(zip(names, frame.columns, strict=True)))


def _is_delta(spark: SparkSession, path: str) -> bool:
    if Path(path).is_dir():
        return Path(path, "_delta_log").is_dir()
    if "://" not in path or "*" in path:
        return False
    try:
        return bool(listed(spark, f"{path.rstrip('/')}/_delta_log"))
    except (ConfigError, DataError):
        return False


def _format(path: str, files: list[SourceFile]) -> str:
    for name in (path, *(file.path for file in files)):
        suffixes = [part.lower() for part in Path(name).name.split(".")[1:] if part.lower() not in ("gz", "bz2", "zst")]
        if suffixes and suffixes[-1] in FORMATS:
            return FORMATS[suffixes[-1]]
    raise ConfigError(
        f"{path}: its format cannot be told; files end in one of {', '.join(FORMATS)}. Otherwise say --format"
    )


def _dialect(spark: SparkSession, file: str, given: Mapping[str, str]) -> Read:
    """How a CSV is written, by its first lines; what the user says stands."""
    encoded = spark.read.options(**{k: v for k, v in given.items() if k == "encoding"})
    lines = [row.value for row in encoded.text(file).limit(HEAD).collect() if row.value.strip()]
    found: dict[str, tuple[str, str]] = {}
    separator = given.get("sep") or _separator(lines)
    if separator != ",":
        found["sep"] = (separator, "")
    if any("\ufffd" in line for line in lines):
        found["encoding"] = ("windows-1252", "its bytes are no UTF-8")
    if any(line.count('"') % 2 for line in lines):
        found["multiLine"] = ("true", "values with line breaks in quotes")
    if _bare([line.split(separator) for line in lines]):
        found["header"] = ("false", "the first line holds values, no names")
    options = {key: value for key, (value, _) in found.items()} | dict(given)
    return Read("csv", options, {key: why for key, (_, why) in found.items() if key not in given and why})


def _bare(lines: list[list[str]]) -> bool:
    """Whether the first line holds values: each column of numbers or days begins with one there."""
    cells = [[cell.strip().strip('"') for cell in line] for line in lines]
    values = [
        i for i in range(min(map(len, cells), default=0)) if all(_NUMBER.fullmatch(line[i]) for line in cells[1:])
    ]
    return len(cells) > 1 and bool(values) and all(_NUMBER.fullmatch(cells[0][i]) for i in values)


def _separator(lines: list[str]) -> str:
    """The separator that splits the first lines into the same number of parts, and most of them."""
    counts = {mark: [re.sub(r'"[^"]*"', "", line).count(mark) for line in lines[:10]] for mark in SEPARATORS}
    steady = {mark: found[0] for mark, found in counts.items() if found and min(found) == max(found) > 0}
    often = {mark: found[0] for mark, found in counts.items() if found and min(found) == found[0] > 0}
    return max(steady or often or {",": 1}, key=lambda mark: (steady or often or {",": 1})[mark])


def column_named(name: str, flag: str, written: dict[str, str]) -> str:
    """A column as the user names it: as in the file, or as it will be called, without regard to case.

    Raises:
        ConfigError: If there is none; lists them.
    """
    for known, original in written.items():
        if name.strip().lower() in (known, original.strip().lower()):
            return known
    names = list(written.values())
    raise ConfigError(f"{flag} {name}: there is no such column; there are: {', '.join(names)}{meant(name, names)}")
