"""The only place that reads and writes tables.

Each write is one Delta commit that carries, in its transaction id, a number that makes a repeat a no-op, and in
its `userMetadata` what it was made of. Of two writers of the same number one loses, sees it, and tries again on
what the other left. Plain appends, in any order and by many (`runs`), have no number: Delta needs three Spark jobs
to look one up.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import functions as F

from headrace.config.texts import TableText
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime.comments import alter, commented, digests, lost_race
from headrace.runtime.commits import Commit, CommitLog, files_for
from headrace.runtime.merging import merge
from headrace.runtime.settling import SETTLES, UNSETTLED, stands, taken_back, unsettled
from headrace.runtime.spark_errors import history_gone
from headrace.runtime.step import Output
from headrace.runtime.views import united

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ATTEMPTS = 5
FOLLOWED = {"delta.enableChangeDataFeed": "true", "delta.enableDeletionVectors": "true"}
"""A table that others follow is changed row by row: a MERGE marks the rows it replaces, and leaves their files as they are."""
FEED = ("_change_type", "_commit_version", "_commit_timestamp")
"""Columns of Delta's change data feed."""
RETENTION = {
    "delta.logRetentionDuration": "interval 400 days",
    "delta.deletedFileRetentionDuration": "interval 400 days",
}


class LostRaceError(HeadraceError):
    """Another run wrote the same table first."""


