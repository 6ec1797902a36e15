"""What a run would do: each step's decision, and why. Mirrors `runtime/runner.py`, and writes nothing.

Needs no Spark where the tables and the files of the sources are on this machine; what does need it raises
`NeedsSparkError`, and the caller asks again with a session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace.cli.planning.changes import Change, changes
from headrace.cli.planning.plans import Decision, NeedsSparkError, Plan, Planned, PlanRun
from headrace.cli.running import Request, asked_steps, check
from headrace.config.types import Environment, Pipeline
from headrace.errors import ConfigError, DataError, HeadraceError
from headrace.runtime.home import has_models

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from headrace.runtime.commits import Commit, CommitLog
    from headrace.runtime.home import Places
    from headrace.runtime.step import Step

    Commits = Mapping[str, Commit | None]

CHAMPION = "the champion"
WORDS = {
    "config": "its configuration changed",
    "code": "its code, or Spark's version, changed",
    "options": "--as-of or --sample differ from the last run's",
    "ingest": "its source changed",
    "register": "the champion was changed",
    "score": "the model to score with, or --since, --until, --rescore, are other ones",
}
"""Reasons by part of the fingerprint; what lies outside the tables by stage."""
OUTSIDE = "what lies outside its tables changed"

RECORDS = 200
"""Commits of `runs` that are looked at for a step that writes no table."""


def planned(
    pipeline: Pipeline,
    environment: Environment,
    request: Request | None = None,
    spark: SparkSession | None = None,
    config: str = "the pipeline",
) -> Plan:
    """Plan a run.

    Args:
        pipeline: The configuration.
        environment: The overlay.
        request: What is asked for; default: the whole pipeline.
        spark: A session, for tables and sources that are not on this machine.
        config: The file, for messages.

    Raises:
        ConfigError: For a stage or table that is not there.
        NeedsSparkError: If there is no session and one is needed.
    """
    from headrace.runtime.commits import CommitLog, files_for, is_local
    from headrace.runtime.home import places

    request = request or Request()
    check(request)
    steps = asked_steps(pipeline, request, config)
    where = places(pipeline, environment, request.sample)
    if spark is None and not is_local(where.warehouse):
        raise NeedsSparkError(f"the warehouse {where.warehouse} is not on this machine")
    planner = _Planner(
        pipeline, where, CommitLog(where.root, files_for(where.root, spark), where.elsewhere), request, spark
    )
    found = tuple(map(planner.step, steps))
    mistakes = tuple(dict.fromkeys(error.message for error in planner.mistakes))
    return Plan(where.schema, request.job, found, mistakes, planner.mistakes[0].exit_code if mistakes else 0)


class _Planner:
    """Goes through the steps and remembers what will be new for the next ones."""

    def __init__(
        self, pipeline: Pipeline, where: Places, log: CommitLog, asked: Request, spark: SparkSession | None
    ) -> None:
        from headrace.runtime.runner import Options

        self._pipeline, self._where, self._log, self._spark = pipeline, where, log, spark
        self._options = Options(asked.force, asked.as_of, asked.since, asked.until, asked.rescore, asked.sample)
        self._run = PlanRun(
            spark, log, pipeline, where.schema, asked.as_of or datetime.now(UTC), where.tracking_uri, asked.since,
            asked.until, asked.rescore, asked.sample,
        )  # fmt: skip
        self._new: dict[str, bool] = {}  # what steps before make anew: surely, or only perhaps
        self.mistakes: list[HeadraceError] = []

    def step(self, step: Step) -> Planned:
        """A step's decision, given those before it."""
        inputs, outputs = ({t: self._log.last(t) for t in tables} for tables in (step.inputs, step.outputs))
        before = self._before(step, outputs)
        changed = changes(before["config"], step.config) if before.get("config") is not None else ()
        state: Any = None
        try:
            self._refuse_absent(inputs)
            state = self._state(step)
            decision, reasons = self._decision(step, inputs, outputs, before, state)
        except (ConfigError, DataError) as error:  # what a run would stop at
            self.mistakes.append(error)
            decision, reasons = "stopped", [error.message]
        if decision != "unchanged":
            sure = decision == "run" and (step.stage != "ingest" or lands(outputs, changed, state))
            self._new |= {t: sure for t in step.outputs if decision != "stopped" or t not in self._new}
            if step.name == "register":
                self._new[CHAMPION] = False  # its gates decide
        versions = [{t: c.version if c else None for t, c in tables.items()} for tables in (inputs, outputs)]
        return Planned(step.stage, step.name, decision, tuple(reasons), changed, *versions)

    def _refuse_absent(self, inputs: Commits) -> None:
        absent = [t for t, c in inputs.items() if c is None and t not in self._new]
        if absent:
            one = len(absent) == 1
            raise ConfigError(f"{_are(absent)} not there yet; run the stage that makes {'it' if one else 'them'} first")

    def _before(self, step: Step, outputs: Commits) -> dict[str, Any]:
        """What the last run of a step was made of: `hashes, inputs, config, fingerprint`; empty where none is known."""
        from headrace.runtime.carried import unpacked

        if step.outputs:
            commit = outputs[step.outputs[-1]]
            found = dict(commit.note) if commit else {}
        else:
            found = next((s for s in self._records() if s["step"] == step.name and s.get("hashes")), {})
        return {**found, "config": unpacked(found.get("config"))} if found else {}

    def _records(self) -> Sequence[dict[str, Any]]:
        """Steps of earlier runs, the newest first, as the commits of `runs` carry them."""
        commits = zip(range(RECORDS), self._log.newest_first("runs"), strict=False)
        return [step for _, commit in commits for step in reversed(commit.note.get("steps", []))]

    def _state(self, step: Step) -> Any:
        """What lies outside the tables now; None where nothing does, or where a model is yet to come."""
        if step.state is None or (step.stage == "score" and not has_models(self._where.tracking_uri)):
            return None
        return step.state(self._run)  # type: ignore[arg-type]

    def _decision(
        self, step: Step, inputs: Commits, outputs: Commits, before: Mapping[str, Any], state: Any
    ) -> tuple[Decision, list[str]]:
        scores = step.stage == "score" and not self._pipeline.scoring.model.isdigit()
        follows = scores or step.name == "register:model_changes"
        feeding = [*step.inputs, *([CHAMPION] if follows else [])]
        sure = [t for t in feeding if self._new.get(t)]
        reasons = ["--force"] if self._options.force in ("", step.stage) else []
        reasons += ["it looks for new work in every run"] if step.always else []
        reasons += self._own(step, inputs, outputs, before, state, bool(sure))
        reasons += [f"{', '.join(sure)} will be new"] if sure else []
        if reasons:
            return "run", reasons
        perhaps = [t for t in feeding if self._new.get(t) is False]
        if perhaps:
            return "may run", [f"if {' or '.join(perhaps)} is another one then"]
        return "unchanged", []

    def _own(
        self, step: Step, inputs: Commits, outputs: Commits, before: Mapping[str, Any], state: Any, sure: bool
    ) -> list[str]:
        """A step's own reasons to run, whatever those before it do."""
        from headrace.runtime.carried import ended
        from headrace.runtime.runner import digest, expired, fingerprint_parts

        absent = [t for t, c in outputs.items() if c is None]
        if absent:
            return [f"{_are(absent)} not there yet"]
        if step.stage in ("register", "score") and not has_models(self._where.tracking_uri):
            return ["there is no model store yet"]
        known = {t: c.identity for t, c in inputs.items() if c is not None}
        parts = fingerprint_parts(step, known, self._version(), self._options)
        if step.state is not None:
            parts["state"] = state
        fingerprint = digest(parts)
        if step.done is not None and not sure:
            run = replace(self._run, fingerprint=fingerprint)
            if step.done(run) is not None:  # type: ignore[arg-type]
                return []
        elif (newest := ended(list(outputs.values()))) and before.get("fingerprint") == fingerprint:
            return ["more has become due or known since"] if expired(newest, self._run.as_of) else []
        hashes = before.get("hashes") or {}
        if not hashes:
            return [_unfinished(outputs)]
        differ = [k for k, v in parts.items() if digest(v) != hashes.get(k)]
        found = [WORDS.get(step.stage, OUTSIDE) if k == "state" else WORDS[k] for k in differ if k != "inputs"]
        if "inputs" in differ and not sure:
            found.append(_newer(inputs, before.get("inputs") or {}))
        return found if found or sure else ["an earlier run left no result for this"]

    def _version(self) -> str:
        if self._spark is not None:
            return self._spark.version
        import pyspark

        return pyspark.__version__


