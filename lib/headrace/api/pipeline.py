"""A pipeline in Python: the same names and meanings as on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.cli.running import Request, perform
from headrace.config import types, values
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError, GateError
from headrace.runtime.home import Places, places

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from headrace.cli.planning.plans import Planned
    from headrace.runtime.step import Step

Time = str | date | datetime
"""A point in time: a date is 00:00 UTC, a time without a zone is UTC."""


@dataclass(frozen=True)
class Result:
    """What a run came to: the content of `--summary`.

    Attributes:
        run_id: Names the run, in the commits and in the table `runs`.
        pipeline: The schema of its tables.
        stages: Per stage `{name, status, seconds, rows_in, rows_out}`; status is done, unchanged or failed.
        model: `{name, version, alias}`, or None where no stage chose one.
        metrics: `{"test": {"areaUnderROC": {"value": .., "lower": .., "upper": ..}}}`; empty without an evaluation.
    """

    run_id: str
    pipeline: str
    stages: tuple[Mapping[str, Any], ...]
    model: Mapping[str, Any] | None
    metrics: Mapping[str, Any]

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Result:
        """From the summary of a run."""
        run_id, name, stages = summary["run_id"], summary["pipeline"], tuple(summary["stages"])
        return cls(run_id, name, stages, summary["model"], summary["metrics"])


class Pipeline:
    """A pipeline of a YAML file (`Pipeline.from_yaml`); `docs/python.md` has examples.

    Reading one starts no Spark; `run` and `table` do, if there is no session yet.

    Attributes:
        config: The typed configuration, frozen.
        environment: The overlay: where things are.
        path: The file.
    """

    def __init__(self, config: types.Pipeline, environment: types.Environment, path: str) -> None:
        self.config, self.environment, self.path = config, environment, path

    @classmethod
    def from_yaml(cls, path: str | Path, env: str | None = None, sets: Sequence[str] = ()) -> Pipeline:
        """Read a pipeline.

        Args:
            path: The YAML file (`--config`).
            env: Name of an overlay (`--env`).
            sets: Values that replace those of the file, as `["search.max_evals=5"]` (`--set`).

        Raises:
            ConfigError: With all mistakes of the file at once, each with its line.
        """
        changes = (sets,) if isinstance(sets, str) else tuple(sets)
        return cls(*read_pipeline(path, env=env, sets=changes), str(path))

    def __repr__(self) -> str:
        return f"Pipeline({self.config.pipeline!r}, {self.path!r})"

    @property
    def places(self) -> Places:
        """Schema, warehouse and model store; they follow `HEADRACE_HOME` as it is now."""
        return places(self.config, self.environment)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """All steps in their order, as data: `stage`, `name`, `inputs`, `outputs`."""
        from headrace import flow

        return flow.steps(self.config)

    @property
    def spark(self) -> SparkSession:
        """The active session; without one, a new one as `spark-submit.sh` makes it (see `docs/python.md`).

        Raises:
            ConfigError: If the active session has no Delta, or there is no Java.
            HeadraceError: If Delta's jars cannot be had.
        """
        from headrace.api.session import session

        return session(f"headrace {self.config.pipeline}", self.config, self.environment)

    def plan(
        self,
        *,
        only: str | None = None,
        from_: str | None = None,
        to: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        as_of: Time | None = None,
        force: str | bool | None = None,
        select: str | None = None,
        sample: str | None = None,
        rescore: bool = False,
        job: str = "pipeline",
    ) -> list[Planned]:
        """What `run` with the same arguments would do now, and why. Runs nothing and writes nothing.

        Starts no Spark where tables and sources are on this machine.

        Returns:
            A `Planned` per step, in order: `stage`, `step`, `decision` (run, may run, unchanged, stopped), `reasons`
            (texts; of a stopped step the mistake that would end the run), `changes` of the configuration since its
            last run, and the versions of `inputs` and `outputs`.

        Raises:
            ConfigError: For an argument that cannot be.
        """
        from headrace.cli.planning.plans import NeedsSparkError
        from headrace.cli.planning.steps import planned

        asked = _request(
            since, until, as_of, force, only=only, from_=from_, to=to, select=select, sample=sample, rescore=rescore,
            job=job,
        )  # fmt: skip
        try:
            return list(planned(self.config, self.environment, asked, None, self.path).steps)
        except NeedsSparkError:
            return list(planned(self.config, self.environment, asked, self.spark, self.path).steps)

    def run(
        self,
        *,
        only: str | None = None,
        from_: str | None = None,
        to: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        as_of: Time | None = None,
        force: str | bool | None = None,
        select: str | None = None,
        sample: str | None = None,
        rescore: bool = False,
        job: str = "pipeline",
    ) -> Result:
        """Run stages, as `jobs/<job>.py` does; progress goes to standard error.

        Args:
            only: One stage.
            from_: First stage.
            to: Last stage.
            since: Score rows with `predict_at` from here on.
            until: Score rows with `predict_at` before this.
            as_of: The logical now; default: the clock.
            force: True: run all stages though unchanged; or the name of one.
            select: Only what makes this table; with a `+` behind it also what depends on it.
            sample: A share of the spine's keys, as `5%`, into a schema of its own.
            rescore: Add a revision where the result differs from the one that stands.
            job: Which stages there are to choose from: pipeline, ingest, clean, features, train, score, monitor.

        Returns:
            Run, stages, model and metrics.

        Raises:
            ConfigError: For a mistake in the YAML, a path or an argument.
            DataError: If the data cannot be used.
            GateError: If a gate refused the model. Scoring and monitoring have gone on with the present champion; its
                `result` is what would have been returned.
        """
        from headrace.api.session import steady

        asked = _request(
            since, until, as_of, force, only=only, from_=from_, to=to, select=select, sample=sample, rescore=rescore,
            job=job,
        )  # fmt: skip
        reported: list[Mapping[str, Any]] = []
        try:
            perform(self.config, self.environment, asked, self.path, lambda _: steady(self.spark), reported.append)
        except GateError as error:
            error.result = Result.of(reported[0])
            raise
        return Result.of(reported[0])

    def table(self, name: str, version: int | None = None) -> DataFrame:
        """A table of the pipeline.

        Args:
            name: Without the schema, as `predictions` or `carrier_delays`.
            version: Delta's version; default: the newest.

        Returns:
            Its rows; timestamps are points in time, shown in the session's time zone.

        Raises:
            ConfigError: If there is no such table or version; says which there are.
        """
        from headrace.runtime.tables import Tables

        where = self.places
        tables = Tables(self.spark, where.root, where.schema, where.elsewhere)
        newest = tables.last(name.lower()).version
        there = tables.log.versions(name.lower())
        if version is not None and version not in there:
            raise ConfigError(
                f"table {where.schema}.{name} has no version {version}; its log holds {there[0]} to {there[-1]}"
            )
        return tables.read(name.lower(), newest if version is None else version)


def _request(
    since: Time | None, until: Time | None, as_of: Time | None, force: str | bool | None, **others: Any
) -> Request:
    """Arguments as the command line hands them on."""
    return Request(
        since=moment("since", since),
        until=moment("until", until),
        as_of=moment("as_of", as_of),
        force=("" if force else None) if isinstance(force, bool) else force,
        **others,
    )


def moment(name: str, value: Time | None) -> datetime | None:
    """A time of an argument, in UTC."""
    if value is None:
        return None
    try:
        return values.moment_of(value if isinstance(value, str) else value.isoformat())
    except ValueError as error:
        raise ConfigError(f"{name}={value!r} is no time; write 2013-12-01 or 2013-12-01T06:00:00Z (UTC)") from error
