"""`headrace plan`: what would run, and why. Needs no Spark where tables and sources are on this machine.

Where they are not, the same plan is made by `jobs/plan.py` on Spark, which reads the tables' logs and lists the
sources' files through Hadoop's file systems.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from headrace.cli.job import add_options, request_of
from headrace.cli.running import JOBS, hush, impatient
from headrace.config.reading import read_pipeline
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FORMATS = ("text", "markdown", "json")


def parser() -> argparse.ArgumentParser:
    """The command line: a file, or `--config FILE` as jobs take it, and the options of a job."""
    made = argparse.ArgumentParser(
        prog="headrace plan",
        usage="headrace plan FILE.yaml [options]",
        description="Say what a run would do, and why: which steps run, on which versions of which tables, and which "
        "changes of the YAML since their last run make them. Runs nothing and writes nothing.",
        epilog="example: headrace plan conf/flights.yaml --set search.max_evals=20 --format markdown",
    )
    place = made.add_mutually_exclusive_group(required=True)
    place.add_argument("file", nargs="?", metavar="FILE.yaml", help="the pipeline")
    place.add_argument("--config", metavar="FILE.yaml", help="the same, as jobs take it")
    made.add_argument("--job", choices=tuple(JOBS), default="pipeline", help="the job to plan; default: pipeline")
    made.add_argument("--format", choices=FORMATS, default="text", help="markdown for a code review, json for tools")
    add_options(made)
    return made


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Print the plan and exit: 0, or what a run would stop with (2: a source that is missing, or a mistake)."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = parser().parse_args(given)
    try:
        code = show(arguments)
    except _SparkWantedError:
        on_spark(arguments, given)
    except HeadraceError as error:
        sys.stderr.write(f"{error.message}\n")
        code = error.exit_code
    sys.stdout.flush()
    raise SystemExit(code)


class _SparkWantedError(Exception):
    """The plan has to be made on Spark."""


def show(arguments: argparse.Namespace, spark: SparkSession | None = None) -> int:
    """Print the plan.

    Args:
        arguments: Of the command line.
        spark: A session, where tables or sources are not on this machine.

    Returns:
        The exit code.
    """
    config = arguments.file or arguments.config
    pipeline, environment = read_pipeline(config, env=arguments.env, sets=arguments.sets)
    hush()
    impatient()
    # heavy imports only now: a mistake in the YAML has been told by then
    from headrace.cli.planning.plans import NeedsSparkError
    from headrace.cli.planning.steps import planned
    from headrace.cli.planning.text import shown

    try:
        plan = planned(pipeline, environment, request_of(arguments.job, arguments, pipeline), spark, config)
    except NeedsSparkError as error:
        raise _SparkWantedError from error
    sys.stdout.write(shown(plan, arguments.format) + "\n")
    for mistake in plan.mistakes:
        sys.stderr.write(f"a run would stop: {mistake}\n")
    return plan.exit_code


def on_spark(arguments: argparse.Namespace, given: Sequence[str]) -> NoReturn:
    """Make the plan by `jobs/plan.py`."""
    from headrace.cli.submit import main as submit

    rest = list(given)
    if arguments.file is not None:
        place = rest.index(arguments.file)
        rest[place : place + 1] = ["--config", arguments.file]
    submit(["jobs/plan.py", *rest])


def job(argv: Sequence[str] | None = None) -> NoReturn:
    """The entry of `jobs/plan.py`."""
    arguments = parser().parse_args(argv)
    from headrace.runtime.session import session

    try:
        code = show(arguments, session("headrace plan"))
    except HeadraceError as error:
        sys.stderr.write(f"{error.message}\n")
        code = error.exit_code
    sys.stdout.flush()
    raise SystemExit(code)
