"""The Spark session of code and notebooks: the one that is there, otherwise one as `spark-submit.sh` makes it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.cli.arguments import parse
from headrace.cli.submit import PREPARED, of_pipeline, options, wishes_of
from headrace.config.types import Environment, Pipeline
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime import launch, settings
from headrace.runtime.home import home
from headrace.runtime.jars import FILES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ARGUMENTS = "PYSPARK_SUBMIT_ARGS"
SHELL = "pyspark-shell"
MEANING = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}
"What decides what results mean, and is not left to a user's session."


def session(name: str, pipeline: Pipeline | None = None, environment: Environment | None = None) -> SparkSession:
    """The active session if there is one, otherwise a new one with Delta.

    A new one is started as jobs are: Java, jars and properties by the same code, with the settings of the pipeline and
    its environment, and what `PYSPARK_SUBMIT_ARGS` says on top. It is kept for the whole process: settings of
    pipelines that are opened later do not reach it.

    Args:
        name: The application's name, where one is started.
        pipeline: Whose `spark:` holds.
        environment: Its overlay.

    Raises:
        ConfigError: If the active session has no Delta, or Java is missing.
        HeadraceError: If the jars cannot be had.
    """
    from pyspark import SparkContext
    from pyspark.sql import SparkSession
    from pyspark.sql.utils import is_remote

    if is_remote():
        raise ConfigError(
            "this is a session of Spark Connect, and Headrace works in the driver; unset SPARK_REMOTE and "
            "SPARK_CONNECT_MODE_ENABLED, and start anew"
        )
    active = SparkSession.getActiveSession()
    if active is None and SparkContext._gateway is None and "PYSPARK_GATEWAY_PORT" not in os.environ:
        with prepared(pipeline, environment):
            active = _started(name)
    return with_delta(active or SparkSession.builder.appName(name).getOrCreate())


def _started(name: str) -> SparkSession:
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    try:
        return SparkSession.builder.appName(name).getOrCreate()
    except PySparkRuntimeError as error:
        if error.getCondition() != "JAVA_GATEWAY_EXITED":
            raise
        raise HeadraceError(
            f"Java ({os.environ['JAVA_HOME']}) ended before Spark had started; what it said stands above. Look at "
            f"spark: of the YAML and at {ARGUMENTS}, or set JAVA_HOME to another Java"
        ) from error


def steady(spark: SparkSession) -> SparkSession:
    """A session in which SQL means what it means in jobs (UTC, ANSI): this one, or a sibling that leaves it alone."""
    if all(spark.conf.get(key) == value for key, value in MEANING.items()):
        return spark
    sibling = spark.newSession()
    for key, value in MEANING.items():
        sibling.conf.set(key, value)
    return sibling


def with_delta(spark: SparkSession) -> SparkSession:
    """The session, if it can read and write Delta tables.

    Raises:
        ConfigError: If it cannot; says what to do.
    """
    found = {key: spark.conf.get(key, "") or "" for key in settings.DELTA}
    if all(value in found[key] for key, value in settings.DELTA.items()):
        return spark
    needed = " ".join(f"--conf {key}={value}" for key, value in settings.DELTA.items())
    raise ConfigError(
        "the active Spark session has no Delta Lake, and the running JVM cannot get it any more. One of these:\n"
        "- restart Python (in a notebook: the kernel) and make no session: Headrace makes one with all it needs\n"
        "- start the script with ./spark-submit.sh script.py\n"
        f"- give your own session {' and '.join(FILES)} (by --jars) and {needed}"
    )


@contextmanager
def prepared(pipeline: Pipeline | None, environment: Environment | None) -> Iterator[None]:
    """While this lasts, a JVM that PySpark starts is one as `spark-submit.sh` starts it."""
    given = os.environ.get(ARGUMENTS)
    line = parse([part for part in shlex.split(given or "") if part != SHELL])
    wishes = wishes_of(line, own=False, quick=False)
    if pipeline is not None:
        wishes = of_pipeline(wishes, pipeline, environment or Environment())
    ready = launch.prepare(home(), replace(wishes, archive=False))
    if ready.notice:
        sys.stderr.write(f"headrace: {ready.notice}\n")
    _keep(ready.env)
    os.environ[ARGUMENTS] = shlex.join([*options(line, ready), SHELL])
    try:
        yield
    finally:
        os.environ.pop(ARGUMENTS)
        if given is not None:
            os.environ[ARGUMENTS] = given


def _keep(env: Mapping[str, str]) -> None:
    """What PySpark asks of the environment also later, for its workers; tables stay where they were looked for."""
    os.environ.update({name: env[name] for name in PREPARED if name in env and name != "HEADRACE_HOME"})
