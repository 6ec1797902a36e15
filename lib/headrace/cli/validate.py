"""`headrace validate`: is the YAML right? Needs no Spark, unless the data are to be asked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from headrace.config.checks.sources import missing_files
from headrace.config.reading import placed, read_pipeline
from headrace.config.types import Pipeline
from headrace.errors import ConfigError


def validate(
    file: Annotated[Path, typer.Argument(help="the pipeline's YAML")],
    env: Annotated[str | None, typer.Option(help="an overlay: env/NAME.yaml beside the file, or in conf/")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="a.b=value, in place of what the file says")] = None,
    data: Annotated[bool, typer.Option("--data", help="also check the expressions against the sources")] = False,
) -> None:
    """Check a pipeline's YAML: all mistakes at once, each with its place.

    Exits with 2 if there are mistakes.

    Example: headrace validate conf/flights.yaml --env prod
    """
    sets = list(set_ or ())
    try:
        pipeline, _ = read_pipeline(file, env, sets)
        if slips := placed(file, sets, missing_files(pipeline, slips=True)):
            raise ConfigError(slips)
        for absent in placed(file, sets, missing_files(pipeline, slips=False)):
            sys.stderr.write(f"note: {absent}\n")  # the data may be elsewhere; a job looks for them before it starts
    except ConfigError as error:
        sys.stderr.write(f"{error.message}\n{counted(len(error.mistakes))}\n")
        raise typer.Exit(error.exit_code) from error
    if data:
        _ask_the_data(file, env, sets)  # tells itself how it went
    sys.stdout.write(f"{file} is valid: {summary(pipeline)}\n")


def counted(mistakes: int) -> str:
    """How many mistakes there are, in words."""
    return "1 mistake" if mistakes == 1 else f"{max(mistakes, 1)} mistakes"


def _ask_the_data(file: Path, env: str | None, sets: list[str]) -> None:
    from headrace.cli.submit import main as submit

    chosen = ["--env", env] if env else []
    submit(["jobs/validate.py", "--config", str(file), *chosen, *(part for s in sets for part in ("--set", s))])


def summary(pipeline: Pipeline) -> str:
    """What a pipeline consists of, in one line."""
    parts = [_many(len(pipeline.tables), "table"), _many(len(pipeline.feature_tables), "feature table")]
    if pipeline.training_set:
        parts.append(f"a training set from {pipeline.training_set.spine}")
        parts.append(_many(len(pipeline.gates), "gate"))
    return ", ".join(part for part in parts if not part.startswith("0 "))


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
