"""Table `runs`: one row per step and run, an index that could be rebuilt from the tables' commits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace.runtime.step import Output, Step

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from headrace.runtime.tables import Tables

SCHEMA = (
    "run_id string, pipeline string, stage string, step string, status string, started_at timestamp, seconds double, "
    "rows_in bigint, rows_out bigint, input_versions string, output_versions string, fingerprint string, error string, "
    "overrides string"
)

ERROR = 1000
"""Characters of an error that the commit of `runs` carries; the table has it whole."""


@dataclass
class Record:
    """One step of one run."""

    run_id: str
    pipeline: str
    stage: str
    step: str
    fingerprint: str
    started_at: datetime
    status: str = "running"
    seconds: float = 0.0
    rows_in: int | None = None
    rows_out: int | None = None
    input_versions: dict[str, int] = field(default_factory=dict)
    output_versions: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    overrides: tuple[str, ...] = ()
    made_of: dict[str, Any] = field(default_factory=dict)
    written: bool = False

    @classmethod
    def start(cls, step: Step, fingerprint: str, run_id: str, pipeline: str, started_at: datetime) -> Record:
        """The record of a step that begins."""
        return cls(run_id, pipeline, step.stage, step.name, fingerprint, started_at)

    def end(self, status: str, seconds: float, error: str | None = None) -> None:
        """The step is over."""
        self.status, self.seconds, self.error = status, round(seconds, 3), error

    def brief(self) -> dict[str, Any]:
        """What the commit of `runs` carries of it, for who has no Spark; of a step without tables also its inputs,
        hashes and configuration."""
        found = {
            "step": self.step,
            "stage": self.stage,
            "status": self.status,
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "seconds": self.seconds,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "error": self.error and self.error[:ERROR],
            **({"overrides": self.overrides} if self.overrides else {}),
        }
        ended = self.made_of and self.status != "failed"
        return {**found, "inputs": self.input_versions, **self.made_of} if ended else found

    def row(self) -> tuple[Any, ...]:
        """As a row of `runs`."""
        return (
            self.run_id, self.pipeline, self.stage, self.step, self.status, self.started_at, self.seconds,
            self.rows_in, self.rows_out, json.dumps(self.input_versions), json.dumps(self.output_versions),
            self.fingerprint, self.error, json.dumps(self.overrides),
        )  # fmt: skip


def append_records(spark: SparkSession, tables: Tables, records: Sequence[Record]) -> None:
    """Append records to `runs`."""
    frame = spark.createDataFrame([r.row() for r in records], SCHEMA).coalesce(1)
    note = {"stage": "runs", "run_id": records[0].run_id, "steps": [r.brief() for r in records]}
    tables.write(Output("runs", frame, mode="append", merge_schema=True), note)
    for record in records:
        record.written = True
