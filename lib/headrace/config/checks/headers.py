"""The columns of a source, where a local file tells them at once: the header of a CSV, the footer of a Parquet file.

Read as ingest reads them. Where that is not sure (a bucket, an option that changes what the header means, a file that
cannot be read) nothing is known, and nothing is said.
"""

from __future__ import annotations

import csv
import glob
import gzip
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from headrace.config.names import column_names
from headrace.config.types import Source
from headrace.examples import PREFIX, opened

_HEADER_OPTIONS = {"sep", "delimiter", "quote", "encoding", "charset", "header", "nullvalue", "comment", "escape"}
_HARMLESS = {
    "inferschema", "mode", "nanvalue", "positiveinf", "negativeinf", "dateformat", "timestampformat", "emptyvalue",
    "timestampntzformat", "locale", "ignoreleadingwhitespace", "ignoretrailingwhitespace", "maxcharspercolumn",
    "maxcolumns", "samplingratio", "columnnameofcorruptrecord", "multiline", "unescapedquotehandling",
}  # fmt: skip
_PACKED = (".bz2", ".deflate", ".snappy", ".lz4", ".zst", ".zstd", ".xz")
_LONGEST = 1_000_000
_MOST_FILES = 10_000


def source_columns(source: Source) -> tuple[str, ...] | None:
    """Names of a source's columns, as they are called in the tables.

    Returns:
        The names, or None where they cannot be known at once.
    """
    kind = source.format.lower()
    if kind not in ("csv", "parquet") or source.on_drift != "fail":  # other files may have other columns
        return None
    try:
        found = _csv_header(source) if kind == "csv" else _parquet_footer(source.path)
    except (OSError, ValueError, LookupError, csv.Error):
        return None  # the file is for the job to complain of
    return tuple(column_names(found)) if found else None


def _csv_header(source: Source) -> list[str] | None:
    options = {str(name).lower(): str(value) for name, value in source.options.items()}
    separator = options.get("sep", options.get("delimiter", ",")).replace("\\t", "\t")
    quote, comment = options.get("quote", '"'), options.get("comment", "")
    if set(options) - _HEADER_OPTIONS - _HARMLESS or len(separator) != 1 or len(quote) != 1:
        return None
    encoding = options.get("encoding", options.get("charset", "utf-8"))
    line = _first_line(source.path, "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding, comment)
    escape = options.get("escape", '"')  # as ingest reads them
    if line is None or (escape != quote and escape in line) or line.count(quote) % 2:
        return None
    names = next(csv.reader([line], delimiter=separator, quotechar=quote))
    if options.get("header", "true").lower() != "true":
        return [f"_c{i}" for i in range(len(names))]
    return _as_spark_names(names, options.get("nullvalue", ""))


def _as_spark_names(names: list[str], null: str) -> list[str]:
    """Spark numbers columns without a name, and those whose name stands twice."""
    lowered = [name.lower() for name in names]
    twice = {name for name in lowered if lowered.count(name) > 1}
    return [
        f"_c{i}" if not name or name == null else f"{name}{i}" if name.lower() in twice else name
        for i, name in enumerate(names)
    ]


def _first_line(path: str, encoding: str, comment: str) -> str | None:
    """The first line that is neither blank nor a comment."""
    raw = _opened(path)
    if raw is None:
        return None
    with raw, io.TextIOWrapper(raw, encoding=encoding, newline=None) as text:
        while line := text.readline(_LONGEST):
            if len(line) >= _LONGEST or "\0" in line:
                return None
            if line.strip() and not (comment and line.startswith(comment)):
                return line.rstrip("\n")
    return None


def _opened(path: str) -> IO[bytes] | None:
    if path.startswith(PREFIX):
        return opened(path)
    file = _first_file(path)
    if file is None or file.endswith(_PACKED):
        return None
    return gzip.open(file, "rb") if file.endswith(".gz") else open(file, "rb")  # type: ignore[return-value]


def _parquet_footer(path: str) -> list[str] | None:
    file = _first_file(path)
    if file is None:
        return None
    from pyarrow.lib import ArrowException
    from pyarrow.parquet import read_schema

    try:
        return [str(name) for name in read_schema(file).names]
    except ArrowException:
        return None


def _first_file(path: str) -> str | None:
    """The first file, as ingest sorts them, of a local file, folder or glob; none that would wait (a pipe)."""
    path = path.removeprefix("file://")
    if "://" in path or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", path):
        return None
    if os.path.isfile(path):
        return path
    files: list[str] = []
    for match in glob.iglob(path):
        for file in _files(Path(match)):
            files.append(file)
            if len(files) > _MOST_FILES:
                return None
    first = min(files, key=lambda file: Path(file).absolute().as_uri(), default=None)
    return None if first is None or "=" in first else first


def _files(path: Path) -> Iterator[str]:
    if path.is_file():
        yield str(path)
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not hidden(name)]
        for name in names:
            if not hidden(name) and os.path.isfile(os.path.join(folder, name)):
                yield os.path.join(folder, name)


def hidden(name: str) -> bool:
    """Whether a writer hides a file or folder, as Spark tells it: unfinished, or about other files."""
    return name.startswith(".") or name.endswith("._COPYING_") or (name.startswith("_") and "=" not in name)
