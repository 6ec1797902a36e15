"""Runs steps of a pipeline inside the test's own session."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from headrace import flow
from headrace.config.reading import read_pipeline
from headrace.runtime.progress import Progress
from headrace.runtime.runner import Options, Outcome, Runner


class Project:
    """A scratch project: its YAML, its home, and runs of it.

    Args:
        spark: The session.
        folder: Scratch folder.
        monkeypatch: Sets `HEADRACE_HOME`.
    """

    def __init__(self, spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spark, self.folder = spark, folder
        monkeypatch.setenv("HEADRACE_HOME", str(folder / "home"))
        monkeypatch.chdir(folder)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run(
        self,
        yaml: str,
        to: str = "clean",
        only: str | None = None,
        options: Options | None = None,
        select: str | None = None,
    ) -> Outcome:
        pipeline, environment = read_pipeline(self.write("pipeline.yaml", yaml))
        self.pipeline = pipeline
        steps = flow.chosen(flow.steps(pipeline), only=only, to=None if only else to, select=select)
        runner = Runner(self.spark, pipeline, environment, options or Options(), Progress())
        return runner.run(steps)

    def table(self, name: str) -> DataFrame:
        return self.spark.read.format("delta").load(
            str(self.folder / "home" / "warehouse" / self.pipeline.pipeline / name)
        )

    def rows(self, name: str, *columns: str) -> list[tuple]:
        return sorted((tuple(r) for r in self.table(name).select(*columns).collect()), key=repr)


def statuses(outcome: Outcome) -> dict[str, str]:
    """Status per step."""
    return {r.step: r.status for r in outcome.records}