class Tables:
    """The tables of one schema.

    Args:
        spark: The session.
        root: The schema's folder.
        schema: The schema's name.
        elsewhere: The folders of tables that other pipelines make, by table: they are only read.
    """

    def __init__(self, spark: SparkSession, root: str, schema: str, elsewhere: Mapping[str, str] | None = None) -> None:
        self._spark = spark
        self._root = root
        self.schema = schema
        self.log = CommitLog(root, files_for(root, spark), elsewhere)

    def path(self, table: str) -> str:
        """Where a table's files are."""
        return self.log.folder(table)

    def read(self, table: str, version: int) -> DataFrame:
        """A table as it was at a version."""
        same = self.log.compacted(table, version)
        return self._spark.read.format("delta").option("versionAsOf", same).load(self.path(table))

    def changes(self, table: str, since: int, until: int) -> tuple[DataFrame, DataFrame] | None:
        """The rows that went and those that came after one version, up to another, by Delta's change data feed.

        Rows that came and went again are on both sides.

        Returns:
            None where the feed is not kept for one of these versions, or is seen to have lost files; if not, reading
            says so (`spark_errors.history_gone`).
        """
        if since > until:
            return None
        options = {"readChangeFeed": "true", "startingVersion": str(since + 1), "endingVersion": str(until)}
        try:
            feed = self._spark.read.format("delta").options(**options).load(self.path(table))
            if not self.log.followed(table, since, until):
                feed.isEmpty()  # whether the feed was kept is looked up as late as that
        except Exception as error:  # raised again, unless the history is gone
            if not isinstance(error, AnalysisException) and not history_gone(error):
                raise
            return None
        columns = [f"`{name}`" for name in feed.columns if name not in FEED]
        gone, come = ("delete", "update_preimage"), ("insert", "update_postimage")
        return tuple(feed.where(F.col(FEED[0]).isin(*kinds)).select(*columns) for kinds in (gone, come))  # type: ignore[return-value]

    def last(self, table: str) -> Commit:
        """The newest commit that changed data.

        Raises:
            ConfigError: If there is no such table.
        """
        commit = self.log.last(table)
        if commit is None and not self.path(table).startswith(f"{self._root}/"):
            raise ConfigError(f"{self.path(table)} is not there yet; run the pipeline that makes it first")
        if commit is None:
            raise ConfigError(
                f"table {self.schema}.{table} is not there yet; there are: {', '.join(self.log.tables()) or 'none'}. "
                "Run the stage that makes it first, or the whole pipeline (leave out --only, --from and --select)"
            )
        return commit

    def write(self, output: Output, note: Mapping[str, Any], text: TableText | None = None) -> Commit:
        """Write an output as one commit, and check it against what Delta says it wrote.

        Args:
            output: What to write, and how.
            note: What the commit shall carry.
            text: What the table and its columns mean; None: what was said of them stands.

        Raises:
            HeadraceError: If Delta wrote another number of rows than expected (the version is restored), or if
                other writers won every time.
        """
        said = {**note, "fingerprint": None, UNSETTLED: output.made} if output.verify else note
        for attempt in range(ATTEMPTS):
            try:
                commit = self._try_write(output, said, text or TableText())
            except (PySparkException, Py4JError) as error:
                if output.failed is None:
                    raise
                return self.write(output.failed(error), note, text)
            if commit is not None:
                self._check_rows(output, commit)
                if output.verify:
                    other = output.verify(commit.rows or 0)
                    if other is not None:
                        self._take_out(output, commit)
                        return self.write(other, note, text)
                    if not self._settle(output, commit, note):
                        return self.write(output, note, text)
                if text is not None:
                    alter(self._spark, self.path(output.table), text, commit.note["described"])
                self._register(output)
                return commit
            if output.mode == "overwrite" and attempt:
                break
        raise self._lost(output)

    def _settle(self, output: Output, commit: Commit, note: Mapping[str, Any]) -> bool:
        """Say of what was written and verified that it stands: a commit without rows. False: another run took it back."""
        rows = [(note.get("rows") or [None])[0], commit.rows]
        told = {**note, SETTLES: [commit.version], "rows": rows}
        for _ in range(ATTEMPTS):
            newest = self.last(output.table)
            if not stands(self.log, output.table, commit):
                return False
            nothing = self.read(output.table, newest.version).limit(0)
            settling = replace(
                output, frame=nothing, mode="append", adds_nothing=True, serializable=True, verify=None,
                expect_rows=None, based_on=newest.version,
            )  # fmt: skip
            try:
                if self._try_write(settling, told, TableText()) is not None:
                    return True
            except LostRaceError:
                continue
        raise self._lost(output)

    def _take_out(self, output: Output, commit: Commit) -> None:
        """Take out the rows of a commit of this run."""
        for _ in range(ATTEMPTS):
            if not stands(self.log, output.table, commit) or self._taken_back(output.table, commit):
                return
        raise self._lost(output)

    def _taken_back(self, table: str, commit: Commit) -> bool:
        return taken_back(self._spark, self.log, f"headrace/{self.schema}/{table}", table, commit)

    def take_back(self, table: str) -> int | None:
        """Take out what runs wrote that were killed before they verified it; how many rows, None: there is no such run.

        Of two runs at the same time it may be the other's, who is just verifying: that one sees it, and writes again.
        """
        gone = [one for one in unsettled(self.log, table) if self._taken_back(table, one)]
        return sum(one.rows or 0 for one in gone) if gone else None

    def describe(self, table: str, text: TableText) -> None:
        """Make a table that is there say what it and its columns mean."""
        alter(self._spark, self.path(table), text, self.log.described(table))

    def _lost(self, output: Output) -> LostRaceError:
        return LostRaceError(
            f"another run is writing {self.schema}.{output.table}; this one gave way. Run it again when the other is done"
        )

    def _try_write(self, output: Output, note: Mapping[str, Any], text: TableText) -> Commit | None:
        """One attempt; None when another writer was first."""
        before = self.log.last(output.table)
        if output.based_on is not None and output.based_on != (before.version if before else -1):
            raise self._lost(output)
        number = int(before.note.get("txn", 0)) + 1 if before else 1
        counts = output.counts() if callable(output.counts) else output.counts
        token = uuid.uuid4().hex
        whole = output.mode == "overwrite" or before is None  # comments of columns go with the rows
        told = self.log.described(output.table) if before else [None, None]
        carried = {
            **note,
            "headrace": token,
            "txn": number,
            "counts": dict(counts),
            "facts": dict(output.facts),
            "described": [told[0], digests(text)[1] if whole else told[1]],
            **({"keys": list(output.keys)} if output.keys else {}),
            **({"views": dict(output.views)} if output.views else {}),
            **({"same_as": before.identity} if output.adds_nothing and before else {}),
        }
        frame = output.frame() if callable(output.frame) else output.frame
        carried["followed"] = _keeps_feed(frame, output) if whole else bool(before and before.note.get("followed"))
        if output.mode == "insert" and before is not None:
            frame = self._new_rows(frame, output, before.version)
        txn = (f"headrace/{self.schema}/{output.table}", number)
        try:
            if output.mode == "merge":
                merge(frame, self.path(output.table), output.keys, output.only, carried, txn, _expected(output))
            else:
                self._save(frame, output, carried, txn, text if whole else TableText())
        except Exception as error:  # Delta's conflicts have no common base class
            if lost_race(error):
                return None
            raise
        return self._ours(output.table, before, token)

    def _save(
        self, frame: DataFrame, output: Output, carried: Mapping[str, Any], txn: tuple[str, int], text: TableText
    ) -> None:
        frame = commented(frame, text.columns)
        writer = (
            frame.write.format("delta")
            .mode("overwrite" if output.mode == "overwrite" else "append")
            .option("userMetadata", json.dumps(carried, default=str))
            .options(**RETENTION)
        )
        if output.mode != "append" or output.serializable:
            writer = writer.option("txnAppId", txn[0]).option("txnVersion", txn[1])
        if output.serializable:
            writer = writer.option("delta.isolationLevel", "Serializable")
        if _keeps_feed(frame, output):
            writer = writer.options(**FOLLOWED)
        if output.merge_schema:
            writer = writer.option("mergeSchema", "true")
        if output.mode == "overwrite":
            writer = writer.option("overwriteSchema", "true")
        writer.save(self.path(output.table))

    def _new_rows(self, frame: DataFrame, output: Output, version: int) -> DataFrame:
        there = self.read(output.table, version).alias("t")
        there = (there.where(output.only) if output.only else there).select(*output.keys)
        condition = [frame[k].eqNullSafe(there[k]) for k in output.keys]
        joined = condition[0]
        for part in condition[1:]:
            joined = joined & part
        return frame.join(there, joined, "left_anti")

    def _ours(self, table: str, before: Commit | None, token: str) -> Commit | None:
        for commit in self.log.newest_first(table):
            if before is not None and commit.version <= before.version:
                return None
            if commit.note.get("headrace") == token:
                return commit
        return None

    def _check_rows(self, output: Output, commit: Commit) -> None:
        expected = _expected(output)
        if expected is None or commit.rows == expected:
            return
        self._undo(output.table, commit.version)
        raise HeadraceError(
            f"{self.schema}.{output.table}: {expected:,} rows should have been written and {commit.rows or 0:,} were; "
            "the table is as it was before. No row may be lost silently: please report this with the pipeline's YAML"
        )

    def _register(self, output: Output) -> None:
        """In a metastore that others share, name the table; the catalogue in memory is filled by who asks."""
        if self._spark.conf.get("spark.sql.catalogImplementation") != "hive":
            return
        self._spark.sql(f"CREATE SCHEMA IF NOT EXISTS {self.schema} LOCATION '{self._root}'")
        # views may be made of others' tables, too: a run may have been killed before it named them
        named = self.log.tables() if output.views else [output.table]
        for table in named:
            self._spark.sql(
                f"CREATE TABLE IF NOT EXISTS {self.schema}.{table} USING delta LOCATION '{self.path(table)}'"
            )
        views = united(last.note.get("views", {}) for t in named if (last := self.log.last(t)))
        for name in output.views:
            sql = views[name].format(schema=self.schema)
            self._spark.sql(f"CREATE OR REPLACE VIEW {self.schema}.{name} AS {sql}")

    def _undo(self, table: str, version: int) -> None:
        newest = next(iter(self.log.newest_first(table)), None)
        if newest is not None and newest.version > version:
            raise HeadraceError(
                f"{self.schema}.{table}: version {version} has wrong rows, and others have written since; "
                f"look at it, and put it right with RESTORE TABLE"
            )
        if version > 0:
            self._spark.sql(f"RESTORE TABLE delta.`{self.path(table)}` TO VERSION AS OF {version - 1}")
            return
        jvm: Any = self._spark.sparkContext._jvm
        path = jvm.org.apache.hadoop.fs.Path(self.path(table))
        path.getFileSystem(self._spark._jsparkSession.sessionState().newHadoopConf()).delete(path, True)


def _keeps_feed(frame: DataFrame, output: Output) -> bool:
    """Whether a table that is written anew keeps a feed: Delta wants some names of columns for it."""
    return output.change_feed and not {column.lower() for column in frame.columns} & set(FEED)


def _expected(output: Output) -> int | None:
    return output.expect_rows() if callable(output.expect_rows) else output.expect_rows
