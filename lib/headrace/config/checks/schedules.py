"""Schedules: do their cron expressions, time zones and arguments mean something?"""

from __future__ import annotations

from collections.abc import Iterator

from headrace.config import cron
from headrace.config.durations import SECOND, microseconds
from headrace.config.schedules import Schedule
from headrace.config.secrets import masked
from headrace.config.types import Pipeline

Found = tuple[str, str]

OWN = {
    "--config": "the file itself",
    "--env": "`headrace schedule --env NAME`",
    "--since": "`window`, if more than the interval is to be scored",
    "--until": "the interval's own",
    "--as-of": "the interval's own",
    "--schedule": "the schedule itself",
    "--help": "people",
    "-h": "people",
}
"""Arguments that a schedule gives itself, and what says them."""


def check(pipeline: Pipeline) -> Iterator[Found]:
    """Yield (where, message) for each mistake."""
    for name, schedule in pipeline.schedules.items():
        where = f"schedules.{name}"
        try:
            yield from _window(f"{where}.window", schedule, cron.parse(schedule.expression))
        except ValueError as error:
            yield f"{where}.cron", str(error)
        try:
            cron.zone(schedule.time_zone)
        except ValueError as error:
            yield f"{where}.time_zone", str(error)
        for number, argument in enumerate(schedule.arguments):
            instead = OWN.get(argument.partition("=")[0])
            if instead:
                yield f"{where}.arguments[{number}]", f"{argument!r} comes from {instead}; leave it out"
            elif masked(argument) != argument:
                message = f"{masked(argument)} would be written into files; say it in this file, by ${{secret:NAME}}"
                yield f"{where}.arguments[{number}]", message


def _window(where: str, schedule: Schedule, when: cron.Cron) -> Iterator[Found]:
    """A window that leaves rows out for good."""
    if schedule.window and microseconds(schedule.window) < when.shortest.total_seconds() * SECOND:
        message = f"{schedule.window} is shorter than the interval: rows before it would never be scored; leave it out"
        yield where, message
