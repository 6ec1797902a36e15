"""A run of some stages: what stands between a request, from a command line or from Python, and the runner."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace.config.types import Environment, Pipeline
from headrace.errors import ConfigError, GateError
from headrace.runtime.home import places
from headrace.runtime.progress import Progress
from headrace.runtime.webhook import failures_told

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from headrace.runtime.step import Step

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


SMALLEST_BARE = 0.1
"""The smallest `--sample` without a `%`: below it, a share of 1 is more likely meant."""


@dataclass(frozen=True)
class Request:
    """What is asked of a run; names and meanings are those of the flags.

    Attributes:
        job: One of `JOBS`.
        only: One stage.
        from_: First stage.
        to: Last stage.
        since: Start of the window of `predict_at` to score, inclusive.
        until: Its end, exclusive.
        as_of: The logical now; None: the clock.
        force: None: nothing; "": every step; else the stage to run though unchanged.
        select: A table; with a `+` behind it also all that depends on it.
        sample: A share of the keys, as `5%`.
        rescore: Add a revision where the result differs.
    """

    job: str = "pipeline"
    only: str | None = None
    from_: str | None = None
    to: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    as_of: datetime | None = None
    force: str | None = None
    select: str | None = None
    sample: str | None = None
    rescore: bool = False


def check(request: Request) -> None:
    """Refuse what can be refused before anything is imported.

    Raises:
        ConfigError: For a job, a sample or a window that cannot be.
    """
    if request.job not in JOBS:
        raise ConfigError(f"there is no job {request.job!r}; there are {', '.join(JOBS)}")
    number = (request.sample or "5%").rstrip("%")
    if not number.replace(".", "", 1).isdigit() or not 0 < float(number) <= 100:
        raise ConfigError(f"--sample {request.sample}: write a share such as 5% or 0.1%")
    if request.sample and "%" not in request.sample and float(number) < SMALLEST_BARE:
        share = f"{float(number) * 100:.6g}%"
        raise ConfigError(
            f"--sample {request.sample}: a share of 1, or percent? Write {share}, or {request.sample}% if that is meant"
        )
    since, until = request.since, request.until
    if since and until and until <= since:
        raise ConfigError(
            f"--until {until:%Y-%m-%dT%H:%MZ} is not after --since {since:%Y-%m-%dT%H:%MZ}; the window would be empty"
        )


def chosen_steps(pipeline: Pipeline, request: Request, config: str) -> Sequence[Step]:
    """The steps that a request asks for, their sources' files looked for.

    Args:
        pipeline: The configuration.
        request: What is asked.
        config: The file, for messages.

    Raises:
        ConfigError: For a stage or table that is not there, a source that is missing, or no step at all.
    """
    from headrace import flow

    steps = asked_steps(pipeline, request, config)
    flow.check_sources(steps, pipeline)
    return steps


def asked_steps(pipeline: Pipeline, request: Request, config: str) -> Sequence[Step]:
    """The steps that a request asks for, whether their sources are there or not; see `chosen_steps`."""
    from headrace import flow
    from headrace.runtime.step import STAGES

    if request.force and request.force not in STAGES:
        raise ConfigError(f"--force {request.force}: there is no such stage; there are {', '.join(STAGES)}")
    first, last, _ = JOBS[request.job]
    every = [s for s in flow.steps(pipeline) if s.stage in flow.chosen_stages(first, last)]
    steps = flow.chosen(every, request.only, request.from_, request.to, request.select)
    if not steps:
        _refuse_strange(request, flow.chosen_stages(first, last))
        raise ConfigError(
            f"{config} gives {request.job} nothing to do: it has no section for the stages {first} to {last}"
        )
    return steps


def _refuse_strange(request: Request, stages: Sequence[str]) -> None:
    """A stage that the job has not, rather than a section that the file has not."""
    for flag, stage in (("--only", request.only), ("--from", request.from_), ("--to", request.to)):
        if stage is not None and stage not in stages:
            raise ConfigError(
                f"{flag} {stage}: the job {request.job} has not that stage; it has {', '.join(stages)}. Take another job, "
                "as pipeline, which has all"
            )


def perform(
    pipeline: Pipeline,
    environment: Environment,
    request: Request,
    config: str,
    session: Callable[[str], SparkSession],
    report: Callable[[dict[str, Any]], None],
) -> None:
    """Run what is asked, and show it as it goes.

    Args:
        pipeline: The configuration.
        environment: The overlay.
        request: What is asked.
        config: The file, for messages.
        session: Gives the session, once all that needs none is known to be in order; called with a name for it.
        report: Is handed the summary at the end, also that of a run that failed.

    Raises:
        ConfigError: For a mistake in the YAML, a path or the request.
        DataError: If the data cannot be used.
        GateError: If a gate refused the model; all stages have run.
    """
    started = time.monotonic()
    check(request)
    hush()
    # heavy imports only now: a mistake in the YAML has been told by then
    from headrace.cli.summary import closing, summary
    from headrace.runtime.runner import Options, Runner

    progress = Progress()
    with failures_told(pipeline, environment, request.sample, progress) as watch:
        steps = chosen_steps(pipeline, request, config)
        where = places(pipeline, environment, request.sample)
        progress.heading(f"{where.schema}: {request.job} ({len(steps)} steps)")
        spark = session(f"headrace {request.job} {pipeline.pipeline}")
        options = Options(request.force, request.as_of, request.since, request.until, request.rescore, request.sample)
        runner = Runner(spark, pipeline, environment, options, progress)
        watch.outcome = runner.outcome
        try:
            outcome = runner.run(steps)
        finally:
            report(summary(runner.outcome))
        closing(progress, outcome, where, time.monotonic() - started)
        if outcome.refused:
            raise GateError(outcome.refused)


def impatient() -> None:
    """A model store that does not answer is told soon: a look at what is there can be had again."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "4")  # seconds


def hush() -> None:
    """Libraries' news of themselves are not for this screen; `HEADRACE_LOG=info` lets them speak."""
    if os.environ.get("HEADRACE_LOG", "warn").lower() in ("info", "debug"):
        return
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # mlflow sets its level when it is imported
    for name in ("mlflow", "alembic", "hyperopt", "XGBoost-PySpark"):  # the last takes its level to the workers
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):  # the error itself is told once, in words
        logging.getLogger(name).setLevel(logging.CRITICAL)
