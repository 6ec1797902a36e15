"""Rows of a DataFrame from a watermark on, whatever reader or function it comes from: read once, then looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import functions as F

from headrace.config.types import Source
from headrace.ingest.marks import Since, Span
from headrace.ingest.snapshots import Origin

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructField


@dataclass(frozen=True)
class Frame:
    """The rows of a source that may be new.

    They are computed once, when they are first looked at, and kept on disk: a source that changes meanwhile, or that
    is slow, is asked once.

    Attributes:
        source: As in the YAML.
        where: Its place there.
        origin: It in words.
        read: Its rows, columns named as in the tables.
        since: From where on they are wanted; None: from the first.
        withhold: What takes sensitive values out of rows; only what may land is ever on a disk.
        telling: Says in words what goes wrong when they are computed.
        open: Columns of numbers without declared digits, which come as text.
        facts: What the commit is to carry besides.
    """

    source: Source
    where: str
    origin: Origin
    read: DataFrame
    since: Since | None
    withhold: Callable[[DataFrame], DataFrame]
    telling: Callable[[], AbstractContextManager[Any]]
    open: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    _kept: list[DataFrame] = field(default_factory=list)

    def fields(self) -> dict[str, StructField]:
        """The columns, by their name in the tables."""
        return {one.name: one for one in self.read.schema}

    def open_numbers(self) -> list[str]:
        """Columns of numbers without declared digits, which come as text."""
        return list(self.open)

    def greatest(self, column: StructField) -> str | None:
        """The greatest value of a column as text."""
        found: Any = self._rows().agg(F.max(F.col(f"`{column.name}`")).cast("string"))
        with self.telling():
            return found.first()[0]

    def counts(self, column: StructField, since: str | None) -> tuple[int, int]:
        """How many rows have at least a value, and how many none."""
        value = F.col(f"`{column.name}`")
        after = value >= F.lit(since).cast(column.dataType) if since is not None else F.lit(False)
        found: Any = self._rows().agg(F.count(F.when(after, 1)), F.count(F.when(value.isNull(), 1))).first()
        return int(found[0]), int(found[1])

    def rows(self, span: Span | None, parallelism: int) -> DataFrame:
        """The rows of a range, or all; sensitive values withheld."""
        if span is None:
            return self._rows()
        value, kind = F.col(f"`{span.column.name}`"), span.column.dataType
        within = F.lit(False)
        if span.greatest is not None:
            within = value <= F.lit(span.greatest).cast(kind)
        if span.least is not None:
            within &= value >= F.lit(span.least).cast(kind)
        return self._rows().where(within | value.isNull())

    def _rows(self) -> DataFrame:
        if not self._kept:
            read = self.read if self.since is None else self.read.where(self.since.holds())
            self._kept.append(self.withhold(read).persist(StorageLevel.DISK_ONLY))
        return self._kept[0]

    def release(self) -> None:
        """Take them off the disks again."""
        for frame in self._kept:
            frame.unpersist()
