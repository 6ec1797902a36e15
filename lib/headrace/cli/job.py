"""The door of `jobs/`: arguments, a run of some stages, the summary, the exit code."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from headrace.config.reading import read_pipeline
from headrace.config.types import moment_of
from headrace.errors import ConfigError, GateError, HeadraceError
from headrace.runtime.home import places
from headrace.runtime.progress import Progress

JOBS: dict[str, tuple[str, str, str]] = {
    "ingest": ("ingest", "ingest", "lands new files in raw_<table>"),
    "clean": ("validate", "clean", "sets bad rows aside, and cleans the others"),
    "features": ("features", "features", "refreshes the feature tables"),
    "train": ("training_set", "register", "builds the training set, searches, evaluates and registers a model"),
    "score": ("score", "score", "scores what is due, exactly once"),
    "monitor": ("monitor", "monitor", "measures drift, and quality as labels come"),
    "pipeline": ("ingest", "monitor", "runs all stages, each skipped when nothing has changed"),
}
"""Per job: its first stage, its last stage, what it does."""


def parser(job: str) -> argparse.ArgumentParser:
    """The command line of a job."""
    first, last, says = JOBS[job]
    made = argparse.ArgumentParser(
        prog=f"./spark-submit.sh jobs/{job}.py",
        description=f"{job}: {says}.",
        epilog=f"example: ./spark-submit.sh jobs/{job}.py --config conf/flights.yaml",
    )
    add = made.add_argument
    add("--config", required=True, metavar="FILE.yaml", help="the pipeline")
    add("--env", metavar="NAME", help="overlay conf/env/NAME.yaml: where things are")
    if first != last:
        add("--only", metavar="STAGE", help="one stage")
        add("--from", dest="from_", metavar="STAGE", help="first stage")
        add("--to", metavar="STAGE", help="last stage")
    add("--since", type=_moment, metavar="T", help="score rows with predict_at from here on")
    add("--until", type=_moment, metavar="T", help="score rows with predict_at before this")
    add("--rescore", action="store_true", help="add a revision where the result differs from the one that stands")
    add("--as-of", type=_moment, metavar="T", help="the logical now; default: the clock")
    add("--force", nargs="?", const="", metavar="STAGE", help="run though unchanged: all stages, or this one")
    add("--select", metavar="TABLE+", help="only what makes this table; with + also what depends on it")
    add("--sample", metavar="5%", help="a share of the spine's keys, into a schema of its own")
    add("--set", dest="sets", action="append", default=[], metavar="a.b=value", help="change a value of the YAML")
    add("--summary", metavar="OUT.json", help="write what was done as JSON")
    return made


def _moment(text: str) -> datetime:
    try:
        return moment_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write 2013-12-01 or 2013-12-01T06:00:00Z (UTC)"
        ) from error


def main(job: str, argv: Sequence[str] | None = None) -> NoReturn:
    """Run a job and exit: 0 done, 2 configuration, 3 data, 4 a gate refused, 1 anything else."""
    arguments = parser(job).parse_args(argv)
    started = time.monotonic()
    try:
        code = _run(job, arguments, started)
    except HeadraceError as error:
        sys.stderr.write(f"\n{error.message}\n")
        code = error.exit_code
    sys.stdout.flush()
    raise SystemExit(code)


def _run(job: str, arguments: argparse.Namespace, started: float) -> int:
    pipeline, environment = read_pipeline(arguments.config, env=arguments.env, sets=arguments.sets)
    _check_sample(arguments.sample)
    _check_window(arguments.since, arguments.until)
    _check_writable(arguments.summary)
    _hush()
    # heavy imports only now: a mistake in the YAML has been told by then
    from headrace import flow
    from headrace.cli.summary import closing, summary
    from headrace.runtime.runner import Options, Runner
    from headrace.runtime.session import session
    from headrace.runtime.step import STAGES

    if arguments.force and arguments.force not in STAGES:
        raise ConfigError(f"--force {arguments.force}: there is no such stage; there are {', '.join(STAGES)}")
    first, last, _ = JOBS[job]
    every = [s for s in flow.steps(pipeline) if s.stage in flow.chosen_stages(first, last)]
    only, from_, to = (getattr(arguments, name, None) for name in ("only", "from_", "to"))
    steps = flow.chosen(every, only, from_, to, arguments.select)
    if not steps:
        raise ConfigError(
            f"{arguments.config} gives {job} nothing to do: it has no section for the stages {first} to {last}"
        )
    flow.check_sources(steps, pipeline)
    progress = Progress()
    progress.heading(f"{places(pipeline, environment, arguments.sample).schema}: {job} ({len(steps)} steps)")
    options = Options(
        arguments.force, arguments.as_of, arguments.since, arguments.until, arguments.rescore, arguments.sample
    )
    runner = Runner(session(f"headrace {job} {pipeline.pipeline}"), pipeline, environment, options, progress)
    try:
        outcome = runner.run(steps)
    finally:
        _write(arguments.summary, summary(runner.outcome))
    closing(progress, outcome, places(pipeline, environment, arguments.sample), time.monotonic() - started)
    if outcome.refused:
        sys.stderr.write(f"\n{outcome.refused}\n")
        return GateError.exit_code
    return 0


def _check_window(since: datetime | None, until: datetime | None) -> None:
    if since and until and until <= since:
        raise ConfigError(
            f"--until {until:%Y-%m-%dT%H:%MZ} is not after --since {since:%Y-%m-%dT%H:%MZ}; the window would be empty"
        )


def _check_writable(path: str | None) -> None:
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


def _hush() -> None:
    """Libraries' news of themselves are not for this screen; `HEADRACE_LOG=info` lets them speak."""
    if os.environ.get("HEADRACE_LOG", "warn").lower() in ("info", "debug"):
        return
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    for name in ("mlflow", "alembic", "hyperopt"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):  # the error itself is told once, in words
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _check_sample(sample: str | None) -> None:
    number = (sample or "5%").rstrip("%")
    if not number.replace(".", "", 1).isdigit() or not 0 < float(number) <= 100:
        raise ConfigError(f"--sample {sample}: write a share such as 5% or 0.1%")


def _write(path: str | None, content: dict[str, Any]) -> None:
    if path:
        Path(path).write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")
