"""`headrace backfill`: a window of published feature tables is computed anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.replay import check_table
from headrace.config.reading import read_pipeline
from headrace.config.values import moment_of
from headrace.errors import ConfigError


def backfill(
    file: Annotated[Path, typer.Argument(help="the pipeline's YAML")],
    since: Annotated[str | None, typer.Option(metavar="T", help="rows whose valid_from is T or later")] = None,
    until: Annotated[str | None, typer.Option(metavar="T", help="rows whose valid_from is before T")] = None,
    table: Annotated[str | None, typer.Option("--table", metavar="T", help="only this feature table")] = None,
    env: Annotated[
        str | None, typer.Option(metavar="NAME", help="overlay: env/NAME.yaml beside the file, or in conf/")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="a.b=value", help="change a value")] = None,
) -> None:
    """Compute the rows of a window anew, and write what differs from the rows that stand.

    Example: headrace backfill conf/flights.yaml --since 2013-03-01 --until 2013-04-01
    """
    pipeline, _ = read_pipeline(file, env, list(set_ or ()))
    if table:
        check_table(table, [name for name, one in pipeline.feature_tables.items() if not one.shared])
    if not since and not until:
        raise ConfigError("a backfill needs --since, --until, or both; --force features makes the whole tables anew")
    for flag, text in (("--since", since), ("--until", until)):
        _check_moment(flag, text)
    arguments = ["jobs/features.py", "--config", str(file), "--force", "features"]
    given = (("--since", since), ("--until", until), ("--select", table), ("--env", env))
    arguments += [part for flag, value in given if value for part in (flag, value)]
    arguments += [part for text in set_ or () for part in ("--set", text)]
    from headrace.cli.submit import main as submit

    submit(arguments)


def _check_moment(flag: str, text: str | None) -> None:
    try:
        moment_of(text or "2000-01-01")
    except ValueError as error:
        raise ConfigError(f"{flag}: {text!r} is no time; write 2013-12-01 or 2013-12-01T06:00:00Z (UTC)") from error
