"""The door of `jobs/`: arguments, a run of some stages, the summary, the exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from headrace.cli.intervals import scheduled
from headrace.cli.running import JOBS, Request, perform
from headrace.config import secrets
from headrace.config.reading import read_pipeline
from headrace.config.values import moment_of
from headrace.errors import ConfigError, HeadraceError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from headrace.config.types import Pipeline


def parser(job: str) -> argparse.ArgumentParser:
    """The command line of a job."""
    first, last, says = JOBS[job]
    made = argparse.ArgumentParser(
        prog=f"./spark-submit.sh jobs/{job}.py",
        description=f"{job}: {says}.",
        epilog=f"example: ./spark-submit.sh jobs/{job}.py --config conf/flights.yaml",
    )
    made.add_argument("--config", required=True, metavar="FILE.yaml", help="the pipeline")
    add_options(made, stages=first != last)
    made.add_argument("--summary", metavar="OUT.json", help="write what was done as JSON")
    return made


def add_options(parser: argparse.ArgumentParser, stages: bool = True) -> None:
    """Add the options that say what is asked of a run, the same for running it and for planning it.

    Args:
        parser: A command line.
        stages: Whether some of its stages can be chosen.
    """
    add = parser.add_argument
    add("--env", metavar="NAME", help="overlay: env/NAME.yaml beside the file, or in conf/: where things are")
    if stages:
        add("--only", metavar="STAGE", help="one stage")
        add("--from", dest="from_", metavar="STAGE", help="first stage")
        add("--to", metavar="STAGE", help="last stage")
    add(
        "--since",
        type=moment_argument,
        metavar="T",
        help="score rows with predict_at from here on (of features: see backfill)",
    )
    add("--until", type=moment_argument, metavar="T", help="score rows with predict_at before this")
    add("--schedule", metavar="NAME", help="the interval of this schedule of the YAML that has ended last: its rows")
    add("--rescore", action="store_true", help="add a revision where the result differs from the one that stands")
    add("--as-of", type=moment_argument, metavar="T", help="the logical now; default: the clock")
    add("--force", nargs="?", const="", metavar="STAGE", help="run though unchanged: all stages, or this one")
    add("--select", metavar="TABLE+", help="only what makes this table; with + also what depends on it")
    add("--sample", metavar="5%", help="a share of the spine's keys, into a schema of its own")
    add("--set", dest="sets", action="append", default=[], metavar="a.b=value", help="change a value of the YAML")


def request_of(job: str, arguments: argparse.Namespace, pipeline: Pipeline) -> Request:
    """What a command line asks of a run.

    Raises:
        ConfigError: For a schedule that is not there, or not of this job.
    """
    asked: dict[str, Any] = {
        field.name: getattr(arguments, field.name, None) for field in fields(Request) if field.name != "job"
    }
    request = Request(job, **asked)
    return request if arguments.schedule is None else scheduled(request, pipeline, arguments.schedule)


def moment_argument(text: str) -> datetime:
    """A time on a command line, for argparse."""
    try:
        return moment_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write 2013-12-01 or 2013-12-01T06:00:00Z (UTC)"
        ) from error


def main(job: str, argv: Sequence[str] | None = None) -> NoReturn:
    """Run a job and exit: 0 done, 2 configuration, 3 data, 4 a gate refused, 1 anything else."""
    arguments = parser(job).parse_args(argv)
    secrets.guard_output()
    code = 0
    try:
        _run(job, arguments)
    except HeadraceError as error:
        sys.stderr.write(f"\n{error.message}\n")
        code = error.exit_code
    sys.stdout.flush()
    raise SystemExit(code)


def _run(job: str, arguments: argparse.Namespace) -> None:
    pipeline, environment = read_pipeline(arguments.config, env=arguments.env, sets=arguments.sets)
    check_writable(arguments.summary)

    def started(name: str) -> SparkSession:
        from headrace.runtime.session import session
        from headrace.runtime.signals import end_when_asked

        spark = session(name)
        end_when_asked(spark)
        return spark

    report = report_to(arguments.summary)
    perform(pipeline, environment, request_of(job, arguments, pipeline), arguments.config, started, report)


def report_to(path: str | None) -> Callable[[dict[str, Any]], None]:
    """What writes a summary into a file, where one is named."""

    def report(content: dict[str, Any]) -> None:
        if path:
            Path(path).write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")

    return report


def check_writable(path: str | None) -> None:
    """Before the work begins, not after it."""
    if path is None:
        return
    file = Path(path)
    try:
        there = file.exists()
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8"):
            pass
        if not there:
            file.unlink()
    except OSError as error:
        raise ConfigError(f"--summary {path} cannot be written: {error.strerror}; name another file") from error
