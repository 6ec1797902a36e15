"""A folder of Parquet as a sink: each delivery is written aside, appears by one rename, and is marked as whole at last.

Which version was sent last, its mark tells; a delivery without one is written again. Names with a leading underscore
are invisible to readers.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from headrace.errors import ConfigError, HeadraceError
from headrace.runtime.commits import files_for
from headrace.runtime.sinks.delivery import Delivery, Sent

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MARK = "_headrace.json"
ABANDONED = 7 * 24 * 3600
"""Seconds after which a folder of rows that were written aside is nobody's."""
_DELIVERY = re.compile(r"delivery=(\d+)")


class ParquetSink:
    """A folder that belongs to one sink.

    Args:
        spark: The session.
        where: Of the sink in the YAML, as `sinks.lake`.
        path: The folder, absolute or a URI.
        options: Of Spark's writer.
    """

    def __init__(self, spark: SparkSession, where: str, path: str, options: dict[str, str]) -> None:
        self._spark, self._where, self._options = spark, where, options
        self._path = path.rstrip("/")
        jvm: Any = spark.sparkContext._jvm
        self._make = jvm.org.apache.hadoop.fs.Path
        self._files = self._make(self._path).getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())

    def sent(self, sink: str) -> Sent | None:
        """What was sent last.

        Raises:
            ConfigError: If the folder holds something else.
        """
        names = self._names(self._path)
        strange = [n for n in names if not n.startswith(("_", ".")) and not _DELIVERY.fullmatch(n)]
        if strange:
            raise ConfigError(
                f"{self._where}: {self._path} holds {strange[0]} as well; give the sink a folder of its own"
            )
        there = [folder for folder in self._deliveries() if MARK in self._names(folder)]
        if not there:
            return None
        mark = json.loads(files_for(self._path, self._spark).text(f"{there[-1]}/{MARK}"))
        if mark["sink"] != sink:
            raise ConfigError(
                f"{self._where}: {self._path} belongs to the sink {mark['sink']}; give each a folder of its own"
            )
        return Sent(int(mark["version"]), mark["identity"])

    def deliver(self, rows: DataFrame, count: int, delivery: Delivery) -> None:
        """Write rows aside, and let them appear.

        Args:
            rows: The rows.
            count: How many there are.
            delivery: What they are; where it has no keys, earlier deliveries go as it comes.

        Raises:
            HeadraceError: If a rename is refused; readers see what they saw before, or nothing of the new rows.
        """
        for folder in self._deliveries():
            if MARK not in self._names(folder):  # of a run that was killed: its rows come again
                self._files.delete(self._make(folder), True)
        version = delivery.state.version
        aside, final = f"{self._path}/_staging-{delivery.run_id}", self._folder(version)
        self._forget_staged()
        rows.write.options(**self._options).mode("overwrite").parquet(aside)
        outdated = [] if delivery.keys else self._deliveries()
        for number, old in enumerate(outdated):  # hidden first: a reader never sees rows of two states
            self._rename(old, f"{self._path}/_old-{delivery.run_id}-{number}")
        self._rename(aside, final)
        mark = {
            "sink": delivery.sink,
            "version": version,
            "identity": delivery.state.identity,
            "run_id": delivery.run_id,
        }
        self._write(f"{final}/{MARK}", json.dumps({**mark, "rows": count}))
        self._refuse_cleared(final)
        for name in self._names(self._path):
            if name.startswith("_old-"):
                self._files.delete(self._make(f"{self._path}/{name}"), True)

    def _refuse_cleared(self, final: str) -> None:
        """A run that started meanwhile clears what has no mark yet: then the mark stands alone."""
        if not any(name.startswith("part-") for name in self._names(final)):
            self._files.delete(self._make(final), True)
            raise HeadraceError(
                f"{self._where}: another run has cleared {final} meanwhile; nothing was sent. Run again"
            )

    def _forget_staged(self) -> None:
        """Remove what killed runs left aside; what is younger may be of a run that is alive."""
        for name in self._names(self._path):
            staged = self._make(f"{self._path}/{name}")
            age = time.time() - self._files.getFileStatus(staged).getModificationTime() / 1000
            if name.startswith("_staging") and age > ABANDONED:
                self._files.delete(staged, True)

    def _deliveries(self) -> list[str]:
        """Folders of deliveries, in their order."""
        numbers = sorted(int(found[1]) for name in self._names(self._path) if (found := _DELIVERY.fullmatch(name)))
        return [self._folder(number) for number in numbers]

    def _names(self, folder: str) -> list[str]:
        return files_for(self._path, self._spark).names(folder)

    def _folder(self, version: int) -> str:
        return f"{self._path}/delivery={version}"

    def _rename(self, old: str, new: str) -> None:
        if self._files.exists(self._make(new)) or not self._files.rename(self._make(old), self._make(new)):
            raise HeadraceError(
                f"{self._where}: {old} could not become {new}, as when another run sends at the same time. Run again"
            )

    def _write(self, path: str, text: str) -> None:
        stream = self._files.create(self._make(path), True)
        try:
            stream.write(bytearray(text.encode()))
        finally:
            stream.close()
