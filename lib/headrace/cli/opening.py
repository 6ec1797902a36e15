"""A file, folder or glob as ingest would read it: its format, its separator, its columns."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from headrace.cli.facts import Read
from headrace.config.complaints import meant
from headrace.errors import ConfigError, DataError
from headrace.examples import unpacked
from headrace.ingest.files import CORRUPT, column_names, listed, rows
from headrace.runtime.home import home

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
}


def opened(spark: SparkSession, data: str) -> tuple[Read, DataFrame, dict[str, str]]:
    """The data as ingest would read them.

    Returns:
        How they are read; the rows, all plain values as text; and each column's name -> as written in the file.
    """
    path = unpacked(data, Path(home()) / "examples")
    files = listed(spark, path)
    # the reader takes paths as they are, not as URIs: `my file.csv`, not `my%20file.csv`
    files = [replace(file, path=unquote(file.path)) if file.path.startswith("file:") else file for file in files]
    read = Read(_format(path, [file.path for file in files]))
    if read.format == "csv":
        separator = _separator(spark, files[0].path)
        read = Read("csv", {} if separator == "," else {"sep": separator})
    if not sum(file.size for file in files):
        raise DataError(f"{data} is empty; there is nothing to learn from")
    frame = rows(spark, read.format, read.options, files)
    technical = (CORRUPT, "_source", "_source_version")
    frame = frame.select(*[c for c in frame.columns if c not in technical])
    if read.format == "csv":
        original = spark.read.options(header="true", **read.options).csv(files[0].path).columns
    else:
        original = [c for c in spark.read.format(read.format).load([f.path for f in files]).columns if c != CORRUPT]
    return read, frame, dict(zip(column_names(original), original, strict=True))


def _format(path: str, files: list[str]) -> str:
    names = [path, *files]
    for name in names:
        suffixes = [part.lower() for part in Path(name).name.split(".")[1:] if part.lower() not in ("gz", "bz2", "zst")]
        if suffixes and suffixes[-1] in FORMATS:
            return FORMATS[suffixes[-1]]
    raise ConfigError(f"{path}: its format cannot be told; files end in one of {', '.join(FORMATS)}")


def _separator(spark: SparkSession, file: str) -> str:
    """The separator that splits the first lines into the same number of parts, and most of them."""
    lines = [row.value for row in spark.read.text(file).limit(5).collect() if row.value.strip()]
    counts = {mark: [re.sub(r'"[^"]*"', "", line).count(mark) for line in lines] for mark in SEPARATORS}
    steady = {mark: found[0] for mark, found in counts.items() if found and min(found) == found[0] > 0}
    return max(steady, key=lambda mark: steady[mark]) if steady else ","


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
