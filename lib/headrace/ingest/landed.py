"""What has landed: of each file the newest version, and what is to be read now.

Its commits tell it (`index`); where they do not, it is read from the table's own rows, in which files that hold no row
have left nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pyspark.sql import functions as F

from headrace.ingest.files import SourceFile
from headrace.ingest.index import Index

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Mode = Literal["append", "snapshot", "upsert"]
FEW = 200
"""Names of files that a filter may list."""


@dataclass(frozen=True)
class Landed:
    """What a raw table holds of its source.

    Attributes:
        files: Version of each file that has landed, by path.
        emptied: Version of each file that had rows and now holds none, by path.
        corrupt: Version of each file that was left out because it cannot be read, by path.
        known: Whether the files were read as they would be read now; otherwise all is read anew.
        mode: How they were read; None: there is no table yet.
        gone: How many files had disappeared from the source when it was last looked at.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    emptied: Mapping[str, str] = field(default_factory=dict)
    corrupt: Mapping[str, str] = field(default_factory=dict)
    known: bool = False
    mode: str | None = None
    gone: int = 0

    def to_read(self, files: Sequence[SourceFile], mode: Mode) -> list[SourceFile]:
        """Of a snapshot all files, or none; otherwise those that are new or were replaced."""
        there = {**self.files, **self.emptied, **self.corrupt} if self.known else {}
        if mode == "snapshot":
            return [] if there == {f.path: f.version for f in files} else list(files)
        return [f for f in files if there.get(f.path) != f.version]

    def replaced(self, files: Sequence[SourceFile]) -> list[SourceFile]:
        """Of some files those of which an earlier version has landed."""
        return [f for f in files if f.path in self.files]

    def missing(self, files: Sequence[SourceFile]) -> list[str]:
        """Files that have landed and are no longer there, sorted."""
        return sorted(set(self.files) - {f.path for f in files})

    def still_empty(self, read: Sequence[SourceFile]) -> dict[str, str]:
        """The emptied files but for those that are read now."""
        now = {f.path for f in read}
        return {path: version for path, version in self.emptied.items() if path not in now}

    def still_corrupt(self, read: Sequence[SourceFile], there: Sequence[SourceFile]) -> dict[str, str]:
        """The corrupt files but for those that are read now, and those that are gone."""
        now, left = {f.path for f in read}, {f.path for f in there}
        return {path: version for path, version in self.corrupt.items() if path in left - now}


def landed(raw: DataFrame, facts: Mapping[str, Any], reading: Any, mode: Mode, index: Index | None) -> Landed:
    """Look up what a raw table holds. Without an index one row per file and batch reaches the driver.

    Args:
        raw: The rows that count.
        facts: What its newest commit carries.
        reading: How the source is read now (format, options).
        mode: How it is read now; of a snapshot only the newest batch counts.
        index: What its commits tell.
    """
    return Landed(
        files=index.files if index else _by_rows(raw, int(facts.get("batch", 0)) if mode == "snapshot" else None),
        emptied=facts.get("emptied", {}),
        corrupt=facts.get("corrupt", {}),
        known=facts.get("reading") == reading,
        mode=facts.get("mode"),
        gone=int(facts.get("gone", 0)),
    )


def _by_rows(raw: DataFrame, batch: int | None) -> dict[str, str]:
    """Of each file with rows, in a batch or in all of them, the newest version."""
    rows = raw if batch is None else raw.where(F.col("_batch") == batch)
    # a batch has one version of a file; max_by over text would sort all rows
    found = rows.select("_source", "_source_version", "_batch").distinct().collect()
    return {row["_source"]: row["_source_version"] for row in sorted(found, key=lambda row: row["_batch"])}


def holding(raw: DataFrame, files: Sequence[SourceFile]) -> list[SourceFile]:
    """Of some files those of which there are rows, of whatever version."""
    if not files:
        return []
    named = F.col("_source").isin([f.path for f in files]) if len(files) <= FEW else F.lit(True)
    found = {row["_source"] for row in raw.where(named).select("_source").distinct().toLocalIterator()}
    return [f for f in files if f.path in found]
