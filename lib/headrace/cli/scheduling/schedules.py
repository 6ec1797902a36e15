"""A pipeline's schedules with all that the files of any scheduler say."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from headrace.cli.intervals import has_interval, schedules_of
from headrace.cli.job import parser
from headrace.config import cron
from headrace.config.file.complaints import meant
from headrace.config.file.variables import Outside
from headrace.config.schedules import Schedule
from headrace.config.secrets import check_name
from headrace.config.types import Environment, Pipeline
from headrace.errors import ConfigError

FOR_GOOD = (2, 3, 4)
"""Exit codes that would come again: the configuration, the data, a gate."""
DELAY = timedelta(minutes=5)
"""Before a job is tried again."""


class Asked(Outside):
    """Notes what a configuration takes from the environment; of secrets only the names, which need not be set."""

    def __init__(self) -> None:
        self.variables: dict[str, None] = {}
        self.secrets: dict[str, None] = {}

    def variable(self, name: str) -> str | None:
        """A variable's value, or None."""
        value = super().variable(name)
        if value is not None:
            self.variables[name] = None
        return value

    def secret(self, name: str) -> None:
        """A secret's name."""
        check_name(name)
        self.secrets[name] = None


@dataclass(frozen=True)
class There:
    """Where the jobs will run.

    Attributes:
        project: The folder in which they run, absolute.
        config: The YAML there, absolute.
        home: `HEADRACE_HOME` there, absolute.
        command: What submits a job, as `(/opt/headrace/spark-submit.sh,)`.
        needs: The file of the environment, or the name of the Secret and ConfigMap, which holds what is needed.
        variables: Names of the variables that the configuration needs.
        secrets: Names of the secrets.
        image: The container's image.
    """

    project: str
    config: str
    home: str
    command: tuple[str, ...]
    needs: str
    variables: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    image: str = ""

    @property
    def needed(self) -> tuple[str, ...]:
        """Everything that must be in the environment."""
        return (*self.secrets, *self.variables)


@dataclass(frozen=True)
class Call:
    """One job of a schedule.

    Attributes:
        job: Its name.
        arguments: Its arguments, without the interval.
        interval: Whether it scores rows of an interval.
    """

    job: str
    arguments: tuple[str, ...]
    interval: bool

    def words(self, there: There, *more: str) -> list[str]:
        """The command line.

        Args:
            there: Where it runs.
            more: Arguments, besides its own.
        """
        return [*there.command, f"jobs/{self.job}.py", *self.arguments, *more]


@dataclass(frozen=True)
class Planned:
    """A schedule, ready to be written.

    Attributes:
        name: Of the whole, as `flights_nightly`.
        key: Of the schedule in the YAML.
        pipeline: The pipeline's name.
        schedule: The schedule.
        when: Its cron expression.
        calls: Its jobs, in order.
        origin: The command that wrote it.
    """

    name: str
    key: str
    pipeline: str
    schedule: Schedule
    when: cron.Cron
    calls: tuple[Call, ...]
    origin: str

    @property
    def title(self) -> str:
        """In a line."""
        return f"{self.pipeline}: {', '.join(self.schedule.job)} at {self.when.text} ({self.schedule.time_zone})"

    @property
    def delay(self) -> timedelta:
        """Before a job is tried again: a tenth of the way to the next run at most."""
        return min(DELAY, self.when.shortest / 10)


def planned(
    pipeline: Pipeline,
    environment: Environment,
    there: There,
    given: Sequence[str],
    origin: str,
    name: str | None = None,
) -> list[Planned]:
    """The schedules of a pipeline.

    Args:
        pipeline: The configuration.
        environment: The overlay.
        there: Where the jobs run.
        given: Arguments of all jobs, besides the file.
        origin: The command that writes them.
        name: One of them; None: all.

    Raises:
        ConfigError: If there is none, or their arguments are none of their jobs'.
    """
    known = schedules_of(pipeline)
    found = {key: schedule for key, schedule in known.items() if name is None or key == name.lower()}
    if not known:
        raise ConfigError(
            f"{pipeline.pipeline} has no schedules; add `schedules: {{nightly: {{job: pipeline, every: day}}}}`"
        )
    if not found:
        raise ConfigError(f"no schedule is called {name!r}; there are: {', '.join(known)}{meant(name, known)}")
    arguments = ["--config", there.config, *given]
    return [
        Planned(
            name=f"{environment.prefix}{pipeline.pipeline}_{key}".lower(),
            key=key,
            pipeline=f"{environment.prefix}{pipeline.pipeline}".lower(),
            schedule=schedule,
            when=cron.parse(schedule.expression),
            calls=tuple(_call(job, key, schedule, arguments, pipeline) for job in schedule.job),
            origin=origin,
        )
        for key, schedule in found.items()
    ]


def _parser(job: str) -> ArgumentParser:
    if job != "publish":
        return parser(job)
    from headrace.cli.publishing.job import parser as publishing  # and with it what serves features

    return publishing()


def _call(job: str, key: str, schedule: Schedule, given: list[str], pipeline: Pipeline) -> Call:
    arguments = (*given, *schedule.arguments)
    understood = _parser(job)

    def refuse(message: str) -> NoReturn:
        raise ConfigError(f"schedules.{key}.arguments: {message}; see ./spark-submit.sh jobs/{job}.py --help")

    understood.error = refuse  # type: ignore[method-assign]
    found = understood.parse_args(arguments)
    if any(
        getattr(found, one, None) for one in ("since", "until", "as_of", "schedule")
    ):  # also where they are abbreviated
        refuse("the interval is the schedule's own")
    return Call(job, arguments, has_interval(job, pipeline))
