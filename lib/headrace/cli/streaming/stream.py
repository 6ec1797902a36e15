"""A stream of rows that are scored: a micro-batch is a run of one step; what is seen of it is one line."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace import flow
from headrace.cli.summary import looked_at
from headrace.config.streaming import Stream
from headrace.config.types import Environment, Pipeline
from headrace.errors import ConfigError
from headrace.models.store import CHAMPION, ModelStore
from headrace.runtime.home import places
from headrace.runtime.progress import Progress
from headrace.runtime.runner import Options, Outcome, Runner
from headrace.runtime.streams import claim, follow
from headrace.runtime.tables import LostRaceError, Tables
from headrace.scoring.stream import UNREAD, Tally

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from headrace.models.version import Version
    from headrace.runtime.step import Step

RACES = 5
"""How often a micro-batch is begun anew when other writers were first every time."""
HEARD = 20
"""What has been said so many lines ago is said again."""


def require(pipeline: Pipeline) -> Stream:
    """The pipeline's stream.

    Raises:
        ConfigError: If it has none.
    """
    if pipeline.scoring.stream is None:
        raise ConfigError(
            "the YAML has no scoring.stream, which says where rows come from; write scoring: {stream: {source: {format: "
            "delta, path: FOLDER}}}, or of Kafka format: kafka and options: {kafka.bootstrap.servers: HOST:9092, subscribe: "
            "TOPIC}"
        )
    return pipeline.scoring.stream


class _Quiet(Progress):
    """Steps without lines of their own, and news told once."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress.console)
        self._heard: deque[str] = deque(maxlen=HEARD)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        yield

    def ended(self, name: str, status: str, seconds: float, rows_in: int | None, rows_out: int | None) -> None:
        if status == "failed":
            super().ended(name, status, seconds, rows_in, rows_out)

    def say(self, text: str) -> None:
        if text not in self._heard:
            self._heard.append(text)
            super().say(text)


@dataclass
class Totals:
    """What became of all rows since the job began."""

    batches: int = 0
    rows_in: int = 0
    rows_out: int = 0
    unread: int = 0
    seconds: float = 0.0
    version: Version | None = None


class Scorer:
    """Scores what a stream brings.

    Args:
        spark: The session.
        pipeline: The configuration; it has a stream.
        environment: The overlay.
        progress: Where people look.
    """

    def __init__(self, spark: SparkSession, pipeline: Pipeline, environment: Environment, progress: Progress) -> None:
        self._spark, self._pipeline, self._environment = spark, pipeline, environment
        self._stream = require(pipeline)
        self._progress, self._quiet = progress, _Quiet(progress)
        self._places = places(pipeline, environment)
        self._runner: Runner | None = None
        self._started = time.monotonic()
        self.outcome = Outcome("", self._places.schema)
        self.totals = Totals()

    def run(self, when: str | None = None, stop: threading.Event | None = None) -> None:
        """Score until there is no more, or until it is to end.

        Args:
            when: The trigger; None: as in the YAML.
            stop: Set when it shall end after the micro-batch under way.

        Raises:
            HeadraceError: If it cannot begin, or go on.
        """
        when = when or self._stream.trigger
        tables = Tables(self._spark, self._places.root, self._places.schema, self._places.elsewhere)
        self._champion()
        arriving = flow.streamed(self._spark, self._pipeline, tables)
        checkpoint = self._stream.checkpoint or f"{self._places.root}/_stream"
        claim(self._spark, checkpoint, {**arriving.origin, "pipeline": self._places.schema})
        self._progress.heading(f"{self._places.schema}: stream from {arriving.origin['name']} ({when})")
        try:
            follow(arriving.frame, self._batch, checkpoint, when, stop or threading.Event())
        finally:
            if self._runner:
                self._runner.close()

    def _champion(self) -> None:
        wanted, store = self._pipeline.scoring.model, ModelStore(self._places.tracking_uri)
        name = self._places.schema
        if (store.alias(name) if wanted == CHAMPION else store.resolve(name, wanted)) is None:
            raise ConfigError(
                f"no version of {name} is champion, so nothing can be scored; train one first (jobs/train.py), or make one "
                "champion (headrace promote)"
            )

    def _batch(self, rows: DataFrame, number: int) -> None:
        """Score a micro-batch; the champion of now does."""
        started, tally = time.monotonic(), Tally()
        if self._runner is None:  # in the session that Spark made for the query
            self._runner = Runner(rows.sparkSession, self._pipeline, self._environment, Options(), self._quiet)
            self.outcome.run_id, self._runner.outcome = self._runner.outcome.run_id, self.outcome
        step = flow.stream_step(self._pipeline, rows, tally)
        written = self._written(self._runner, step)
        self._add(tally, written, time.monotonic() - started)
        self._progress.say(_line(number, tally, written, time.monotonic() - started))

    def _written(self, runner: Runner, step: Step) -> int:
        """Run the step; how many predictions it has written."""
        for attempt in range(RACES):
            try:
                return runner.again(step)
            except LostRaceError:
                if attempt == RACES - 1:
                    raise
                self._quiet.say("another run writes the predictions; the micro-batch is begun anew")
        raise AssertionError("unreachable")

    def _add(self, tally: Tally, written: int, seconds: float) -> None:
        total = self.totals
        total.batches += 1
        total.rows_in += tally.came
        total.rows_out += written
        total.unread += tally.unread
        total.seconds += seconds
        total.version = tally.version or total.version

    def summary(self) -> dict[str, Any]:
        """The JSON of `--summary`."""
        total, version = self.totals, self.totals.version
        return {
            "run_id": self.outcome.run_id,
            "pipeline": self._places.schema,
            "stages": [
                {
                    "name": "stream",
                    "seconds": round(total.seconds, 3),
                    "rows_in": total.rows_in,
                    "rows_out": total.rows_out,
                }
            ],
            "batches": total.batches,
            "unread": total.unread,
            "model": {"name": version.name, "version": version.number} if version else None,
        }

    def close(self) -> None:
        """The lines at the end."""
        total = self.totals
        self._progress.heading(f"done in {time.monotonic() - self._started:.0f} s ({total.batches:,} micro-batches)")
        self._progress.say(
            f"{total.rows_in:,} rows in, {total.rows_out:,} predictions written, {total.unread:,} unread"
        )
        if total.unread:
            self._progress.say(
                f"the unread ones, with their reasons: {self._places.schema}.{self._pipeline.scoring.output}{UNREAD}"
            )
        looked_at(self._progress, f"select * from {self._places.schema}.{self._pipeline.scoring.output} limit 10")


def _line(number: int, tally: Tally, written: int, seconds: float) -> str:
    """What people see of a micro-batch."""
    told = [f"batch {number}: {tally.came:,} rows in", f"{written:,} scored"]
    known = tally.came - tally.unread - tally.asked
    told += [f"{known:,} known already"] if known else []
    told += [f"{tally.unread:,} unread"] if tally.unread else []
    told += [f"{tally.came / max(seconds, 1e-3):,.0f} rows/s"]
    if tally.newest is not None:
        told.append(f"lag {max(0.0, (datetime.now(UTC) - tally.newest).total_seconds()):,.1f} s")
    told += [f"version {tally.version.number}"] if tally.version else []
    return ", ".join(told)
