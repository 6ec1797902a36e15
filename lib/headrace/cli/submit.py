"""`./spark-submit.sh` and `headrace submit`: spark-submit, with all that Headrace needs around it.

Imports neither Spark nor pandas: it only finds things, writes a file of properties and starts spark-submit in
its own place.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from headrace.cli.arguments import CommandLine, parse
from headrace.cli.job import parser
from headrace.cli.running import JOBS
from headrace.config import hooks
from headrace.config.types import Environment, Pipeline
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime import launch, packages, places, settings
from headrace.runtime.home import home
from headrace.runtime.java import java_home

PREPARED = ("HEADRACE_HOME", "JAVA_HOME", "SPARK_HOME", "SPARK_LOCAL_IP", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")
HELP = """\
Usage: ./spark-submit.sh [options of spark-submit] JOB.py [options of the job]

Runs a job on Spark: on all cores of this machine, or on the cluster that --master names.

Examples:
  ./spark-submit.sh jobs/pipeline.py --config conf/flights.yaml
  ./spark-submit.sh jobs/train.py --config conf/flights.yaml --set search.max_evals=5
  ./spark-submit.sh --master yarn --executor-memory 8g jobs/score.py --config conf/flights.yaml --env prod
  ./spark-submit.sh --master local[2] --conf spark.ui.enabled=true my_own_job.py

Jobs: {jobs}
Options of a job: ./spark-submit.sh jobs/pipeline.py --help
Options of Spark: those of spark-submit, before the job; --conf and --master win over every file.

Environment variables:
  HEADRACE_HOME   tables, models and jars (default: .headrace in the current folder)
  HEADRACE_LOG    error, warn (default), info or debug: how much Spark says
  HEADRACE_JARS   Delta's jars, if they cannot be fetched: /path/a.jar,/path/b.jar
  HEADRACE_VENV   folder of the Python environment (default: .venv beside this script)
  JAVA_HOME       Java 17 or newer (default: the one on the PATH, otherwise one from the Python package index)
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Start a job; a mistake is told in words, with its exit code."""
    try:
        submit(sys.argv[1:] if arguments is None else arguments)
    except HeadraceError as error:
        sys.stderr.write(f"error: {error.message}\n")
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def submit(arguments: Sequence[str], quick: bool = False) -> NoReturn:
    """Become spark-submit.

    Args:
        arguments: The command line, without the program's name.
        quick: A short command rather than a training: start-up counts.

    Raises:
        HeadraceError: If something stands against it.
    """
    if list(arguments) == ["--prepare"]:
        _print_prepared()
    line = parse(arguments)
    if line.has("--help"):
        sys.stdout.write(HELP.format(jobs=", ".join(own_jobs())))
        raise SystemExit(0)
    if line.has("--version") or line.has("--kill") or line.has("--status"):
        _pass_on(arguments)
    job, own = find_job(line.job)
    if own and {"--help", "-h"} & set(line.arguments):  # what a job says about itself needs no Spark
        os.execv(sys.executable, [sys.executable, job, *line.arguments])
    quick = quick or (own and Path(job).stem not in (*JOBS, "stream"))  # helpers of commands, as init
    ready = launch.prepare(home(), wishes_of(line, own, quick))
    if ready.notice:
        sys.stderr.write(f"headrace: {ready.notice}\n")
    program = str(ready.spark_home / "bin" / "spark-submit")
    sys.stderr.flush()
    os.execve(program, [program, *options(line, ready), job, *line.arguments], ready.env)


def options(line: CommandLine, ready: launch.Launch) -> list[str]:
    """What spark-submit is to be told: the file of properties, and what the command line says beyond it."""
    return ["--properties-file", str(ready.properties), *line.without(tuple(settings.JOINED))]


def own_jobs() -> list[str]:
    """Headrace's jobs, as one writes them."""
    return sorted(f"jobs/{path.name}" for path in places.jobs().glob("*.py") if not path.name.startswith("_"))


