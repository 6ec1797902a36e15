"""A step's view of the run that it is part of: its inputs pinned, its own place in the schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace.config.types import Pipeline
from headrace.runtime.commits import Commit
from headrace.runtime.progress import Progress
from headrace.runtime.step import Output
from headrace.runtime.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class StepRun:
    """A step's view of the run (see `runtime.step.Run`)."""

    spark: SparkSession
    pipeline: Pipeline
    schema: str
    run_id: str
    fingerprint: str
    as_of: datetime
    since: datetime | None
    until: datetime | None
    rescore: bool
    sample: str | None
    parallelism: int
    tracking_uri: str
    model_name: str
    tables: Tables
    pinned: dict[str, Commit]
    note: dict[str, Any]
    progress: Progress
    forced: bool = False
    brought: DataFrame | None = None

    def read(self, table: str) -> DataFrame:
        """A table, at the version pinned for this step."""
        return self.tables.read(table, self._pin(table).version)

    def spine_rows(self, table: str) -> DataFrame:
        """Rows of the table that is the spine: all of them, or those that a stream has brought."""
        return self.read(table) if self.brought is None else self.brought

    def bringing(self, rows: DataFrame, as_of: datetime, since: datetime | None, until: datetime | None) -> StepRun:
        """The same run for rows that a stream has brought, in place of those of the spine's table."""
        return replace(self, brought=rows, as_of=as_of, since=since, until=until)

    def read_version(self, table: str, version: int) -> DataFrame:
        """A table, at a version."""
        return self.tables.read(table, version)

    def changes(self, table: str, since: int) -> tuple[DataFrame, DataFrame] | None:
        """The rows that went and those that came after a version, up to the pinned one."""
        return self.tables.changes(table, since, self._pin(table).version)

    def exists(self, table: str) -> bool:
        """Whether the table is there."""
        return table in self.pinned or self.tables.log.last(table) is not None

    def version(self, table: str) -> int:
        """The table's version pinned for this step."""
        return self._pin(table).version

    def identity(self, table: str, version: int | None = None) -> str:
        """Tells one state of the table's rows from another, as pinned for this step; or of a version."""
        commit = self._pin(table) if version is None else self.tables.log.last(table, until=version)
        return commit.identity if commit else ""

    def made_alike(self, table: str) -> bool:
        """Whether the table's newest rows were made by this step, of the same configuration and code."""
        before, now = self._pin(table).note, self.note
        alike = [before.get("hashes", {}).get(part) == now["hashes"][part] for part in ("config", "code")]
        return before.get("step") == now["step"] and all(alike)

    def only_added(self, table: str, since: int, until: int) -> bool:
        """Whether after one version, up to another, rows were only added."""
        return self.tables.log.only_added(table, since, until)

    def facts(self, table: str, version: int | None = None) -> dict[str, Any]:
        """What the commit of a version, by default the pinned one, carries."""
        commit = self._pin(table) if version is None else self.tables.log.last(table, until=version)
        return commit.note if commit else {}

    def history(self, table: str) -> Iterator[dict[str, Any]]:
        """What the commits of a table carry, the newest first; those of others are left out."""
        return (commit.note for commit in self.tables.log.newest_first(table) if commit.note)

    def append(self, table: str, frame: DataFrame) -> None:
        """Append rows at once, before the step ends."""
        output = Output(table, frame, mode="append", serializable=True, merge_schema=True)
        self.tables.write(output, {**self.note, "fingerprint": None, "hashes": {}})

    def say(self, text: str) -> None:
        """Progress within the step."""
        self.progress.say(text)

    def _pin(self, table: str) -> Commit:
        if table not in self.pinned:
            self.pinned[table] = self.tables.last(table)
        return self.pinned[table]
