"""`headrace maintain`: housekeeping of a pipeline's tables, for every night."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from headrace.config.durations import microseconds
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError


def maintain(
    file: Annotated[Path, typer.Argument(help="the pipeline's YAML")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be done")] = False,
    table: Annotated[list[str] | None, typer.Option("--table", metavar="T", help="only this table; repeatable")] = None,
    retain: Annotated[
        str | None, typer.Option(metavar="'30 days'", help="how long versions stay readable; default: 400 days")
    ] = None,
    cluster: Annotated[bool, typer.Option("--cluster", help="sort predictions by time, features by entity")] = False,
    env: Annotated[
        str | None, typer.Option(metavar="NAME", help="overlay: env/NAME.yaml beside the file, or in conf/")
    ] = None,
) -> None:
    """Join small files, and delete those of versions that are out of reach and that no registered model needs.

    Example: headrace maintain conf/flights.yaml --dry-run
    """
    read_pipeline(file, env)
    if retain:
        retention_of(retain)
    arguments = ["jobs/maintain.py", "--config", str(file)]
    arguments += ["--dry-run"] * dry_run + ["--cluster"] * cluster
    arguments += [part for name in table or () for part in ("--table", name)]
    for flag, value in (("--retain", retain), ("--env", env)):
        arguments += [flag, value] if value else []
    from headrace.cli.submit import main as submit

    submit(arguments)


LEAST = timedelta(days=7)
"""As in `runtime.maintenance`, which is not imported before Spark is wanted."""


def retention_of(text: str) -> timedelta:
    """The value of `--retain`.

    Raises:
        ConfigError: If it is no duration, or too short for readers and writers that are at work.
    """
    try:
        found = timedelta(microseconds=microseconds(text))
    except ValueError as error:
        raise ConfigError(f"--retain: {error}") from error
    if found < LEAST:
        raise ConfigError(
            f"--retain {text}: at least 7 days; jobs that run now still read files that have left a table"
        )
    return found
