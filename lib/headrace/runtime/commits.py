"""What the Delta log says of a table: its commits, and what each of them carries.

Read as the files of Delta's published protocol (https://github.com/delta-io/delta/blob/master/PROTOCOL.md), so
that plans and status need no Spark; through Hadoop's file systems where the warehouse is not local.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from headrace.runtime.merging import rows_written

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
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
        rows: Rows that Delta says it wrote; of a MERGE those it put in, changed or took out.
        note: What Headrace wrote into it (`userMetadata`), empty for commits of others.
        whole: Whether the rows it wrote are all there are.
        restored: Of a RESTORE the version whose rows are there again.
        restored_at: Of a RESTORE to a time, that time in milliseconds since 1970.
        grown: By how many rows it made the table longer, or how long it left it if `whole`; None where that is not said.
    """

    version: int
    timestamp: int
    operation: str
    rows: int | None
    note: dict[str, Any] = field(default_factory=dict)
    whole: bool = False
    restored: int | None = None
    restored_at: int | None = None
    grown: int | None = None

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


def is_local(path: str) -> bool:
    """Whether a path is on this machine's file system."""
    found = _SCHEME.match(path)
    return found is None or found[0] == "file:"


def files_for(path: str, spark: SparkSession | None) -> Files:
    """The file system of a path."""
    if is_local(path) or spark is None:
        return LocalFiles()
    from headrace.runtime.hadoop import HadoopFiles  # needs py4j

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

    def newest_first(self, table: str, until: int | None = None) -> Iterator[Commit]:
        """Commits that changed data, newest first; none of a later version than `until`."""
        return (commit for commit in self._commits(table, until) if commit.operation not in HOUSEKEEPING)

    def _commits(self, table: str, until: int | None = None) -> Iterator[Commit]:
        wanted = (v for v in reversed(self.versions(table)) if until is None or v <= until)
        return (self.commit(table, version) for version in wanted)

    def compacted(self, table: str, version: int) -> int:
        """The newest version with the same rows: OPTIMIZE lays them out anew, and a VACUUM may delete the old files."""
        for later in (v for v in self.versions(table) if v > version):
            if later != version + 1 or self.commit(table, later).operation not in HOUSEKEEPING:
                break
            version = later
        return version

    def only_added(self, table: str, since: int, until: int) -> bool:
        """Whether all that Headrace's own commits did after one version, up to another, is to add rows."""
        if since > until or since not in self.versions(table):
            return False
        between = takewhile(lambda c: c.version > since, self.newest_first(table, until))
        return all(c.note and c.operation == "WRITE" and not c.whole for c in between)

    def followed(self, table: str, since: int, until: int) -> bool:
        """Whether all commits after one version, up to another, are Headrace's own and say that they kept a change feed."""
        if since > until or since not in self.versions(table):
            return False
        between = takewhile(lambda c: c.version > since, self._commits(table, until))
        return all(c.note.get("followed") for c in between)

    def described(self, table: str) -> list[str | None]:
        """Digests of what the table's comment and properties say, and of what its columns' comments say.

        As the newest commit of Headrace carries them that wrote rows or changed these words.
        """
        return next((c.note["described"] for c in self._commits(table) if "described" in c.note), [None, None])

    def rows(self, table: str) -> int | None:
        """How many rows there are, added up from the commits; None after a DELETE or RESTORE by hand."""
        total = 0
        for commit in self.newest_first(table):
            if commit.grown is None:
                return None
            total += commit.grown
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

    def _restored(self, table: str, commit: Commit) -> int | None:
        """The version whose rows a RESTORE put back; None where it cannot be told."""
        if commit.restored is not None or commit.restored_at is None:
            return commit.restored
        older = (self.commit(table, version) for version in reversed(self.versions(table)) if version < commit.version)
        return next((c.version for c in older if c.timestamp <= commit.restored_at), None)

    def last(self, table: str, until: int | None = None) -> Commit | None:
        """The newest commit that changed data, carrying the note of the newest that Headrace made.

        After a DELETE by hand the version is the true newest, and what Headrace knows of the table is what it last
        wrote; after a RESTORE it is what it had written by the version that is there again, but for the number of
        the last transaction, which is used up. Such a commit ends no step: it has no fingerprint.

        Args:
            table: The table.
            until: The last version to look at; None: the newest.
        """
        newest: Commit | None = None
        ours: Commit | None = None
        for commit in self.newest_first(table, until):
            there = until is None or commit.version <= until
            newest = newest or (commit if there else None)
            ours = ours or (commit if newest and commit.note else None)
            if there and commit.note:
                return _with_note_of(newest or commit, commit, ours or commit)
            if there and commit.operation == "RESTORE":
                until = self._restored(table, commit)
        return _with_note_of(newest, ours, ours) if newest and ours else newest


def _milliseconds(text: str | None) -> int | None:
    """A time as Delta writes it into a commit, in UTC as all sessions of Headrace."""
    try:
        moment = datetime.fromisoformat(str(text).strip())
    except ValueError:
        return None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _with_note_of(newest: Commit, known: Commit, last: Commit) -> Commit:
    if known is newest:
        return newest
    others: dict[str, Any] = {"fingerprint": None, "hashes": {}, "same_as": None}
    return replace(newest, note={**known.note, **others, "txn": last.note.get("txn", 0)})


def _commit(version: int, info: dict[str, Any]) -> Commit:
    try:
        note = json.loads(info.get("userMetadata") or "{}")
    except ValueError:  # somebody else's text
        note = {}
    operation, parameters = str(info.get("operation", "UNKNOWN")), info.get("operationParameters") or {}
    rows, grown = rows_written(operation, info.get("operationMetrics") or {})
    return Commit(
        version=version,
        timestamp=int(info.get("timestamp", 0)),
        operation=operation,
        rows=rows,
        note=note if isinstance(note, dict) and "headrace" in note else {},
        whole=parameters.get("mode") == "Overwrite",
        grown=grown,
        restored=int(back) if operation == "RESTORE" and (back := str(parameters.get("version"))).isdigit() else None,
        restored_at=_milliseconds(parameters.get("timestamp")) if operation == "RESTORE" else None,
    )
