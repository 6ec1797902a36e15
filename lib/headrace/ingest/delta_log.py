"""What the log of a Delta table that somebody else writes tells of its versions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from headrace.runtime.commits import CommitLog, files_for

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MOST_COMMITS = 1000
"""Beyond so many commits since the last run the whole table is read anew."""


@dataclass(frozen=True)
class Changes:
    """What the commits after a version did to the rows.

    Attributes:
        added: Files whose rows are new.
        rewritten: Whether rows were changed or deleted, or files have to be read as only Delta can.
        feed: Whether Delta kept the changed rows for each of the commits.
    """

    added: tuple[str, ...]
    rewritten: bool
    feed: bool


class DeltaLog:
    """A Delta table's log.

    Args:
        spark: The session.
        path: Its folder.
    """

    def __init__(self, spark: SparkSession, path: str) -> None:
        self._spark, self.path = spark, path.rstrip("/")
        self._folder, _, self._name = self.path.rpartition("/")
        self._files = files_for(path, spark)
        self._log = CommitLog(self._folder, self._files)

    def newest(self) -> tuple[int, int] | None:
        """The newest version that changed rows, and its time; None: there is no Delta table."""
        commit = next(self._log.newest_first(self._name), None)
        return (commit.version, commit.timestamp) if commit else None

    def changes(self, after: int, until: int) -> Changes | None:
        """What happened in between; None where the log does not tell any more."""
        wanted = range(after + 1, until + 1)
        if len(wanted) > MOST_COMMITS or not set(wanted) <= set(self._log.versions(self._name)):
            return None
        added: list[str] = []
        rewritten, feed = False, True
        for version in wanted:
            text = self._files.text(f"{self.path}/_delta_log/{version:020d}.json")
            for action in map(json.loads, filter(str.strip, text.splitlines())):
                add, remove = action.get("add"), action.get("remove")
                if add and add.get("dataChange"):
                    added.append(unquote(add["path"]))
                    rewritten |= bool(add.get("deletionVector"))
                rewritten |= bool(remove and remove.get("dataChange"))
                rewritten |= "metaData" in action or "protocol" in action  # columns, or how files are read
                feed &= "metaData" not in action
        return Changes(tuple(added), rewritten, feed and self.feeds())

    @cached_property
    def _metadata(self) -> dict[str, Any]:
        found = self._log.metadata(self._name)
        if found:
            return found
        # its commit was cleared; a checkpoint, which Delta reads, has it still
        detail: Any = self._spark.sql(f"DESCRIBE DETAIL delta.`{self.path.replace('`', '``')}`").first()
        return {"id": detail["id"], "configuration": dict(detail["properties"] or {})}

    @property
    def identity(self) -> str | None:
        """What a table has for its life; another one was made anew. None where the log does not tell any more."""
        return self._metadata.get("id")

    def _property(self, name: str) -> str:
        return str((self._metadata.get("configuration") or {}).get(name, "")).lower()

    def feeds(self) -> bool:
        """Whether Delta keeps changed rows."""
        return self._property("delta.enableChangeDataFeed") == "true"

    def plain(self) -> bool:
        """Whether the files hold the columns by their names."""
        return bool(self._metadata) and self._property("delta.columnMapping.mode") in ("", "none")