def find_job(name: str | None) -> tuple[str, bool]:
    """The job's file, and whether it is one of Headrace's own: by path, otherwise by name.

    Raises:
        ConfigError: If there is no such job.
    """
    allowed = f"Headrace's jobs are: {', '.join(own_jobs())}. Any other Python file can be run as well."
    if name is None:
        raise ConfigError(f"no job was named. {allowed} See ./spark-submit.sh --help")
    if "://" in name:
        return name, False
    path = Path(name)
    if path.is_file():
        return name, path.resolve().parent == places.jobs().resolve()
    if path.parent in (Path(), Path("jobs")):
        packaged = places.jobs() / f"{path.stem}.py"
        if path.suffix in ("", ".py") and packaged.is_file() and not packaged.name.startswith("_"):
            return str(packaged), True
    raise ConfigError(f"there is no job {name}. {allowed}")


def wishes_of(line: CommandLine, own: bool, quick: bool) -> launch.Wishes:
    """What a command line asks of Spark, with what the pipeline and the environment it names add.

    Raises:
        ConfigError: With the mistakes of the pipeline's YAML, before a JVM is started.
        SystemExit: If one of Headrace's jobs does not understand its options.
    """
    wishes = launch.Wishes(user=line.settings(), file=_user_file(line), quick=quick, fetch=_repositories(line))
    config, env, sets = pipeline_of(line) if own else (None, None, ())
    if config is None:
        url = next((o.partition("=")[2] for o in line.of_job("--option") if o.startswith("url=")), "") if own else ""
        asked = packages.of_command(line.arguments) if own else ()
        return replace(wishes, packages=(*packages.of_url(url), *asked), utc=bool(url))
    from headrace.config.reading import read_pipeline

    return of_pipeline(wishes, *read_pipeline(config, env, sets))


def of_pipeline(wishes: launch.Wishes, pipeline: Pipeline, environment: Environment) -> launch.Wishes:
    """Wishes with what a pipeline and its environment add."""
    return replace(
        wishes,
        pipeline=pipeline.spark.application,
        environment=environment.spark.application
        | ({"spark.master": environment.master} if environment.master else {}),
        jars=tuple(str(Path(jar).expanduser().absolute()) for jar in environment.jars),
        warehouse=environment.warehouse,
        hive=environment.metastore == "hive",
        hooks=hooks.own_modules(pipeline),
        packages=packages.coordinates(pipeline, environment),
        utc=any(table.source.kind == "jdbc" for table in pipeline.tables.values()),
    )


def pipeline_of(line: CommandLine) -> tuple[str | None, str | None, Sequence[str]]:
    """`--config`, `--env` and `--set` of one of Headrace's jobs."""
    job = Path(line.job or "").stem
    if job in JOBS:
        found = parser(job).parse_args(line.arguments)
        return found.config, found.env, found.sets
    last = [(line.of_job(option) or (None,))[-1] for option in ("--config", "--env")]
    return last[0], last[1], line.of_job("--set")


def _user_file(line: CommandLine) -> dict[str, str]:
    """The user's own file of properties: `--properties-file`, or the defaults of a SPARK_CONF_DIR."""
    given = line.last("--properties-file")
    if given:
        return settings.read_file(Path(given))
    defaults = Path(os.environ.get("SPARK_CONF_DIR") or "/", "spark-defaults.conf")
    return settings.read_file(defaults) if os.environ.get("SPARK_CONF_DIR") and defaults.is_file() else {}


def _repositories(line: CommandLine) -> tuple[str, ...]:
    """Options that say where jars come from; they hold for Delta's jars too."""
    found: list[str] = []
    for name, value in line.options:
        ivy = name == "--conf" and value and value.startswith(("spark.jars.ivySettings=", "spark.jars.repositories="))
        if value and (ivy or name == "--repositories"):
            found += [name, value]
    return tuple(found)


def _pass_on(arguments: Sequence[str]) -> NoReturn:
    """Options that spark-submit answers without a job."""
    spark = places.spark_home()
    java = java_home(home(), places.project())
    program = str(spark / "bin" / "spark-submit")
    os.execve(program, [program, *arguments], {**os.environ, "SPARK_HOME": str(spark), "JAVA_HOME": str(java)})


def _print_prepared() -> NoReturn:
    """For test.sh: resolve all that Spark needs, and print the environment as a shell takes it."""
    ready = launch.prepare(home(), launch.Wishes(quick=True))
    for name in PREPARED:
        sys.stdout.write(f"export {name}={shlex.quote(ready.env[name])}\n")
    raise SystemExit(0)


if __name__ == "__main__":
    main()
