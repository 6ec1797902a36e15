"""Runs steps: pins their inputs, skips what is unchanged, writes what they return, and keeps the record.

Everything that surrounds a stage happens here, once, for all stages.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace.config import secrets
from headrace.config.texts import TableText, texts_of
from headrace.config.types import Environment, Pipeline
from headrace.errors import DataError
from headrace.runtime import hooks, settings
from headrace.runtime.carried import carried, ended, told
from headrace.runtime.code import code_hash
from headrace.runtime.commits import Commit
from headrace.runtime.home import places
from headrace.runtime.progress import Progress
from headrace.runtime.records import Record, append_records
from headrace.runtime.session import task_slots
from headrace.runtime.spark_errors import translated
from headrace.runtime.step import STAGES, Done, Output, Step
from headrace.runtime.step_run import StepRun
from headrace.runtime.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


FLUSH_EVERY = 30.0
"""Seconds after which finished steps are recorded in `runs`, while the job goes on."""


@dataclass(frozen=True)
class Options:
    """What the command line asks of a run.

    Attributes:
        force: None: nothing; "": every step; else the stage to run though unchanged.
        as_of: The logical now; None is the wall clock.
        since: Start of the window of `predict_at` to score, inclusive.
        until: Its end, exclusive.
        rescore: Add a revision where the result differs.
        sample: A share of the keys, as `5%`.
    """

    force: str | None = None
    as_of: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    rescore: bool = False
    sample: str | None = None


@dataclass
class Outcome:
    """What a run came to."""

    run_id: str
    pipeline: str
    records: list[Record] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)

    @property
    def refused(self) -> str | None:
        """Why a gate refused the model."""
        return next((d.refused for d in self.done if d.refused), None)


class Runner:
    """Runs steps in the order given."""

    def __init__(
        self,
        spark: SparkSession,
        pipeline: Pipeline,
        environment: Environment,
        options: Options,
        progress: Progress | None = None,
    ) -> None:
        self._spark, self._pipeline, self._options = spark, pipeline, options
        hooks.ready(spark, pipeline)
        self._places = places(pipeline, environment, options.sample)
        self._texts = texts_of(pipeline)
        self._settings = {s: pipeline.spark.of_stage(s) | environment.spark.of_stage(s) for s in STAGES}
        self.tables = Tables(spark, self._places.root, self._places.schema, self._places.elsewhere)
        self._progress = progress or Progress()
        self._as_of = options.as_of or datetime.now(UTC)
        self._run_id = run_id()
        self._flushed = time.monotonic()
        self._looked: set[str] = set()
        self.outcome = Outcome(self._run_id, self._places.schema)

    def run(self, steps: Sequence[Step]) -> Outcome:
        """Run the steps; the record of each is kept, also of one that fails."""
        for step in steps:
            self._one(step)
        self._flush()
        return self.outcome

    def again(self, step: Step) -> int:
        """Run a step as a run of its own: another id, the clock of now. For steps that are run without end.

        What has been recorded in `runs` is forgotten here.

        Returns:
            How many rows it has written.
        """
        self._as_of, self._run_id = self._options.as_of or datetime.now(UTC), run_id()
        self._one(step)
        self.outcome.done.clear()
        written = self.outcome.records[-1].rows_out
        self.outcome.records = [record for record in self.outcome.records if not record.written]
        return written or 0

    def close(self) -> None:
        """Write the records that are not written yet."""
        self._flush()

    def _one(self, step: Step) -> None:
        started, clock = datetime.now(UTC), time.monotonic()
        record = Record.start(step, "", self._run_id, self._places.schema, started)
        record.overrides = self._pipeline.overrides
        try:
            with self._progress.step(step.name):
                run = self._prepare(step)
                record.fingerprint = run.fingerprint
                if not step.outputs:  # no table of its own carries what the step was made of
                    record.made_of = {"hashes": run.note["hashes"], "config": carried(step.config)}
                record.input_versions = {t: c.version for t, c in run.pinned.items()}
                with settings.held(self._spark, self._settings[step.stage]):
                    earlier = self._earlier(step, run)
                    done = earlier or self._work(step, run, record)
                if earlier:
                    self._describe(step)
        except Exception as error:  # whatever broke a step is recorded, and raised in words
            problem = translated(error, step.name)
            record.end("failed", time.monotonic() - clock, error=secrets.redacted(str(problem)))
            self._close_failed(record)
            if problem is error:
                raise
            raise problem from (None if secrets.held_by(error) else error)
        record.end("unchanged" if earlier or done.unchanged else "done", time.monotonic() - clock)
        if earlier and not callable(earlier.rows_in):
            record.rows_in, record.rows_out = earlier.rows_in, earlier.rows_out
        self.outcome.done.append(done)
        self._close(record, done)

    def _close(self, record: Record, done: Done | None = None) -> None:
        self.outcome.records.append(record)
        self._progress.ended(record.step, record.status, record.seconds, record.rows_in, record.rows_out)
        for note in done.notes if done and record.status == "done" else ():
            self._progress.say(note)
        if time.monotonic() - self._flushed > FLUSH_EVERY:
            self._flush()

    def _close_failed(self, record: Record) -> None:
        try:
            self._close(record)
            self._flush()
        except Exception as lost:  # noqa: BLE001 (what broke the step may break this too; the first error is told)
            self._progress.say(f"the record of this failure could not be written: {type(lost).__name__}")

    def _flush(self) -> None:
        """Write the records not yet written."""
        self._flushed = time.monotonic()
        waiting = [r for r in self.outcome.records if not r.written]
        if waiting:
            append_records(self._spark, self.tables, waiting)

    def _prepare(self, step: Step) -> StepRun:
        pinned = {t: self.tables.last(t) for t in step.inputs}
        note = {
            "run_id": self._run_id,
            "stage": step.stage,
            "step": step.name,
            "inputs": {t: c.version for t, c in pinned.items()},
            "identities": {t: c.identity for t, c in pinned.items()},
            **({"overrides": self._pipeline.overrides} if self._pipeline.overrides else {}),
        }
        options = self._options
        run = StepRun(
            self._spark, self._pipeline, self._places.schema, self._run_id, "", self._as_of, options.since,
            options.until, options.rescore, options.sample, task_slots(self._spark), self._places.tracking_uri,
            self._places.schema, self.tables, pinned, note, self._progress, options.force in ("", step.stage),
        )  # fmt: skip
        parts = fingerprint_parts(step, {t: c.identity for t, c in pinned.items()}, self._spark.version, options)
        if step.state is not None:
            parts["state"] = step.state(run)
        note["hashes"] = {k: digest(v) for k, v in parts.items()}
        fingerprint = digest(parts)
        note["fingerprint"] = fingerprint
        return replace(run, fingerprint=fingerprint)

    def _earlier(self, step: Step, run: StepRun) -> Done | None:
        """What an earlier run with the same inputs, configuration and code left, or None."""
        if step.always or run.forced:
            return None
        if step.done is not None:
            return step.done(run)
        newest = ended([self.tables.log.last(t) for t in step.outputs])
        if newest is None or newest.note.get("fingerprint") != run.fingerprint or expired(newest, run.as_of):
            return None
        rows_in, rows_out = newest.note.get("rows") or (None, None)
        rows_out = newest.rows if rows_out is None else rows_out
        rows_in = rows_out if rows_in is None else rows_in
        return Done(metrics=newest.note.get("metrics", {}), rows_in=rows_in, rows_out=rows_out)

    def _text(self, output: Output) -> TableText:
        """What the YAML says of a table, otherwise what its stage says."""
        said = TableText(output.description or "", self._pipeline.owner or "", columns=dict(output.comments))
        return self._texts.get(output.table, said)

    def _describe(self, step: Step) -> None:
        """New words for a table whose rows stay as they are."""
        for table in step.outputs:
            if table in self._texts:
                self.tables.describe(table, self._texts[table])

    def _take_back(self, step: Step, run: StepRun) -> None:
        """Undo what killed runs had not verified. Once for a table: a stream that did so in each of its micro-batches
        would take a run beside it for dead again and again, and that one would never end."""
        for table in step.verified:
            if table in self._looked:
                continue
            self._looked.add(table)
            rows = self.tables.take_back(table)
            if rows is not None:
                run.say(f"{table}: a run was stopped before it had verified {rows:,} rows, which are made again")

    def _work(self, step: Step, run: StepRun, record: Record) -> Done:
        self._take_back(step, run)
        done = step.run(run)
        written = 0
        try:
            for output in done.outputs:
                last = output is done.outputs[-1]
                note = {**run.note, **(told(step, done) if last else {})}
                if not last or done.broken:
                    note["fingerprint"] = None
                try:
                    commit = self.tables.write(output, note, self._text(output))
                except Exception as error:
                    if not output.optional:
                        raise
                    run.say(
                        f"{output.table} could not be written: {secrets.redacted(str(error)).splitlines()[0][:300]}"
                    )
                    continue
                record.output_versions[output.table] = commit.version
                written = commit.rows or 0
        finally:
            if done.cleanup is not None:
                done.cleanup()
        record.rows_out = written if done.rows_out is None and done.outputs else done.rows_out
        rows_in = done.rows_in() if callable(done.rows_in) else done.rows_in
        record.rows_in = record.rows_out if rows_in is None else rows_in
        if done.broken:
            raise DataError(done.broken)
        return done


def run_id() -> str:
    """A name for a run: when it began, and what tells it from others of that second."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{hashlib.sha256(str(time.time_ns()).encode()).hexdigest()[:6]}"


def expired(commit: Commit, as_of: datetime) -> bool:
    """Whether more has become due or known since a commit, though no input has changed."""
    moment = commit.note.get("expires")
    return moment is not None and datetime.fromisoformat(moment) <= as_of


def digest(value: Any) -> str:
    """A short hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def fingerprint_parts(step: Step, inputs: dict[str, str], spark_version: str, options: Options) -> dict[str, Any]:
    """What decides whether a step is unchanged: inputs, configuration, code."""
    return {
        "inputs": inputs,
        "config": step.config,
        "code": [code_hash(*step.code), spark_version, *([step.hooks] if step.hooks else [])],
        "options": [options.as_of, options.sample]
        if step.stage not in ("ingest", "validate", "clean")
        else [options.sample],
    }
