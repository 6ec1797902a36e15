"""A Run on Delta folders, without the runner: what a room's step needs in a test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from headrace.config.types import Pipeline
from headrace.runtime.step import Done


class FakeRun:
    """One step's run; tables are folders below `home`."""

    def __init__(self, spark: SparkSession, home: Path, pipeline: Pipeline, tracking_uri: str, **changes: Any) -> None:
        self.spark, self.pipeline, self.home = spark, pipeline, home
        self.schema = self.model_name = changes.get("name", pipeline.pipeline)
        self.run_id = changes.get("run_id", "r1")
        self.fingerprint = changes.get("fingerprint", "f1")
        self.as_of, self.since, self.until = datetime.now(UTC), None, None
        self.parallelism, self.tracking_uri = 2, tracking_uri
        self.forced = changes.get("forced", False)
        self.said: list[str] = []

    def _path(self, table: str) -> str:
        return str(self.home / table)

    def read(self, table: str) -> DataFrame:
        return self.spark.read.format("delta").load(self._path(table))

    def spine_rows(self, table: str) -> DataFrame:
        return self.read(table)

    def exists(self, table: str) -> bool:
        return (self.home / table / "_delta_log").exists()

    def version(self, table: str) -> int:
        return len(list((self.home / table / "_delta_log").glob("*.json"))) - 1

    def read_version(self, table: str, version: int) -> DataFrame:
        return self.spark.read.format("delta").option("versionAsOf", version).load(self._path(table))

    def facts(self, table: str, version: int | None = None) -> dict[str, Any]:
        return json.loads((self.home / f"{table}.json").read_text())

    def append(self, table: str, frame: DataFrame) -> None:
        frame.coalesce(1).write.format("delta").mode("append").save(self._path(table))

    def say(self, text: str) -> None:
        self.said.append(text)

    def put(self, table: str, frame: DataFrame, facts: Mapping[str, Any], mode: str = "overwrite") -> None:
        """Write a table as the runner would."""
        frame.coalesce(1).write.format("delta").mode(mode).option("overwriteSchema", mode == "overwrite").save(
            self._path(table)
        )
        (self.home / f"{table}.json").write_text(json.dumps({"facts": dict(facts), "run_id": self.run_id}))

    def finish(self, done: Done) -> Done:
        """Write a step's outputs."""
        for output in done.outputs:
            frame = output.frame() if callable(output.frame) else output.frame
            self.put(output.table, frame, output.facts, "append" if output.mode == "append" else "overwrite")
        if done.cleanup:
            done.cleanup()
        return done