def lands(outputs: Commits, changed: Sequence[Change], state: Any) -> bool:
    """Whether an ingest that runs surely brings rows: its first, one that reads anew, one with a newer file.

    Args:
        outputs: The raw table's newest commit.
        changed: What of its configuration changed.
        state: `(path, size, modified)` of each file, for a source of files.
    """
    commits = [commit for commit in outputs.values() if commit is not None]
    if not commits or any(not change.path.endswith((".path", ".mode")) for change in changed):
        return True
    files = [f for f in state if isinstance(f, list | tuple) and len(f) == 3] if isinstance(state, list) else []
    return any(modified > commits[-1].timestamp for _, _, modified in files)


def _are(tables: Sequence[str]) -> str:
    return f"{', '.join(tables)} {'is' if len(tables) == 1 else 'are'}"


def _unfinished(outputs: Commits) -> str:
    newest = [c for c in outputs.values() if c is not None]
    if newest and newest[-1].operation != "WRITE":
        return f"somebody else changed its table since ({newest[-1].operation}, version {newest[-1].version})"
    return "it was not finished" if newest else "it has not run yet"


def _newer(inputs: Commits, before: Mapping[str, int]) -> str:
    moved = [
        f"{t} {before.get(t, 'none')} -> {c.version}" for t, c in inputs.items() if c and before.get(t) != c.version
    ]
    return f"its input tables changed (versions: {', '.join(moved)})" if moved else "its input tables were made anew"
