"""Housekeeping of one table: small files are joined, files that no version in reach needs are deleted.

Neither changes a row: the table stays unchanged for all that is made of it (`runtime.commits.HOUSEKEEPING`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from headrace.runtime.comments import METADATA, lost_race
from headrace.runtime.session import task_slots
from headrace.runtime.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FEWEST_FILES = 8
SMALL = 32 * 1024 * 1024
"""Bytes per file, on average, below which files are joined."""

SHORTEST = timedelta(days=7)
"""Readers and writers that began before a VACUUM must find their files: Delta's own least retention."""

MARGIN = timedelta(hours=1)
_OURS = {
    "spark.databricks.delta.retentionDurationCheck.enabled": "false",
    "spark.databricks.delta.vacuum.retentionWindowIgnore.enabled": "false",
}
"""Delta refuses a retention shorter than the table's property, and takes the property in place of any: here it is decided."""


@dataclass(frozen=True)
class Joined:
    """What OPTIMIZE did, or would: files and bytes before, files after; None where only a run can tell."""

    files: int
    bytes: int
    into: int | None = None


@dataclass(frozen=True)
class Removed:
    """What VACUUM did, or would."""

    files: int
    bytes: int | None
    retention: timedelta


class Maintenance:
    """Housekeeping of the tables of one schema, in a session of its own.

    Args:
        spark: The session.
        tables: The tables.
        note: What its commits carry.
        dry_run: Only look.
    """

    def __init__(self, spark: SparkSession, tables: Tables, note: dict[str, Any], dry_run: bool) -> None:
        self._spark, self._tables, self._dry_run = spark.newSession(), tables, dry_run
        self._spark.conf.set("spark.sql.session.timeZone", "UTC")
        self._spark.conf.set(METADATA, json.dumps(note))
        for name, value in _OURS.items():
            self._spark.conf.set(name, value)
        # VACUUM lists a table's folders in as many tasks as this says: by default 10,000, for a table of three files too
        self._spark.conf.set("spark.sql.sources.parallelPartitionDiscovery.parallelism", 4 * task_slots(spark))

    def join_small_files(self, table: str, by: Sequence[str] = ()) -> Joined | None:
        """OPTIMIZE a table of many small files; None where it has none, or another writer was first.

        Args:
            table: The table.
            by: Columns by which its rows are laid out near each other (ZORDER), which writes all of them anew.
        """
        detail = self._sql(f"DESCRIBE DETAIL {self._name(table)}")
        files, size = int(detail["numFiles"]), int(detail["sizeInBytes"])
        small = files >= FEWEST_FILES and size / files < SMALL
        if not small and not (by and files > 1):
            return None
        if self._dry_run:
            return Joined(files, size)
        order = f" ZORDER BY ({', '.join(f'`{column}`' for column in by)})" if by else ""
        try:
            done = self._sql(f"OPTIMIZE {self._name(table)}{order}")["metrics"]
        except Exception as error:  # Delta's conflicts have no common base class
            if lost_race(error):
                return None
            raise
        into = files - int(done["numFilesRemoved"]) + int(done["numFilesAdded"])
        return Joined(files, size, into) if done["numFilesRemoved"] else None

    def remove_old_files(self, table: str, retention: timedelta | None, needed: int | None) -> Removed | None:
        """VACUUM: delete files that no version within the retention has; None where there is none.

        Args:
            table: The table.
            retention: How long a file stays after it left the table; None: as the table's property says.
            needed: The oldest version that must stay readable; None: no other than the newest.
        """
        kept = max(retention or self.retention(table), SHORTEST)
        age = self._age(table, needed)
        if age is not None:
            kept = max(kept, age + MARGIN)
            self._keep_log(table, age)
        hours = -int(-kept.total_seconds() // 3600)  # whole ones, rounded up
        vacuum = f"VACUUM {self._name(table)} RETAIN {hours} HOURS"
        found = [str(row[0]) for row in self._spark.sql(f"{vacuum} DRY RUN").collect()]  # Delta lists at most 1,000
        if not found:
            return None
        if self._dry_run:
            return Removed(len(found), self._size(found), timedelta(hours=hours))
        self._spark.sql(vacuum)
        told = self._told(table, "VACUUM START")
        count, size = told.get("numFilesToDelete", len(found)), told.get("sizeOfDataToDelete")
        return Removed(int(count), None if size is None else int(size), timedelta(hours=hours))

    def retention(self, table: str) -> timedelta:
        """The table's property `delta.deletedFileRetentionDuration`."""
        return _interval(self._properties(table).get("delta.deletedFileRetentionDuration"))

    def _properties(self, table: str) -> dict[str, str]:
        return dict(self._sql(f"DESCRIBE DETAIL {self._name(table)}")["properties"])

    def _age(self, table: str, needed: int | None) -> timedelta | None:
        """How long ago a version that is needed was the newest, at most; None where it is the newest still.

        Its files left the table with later commits; its own commit is older than all of them.
        """
        if needed is None or needed >= (self._tables.log.latest_version(table) or 0):
            return None
        if needed not in self._tables.log.versions(table):
            return timedelta(days=36_500)  # its commit is not in the log any more: delete nothing
        made = datetime.fromtimestamp(self._tables.log.commit(table, needed).timestamp / 1000, UTC)
        return datetime.now(UTC) - made

    def _keep_log(self, table: str, age: timedelta) -> None:
        """A version is readable as long as its commit is in the log: Delta deletes old ones by this property."""
        if self._dry_run or age > timedelta(days=10_000):
            return
        asked = _interval(self._properties(table).get("delta.logRetentionDuration"))
        if age * 2 > asked:
            days = (age * 2).days + 400
            self._spark.sql(
                f"ALTER TABLE {self._name(table)} SET TBLPROPERTIES ("
                f"'delta.logRetentionDuration' = 'interval {days} days', "
                f"'delta.deletedFileRetentionDuration' = 'interval {days} days')"
            )

    def _told(self, table: str, operation: str) -> dict[str, str]:
        """What Delta measured, if the operation is among the newest two commits (a VACUUM makes two)."""
        newest = self._spark.sql(f"DESCRIBE HISTORY {self._name(table)} LIMIT 2").collect()
        return next((dict(row["operationMetrics"] or {}) for row in newest if row["operation"] == operation), {})

    def _size(self, files: Sequence[str]) -> int:
        jvm: Any = self._spark.sparkContext._jvm
        conf = self._spark._jsparkSession.sessionState().newHadoopConf()
        paths = [jvm.org.apache.hadoop.fs.Path(file) for file in files]
        return sum(int(path.getFileSystem(conf).getFileStatus(path).getLen()) for path in paths)

    def _sql(self, text: str) -> dict[str, Any]:
        return self._spark.sql(text).collect()[0].asDict(recursive=True)  # one row

    def _name(self, table: str) -> str:
        return f"delta.`{self._tables.path(table)}`"


def _interval(text: str | None) -> timedelta:
    """A property of Delta, as `interval 400 days`; its default, a week, where it is not set or in other words."""
    words = (text or "").split()
    if len(words) == 3 and words[1].isdigit() and words[2].rstrip("s") in ("day", "hour", "week"):
        return timedelta(**{words[2].rstrip("s") + "s": int(words[1])})
    return SHORTEST
