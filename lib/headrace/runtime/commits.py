"""What the Delta log says of a table: its commits, and what each of them carries.

Read as the files of Delta's published protocol (https://github.com/delta-io/delta/blob/master/PROTOCOL.md), so
that plans and status need no Spark; through Hadoop's file systems where the warehouse is not local.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HOUSEKEEPING = frozenset(
    {
        "OPTIMIZE",
        "VACUUM START",
        "VACUUM END",
        "SET TBLPROPERTIES",
        "UNSET TBLPROPERTIES",
        "CHANGE COLUMN",
        "CHANGE COLUMNS",
        "CLUSTER BY",
    }
)


@dataclass(frozen=True)
class Commit:
    """One commit of a table.

    Attributes:
        version: Delta's version.
        timestamp: Milliseconds since 1970, UTC.
        operation: As Delta names it.
        rows: Rows that Delta says it wrote.
        note: What Headrace wrote into it (`userMetadata`), empty for commits of others.
        whole: Whether the rows it wrote are all there are.
    """

    version: int
    timestamp: int
    operation: str
    rows: int | None
    note: dict[str, Any] = field(default_factory=dict)
    whole: bool = False

    @property
    def identity(self) -> str:
        """Tells one state of a table's rows from another, also when the table was made anew.

        A commit that adds nothing to the rows has the identity of the one before it.
        """
        return str(self.note.get("same_as") or f"{self.version}@{self.timestamp}")


class Files(Protocol):
    """The little that is needed of a file system."""

    def names(self, folder: str) -> list[str]:
        """Names in a folder; empty where there is none."""

    def text(self, path: str) -> str:
        """A file's text."""


class LocalFiles:
    """Files of this machine."""

    def names(self, folder: str) -> list[str]:
        """Names in a folder; empty where there is none."""
        path = Path(folder.removeprefix("file://"))
        return [p.name for p in path.iterdir()] if path.is_dir() else []

    def text(self, path: str) -> str:
        """A file's text."""
        return Path(path.removeprefix("file://")).read_text(encoding="utf-8")


class HadoopFiles:
    """Files anywhere that Spark can read: HDFS, S3."""

    def __init__(self, spark: SparkSession) -> None:
        self._jvm: Any = spark.sparkContext._jvm
        self._conf = spark._jsparkSession.sessionState().newHadoopConf()

    def names(self, folder: str) -> list[str]:
        """Names in a folder; empty where there is none."""
        path = self._jvm.org.apache.hadoop.fs.Path(folder)
        files = path.getFileSystem(self._conf)
        return [s.getPath().getName() for s in files.listStatus(path)] if files.exists(path) else []

    def text(self, path: str) -> str:
        """A file's text."""
        jpath = self._jvm.org.apache.hadoop.fs.Path(path)
        stream = jpath.getFileSystem(self._conf).open(jpath)
        try:
            return self._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")
        finally:
            stream.close()


def is_local(path: str) -> bool:
    """Whether a path is on this machine's file system."""
    return "://" not in path or path.startswith("file://")


def files_for(path: str, spark: SparkSession | None) -> Files:
    """The file system of a path."""
    if is_local(path) or spark is None:
        return LocalFiles()
    return HadoopFiles(spark)


class CommitLog:
    """The commits of the tables below a folder.

    Args:
        root: The folder.
        files: Its file system.
        elsewhere: The folders of tables that are not below it, by table.
    """

    def __init__(self, root: str, files: Files, elsewhere: Mapping[str, str] | None = None) -> None:
        self._root = root
        self._files = files
        self._elsewhere = dict(elsewhere or {})

    def folder(self, table: str) -> str:
        """A table's folder: below the root, but for tables that another pipeline makes."""
        return f"{self._elsewhere.get(table, self._root)}/{table}"

    def tables(self) -> list[str]:
        """Names of the tables there are."""
        return sorted(n for n in self._files.names(self._root) if self.latest_version(n) is not None)

    def versions(self, table: str) -> list[int]:
        """Versions whose commit is still in the log, ascending."""
        names = self._files.names(f"{self.folder(table)}/_delta_log")
        return sorted(int(n[:20]) for n in names if n.endswith(".json") and n[:20].isdigit() and len(n) == 25)

    def latest_version(self, table: str) -> int | None:
        """The newest version, of any operation."""
        versions = self.versions(table)
        return versions[-1] if versions else None

    def commit(self, table: str, version: int) -> Commit:
        """One commit."""
        text = self._files.text(f"{self.folder(table)}/_delta_log/{version:020d}.json")
        for line in text.splitlines():
            info = json.loads(line).get("commitInfo") if line.startswith('{"commitInfo"') else None
            if info:
                return _commit(version, info)
        return Commit(version, 0, "UNKNOWN", None)

    def newest_first(self, table: str) -> Iterator[Commit]:
        """Commits that changed data, newest first."""
        return (commit for commit in self._commits(table) if commit.operation not in HOUSEKEEPING)

    def _commits(self, table: str) -> Iterator[Commit]:
        return (self.commit(table, version) for version in reversed(self.versions(table)))

    def described(self, table: str) -> list[str | None]:
        """Digests of what the table's comment and properties say, and of what its columns' comments say.

        As the newest commit of Headrace carries them that wrote rows or changed these words.
        """
        return next((c.note["described"] for c in self._commits(table) if "described" in c.note), [None, None])

    def rows(self, table: str) -> int | None:
        """How many rows there are, added up from the commits; None after a DELETE, MERGE or RESTORE by hand."""
        total = 0
        for commit in self.newest_first(table):
            if commit.operation != "WRITE" or commit.rows is None:
                return None
            total += commit.rows
            if commit.whole or commit.version == 0:
                return total
        return None

    def metadata(self, table: str) -> dict[str, Any]:
        """The table's newest `metaData` of Delta's protocol: schema, description, properties; empty where it is not
        in the log any more."""
        for version in reversed(self.versions(table)):
            text = self._files.text(f"{self.folder(table)}/_delta_log/{version:020d}.json")
            for line in text.splitlines() if '{"metaData"' in text else ():
                if line.startswith('{"metaData"'):
                    return dict(json.loads(line)["metaData"])
        return {}

    def last(self, table: str, until: int | None = None) -> Commit | None:
        """The newest commit that changed data, carrying the note of the newest that Headrace made.

        After a DELETE by hand or a RESTORE the version is the true newest, and what Headrace knows of the table is
        what it last wrote. Such a commit ends no step: it has no fingerprint.

        Args:
            table: The table.
            until: The last version to look at; None: the newest.
        """
        newest: Commit | None = None
        for commit in self.newest_first(table):
            if until is not None and commit.version > until:
                continue
            newest = newest or commit
            if commit.note:
                other: dict[str, Any] = {"fingerprint": None, "hashes": {}, "same_as": None}
                return replace(newest, note=commit.note if commit is newest else {**commit.note, **other})
        return newest


def _commit(version: int, info: dict[str, Any]) -> Commit:
    try:
        note = json.loads(info.get("userMetadata") or "{}")
    except ValueError:  # somebody else's text
        note = {}
    rows = (info.get("operationMetrics") or {}).get("numOutputRows")
    return Commit(
        version=version,
        timestamp=int(info.get("timestamp", 0)),
        operation=str(info.get("operation", "UNKNOWN")),
        rows=None if rows is None else int(rows),
        note=note if isinstance(note, dict) and "headrace" in note else {},
        whole=(info.get("operationParameters") or {}).get("mode") == "Overwrite",
    )
