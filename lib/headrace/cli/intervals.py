"""Data intervals: what a scheduled run scores, so that it comes to the same whenever it is run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from headrace.cli.running import Request
from headrace.config import cron
from headrace.config.durations import microseconds
from headrace.config.file.complaints import meant
from headrace.config.schedules import Schedule
from headrace.config.types import Pipeline
from headrace.errors import ConfigError

SCORING = ("score", "pipeline")
"""Jobs that score. The others do what is new, whenever it came, and take no interval."""


def schedules_of(pipeline: Pipeline) -> Mapping[str, Schedule]:
    """A pipeline's schedules; where it has none, `scoring.every` says that it is to be scored."""
    every = pipeline.scoring.every
    if pipeline.schedules or every is None:
        return pipeline.schedules
    return {"scoring": Schedule(job=("score",), every=every)}


def has_interval(job: str, pipeline: Pipeline) -> bool:
    """Whether a job takes the interval: it scores, and the rows to score have a time."""
    training = pipeline.training_set
    if job not in SCORING or training is None:
        return False
    return bool(training.grid or training.predict_at or pipeline.tables[training.spine].event_time)


def scheduled(request: Request, pipeline: Pipeline, name: str) -> Request:
    """A request for the interval of a schedule that has ended last, by the clock or by `--as-of`.

    Raises:
        ConfigError: For a schedule that is not there or not of this job, or a window beside it.
    """
    known = schedules_of(pipeline)
    schedule = known.get(name.lower())
    if schedule is None:
        there = ", ".join(known) or "none"
        raise ConfigError(f"--schedule {name}: there is no such schedule; there are: {there}{meant(name, known)}")
    if request.job not in schedule.job:
        raise ConfigError(f"--schedule {name} is one of {', '.join(schedule.job)}, not of {request.job}")
    if request.since or request.until:
        raise ConfigError("--schedule gives the window itself: leave out --since and --until, or --schedule")
    if not has_interval(request.job, pipeline):
        return request
    try:
        start, end = cron.last_interval(
            cron.parse(schedule.expression), cron.zone(schedule.time_zone), request.as_of or datetime.now(UTC)
        )
    except ValueError as error:
        raise ConfigError(f"--schedule {name}: {error}") from error
    since = end - reach(schedule) if schedule.window else start
    sys.stderr.write(f"{name}: --since {since:%FT%TZ} --until {end:%FT%TZ} --as-of {end:%FT%TZ}\n")
    return replace(request, since=since, until=end, as_of=end)


def reach(schedule: Schedule) -> timedelta:
    """The length of a schedule's window."""
    return timedelta(microseconds=microseconds(schedule.window or "1 day"))
