"""The rows of files as they stand, in the columns that a source is known to have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING
from urllib.parse import unquote

from headrace.ingest.aligning import folder_columns, group_columns, group_rows
from headrace.ingest.drift import Columns, Difference, agreed, difference
from headrace.ingest.files import SourceFile
from headrace.ingest.looks import PACKED, wrong_texts
from headrace.ingest.schemas import BY_VALUE, COLUMNAR, CorruptFilesError, Group, groups

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType

MOST_CORRUPT = 100
"""Corrupt files that are left out of one reading; beyond, something else is wrong."""

_UNREADABLE = re.compile(r"FAILED_READ_FILE.*?(?:reading file|file) +([^\s]+)", re.S)


@dataclass(frozen=True)
class How:
    """How files are read.

    Attributes:
        format: Spark's name of it.
        options: Of Spark's reader.
        on_drift: `fail`, `evolve` or `rescue`.
        on_corrupt: `fail` or `skip`.
        known: The columns of what landed before, with their types; None: the first file tells.
    """

    format: str
    options: Mapping[str, str]
    on_drift: str = "fail"
    on_corrupt: str = "fail"
    known: Columns | None = None


@dataclass(frozen=True)
class Read:
    """What was read.

    Attributes:
        frame: The rows, with `_source` and `_source_version`; None where there is not even a header.
        columns: The source's columns with their types, also those that are known and that no file has now.
        folders: Those of them that come from the names of folders.
        corrupt: Files left out, with the reason, by path.
        drift: What differed from what is known, by file.
    """

    frame: DataFrame | None
    columns: Columns = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    corrupt: Mapping[str, str] = field(default_factory=dict)
    drift: Mapping[str, Difference] = field(default_factory=dict)


def rows(spark: SparkSession, format_: str, options: Mapping[str, str], files: list[SourceFile]) -> DataFrame | None:
    """The rows of files as they stand, with `_source` and `_source_version`; None where not even a header is there.

    Raises:
        DataError: If files cannot be read, or differ in their columns.
    """
    return read(spark, How(format_, options), files).frame


def read(spark: SparkSession, how: How, files: list[SourceFile]) -> Read:
    """The rows of files.

    Columns of text formats are strings, exactly as in the file; a line that does not fit the header is kept whole
    in `_corrupt`. Folders `name=value` give text columns.

    Raises:
        DataError: If files cannot be read, or differ in their columns, and the policy is not to bear it.
    """
    corrupt = {
        f.path: "it has 0 bytes, where at least a header of its format is due" for f in files if _cut_off(how, f)
    }
    if corrupt and how.on_corrupt == "fail":
        raise CorruptFilesError(corrupt)
    while True:
        left = [f for f in files if f.size and f.path not in corrupt]
        try:
            found = _read(spark, how, left)
            if how.on_corrupt == "skip" and found.frame is not None:
                found.frame.write.format("noop").mode("overwrite").save()  # all of it, before any of it lands
            return replace(found, corrupt=corrupt)
        except CorruptFilesError as error:
            reasons = error.reasons
        except Exception as error:  # Spark's errors have no common base class; those of no file are raised again
            told = unreadable(error, left)
            if told is None:
                raise
            reasons = told
        corrupt |= reasons
        if how.on_corrupt == "fail" or len(corrupt) > MOST_CORRUPT:
            raise CorruptFilesError(corrupt)


def _cut_off(how: How, file: SourceFile) -> bool:
    """Whether a file has no byte though an empty one of its format has some: a broken upload, no file without rows."""
    return not file.size and (how.format in COLUMNAR or file.path.endswith(PACKED))


def unreadable(error: Exception, files: list[SourceFile]) -> dict[str, str] | None:
    """The file that an error of Spark's says it could not read, with the reason; None: the error is another."""
    text = str(error)
    found = _UNREADABLE.search(text)
    if found is None:
        return None
    name = unquote(found[1].rstrip(".,;'\""))
    bare = re.sub(r"^file:/*", "/", name)
    told = next((f.path for f in files if re.sub(r"^file:/*", "/", f.plain) == bare), None)
    causes = re.findall(r"Caused by: (?:[\w$]+\.)*([\w$]+: [^\n]{0,150})", text)
    return {told: causes[-1] if causes else "its content cannot be read"} if told else None


def _read(spark: SparkSession, how: How, files: list[SourceFile]) -> Read:
    if not files:
        return Read(None)
    wrong = wrong_texts(how.format, how.options, files)
    if wrong:
        raise CorruptFilesError(wrong)
    found = groups(spark, how.format, how.options, files)
    if not found:
        return Read(None)
    want, drift = _target(how, found)
    rescue = how.on_drift == "rescue"
    frames = [group_rows(spark, how.format, how.options, group, want, rescue) for group in found]
    frame = reduce(lambda one, other: one.unionByName(other), frames)
    folders = tuple(n for n in want if any(n in folder_columns(group) for group in found))
    return Read(frame, want, folders, drift=drift)


def _target(how: How, found: list[Group]) -> tuple[dict[str, DataType], dict[str, Difference]]:
    """The columns of all rows, and what differed from those known, by the first file of each group."""
    known, optional = how.known, how.format in BY_VALUE
    first = found[0].files[0].path
    want, before = (dict(known), "what landed before") if known is not None else (group_columns(found[0]), first)
    drift: dict[str, Difference] = {}
    for group in found:
        told = difference(group_columns(group), want, optional)
        if told:
            file = group.files[0].path
            want = agreed(how.on_drift, file, told, want, before)
            drift[file] = told
    return want, drift
