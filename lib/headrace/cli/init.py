"""`headrace init`: a commented YAML from a file, ready to train."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from headrace.cli.init_job import check_out
from headrace.errors import ConfigError


def init(
    data: Annotated[str, typer.Argument(metavar="DATA", help="a file, folder or glob: CSV, Parquet or JSON")],
    label: Annotated[str, typer.Option(metavar="COL", help="the column to predict")],
    out: Annotated[str, typer.Option(metavar="FILE.yaml", help="where to write")],
    key: Annotated[list[str] | None, typer.Option(metavar="COL", help="what makes a row unique; repeatable")] = None,
    event_time: Annotated[str | None, typer.Option(metavar="COL", help="when a row came to be")] = None,
    task: Annotated[str | None, typer.Option(help="binary, multiclass or regression; default: by the label")] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="COL", help="no feature; repeatable")] = None,
    name: Annotated[str | None, typer.Option(help="the pipeline's name; default: the file's")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
) -> None:
    """Profile a file and write a commented YAML that already trains a sensible model."""
    try:
        check_out(out, force)
    except ConfigError as error:
        sys.stderr.write(f"{error.message}\n")
        raise typer.Exit(error.exit_code) from error
    arguments = ["jobs/init.py", data, "--label", label, "--out", out]
    arguments += [part for column in key or () for part in ("--key", column)]
    arguments += [part for column in exclude or () for part in ("--exclude", column)]
    for flag, value in (("--event-time", event_time), ("--task", task), ("--name", name)):
        arguments += [flag, value] if value else []
    from headrace.cli.submit import main as submit

    submit([*arguments, "--force"] if force else arguments)
