"""`headrace publish`: the feature tables of now, into an online store that `headrace serve` looks them up in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace.config.reading import read_pipeline
from headrace.config.values import moment_of
from headrace.errors import ConfigError

Online = Annotated[
    str,
    typer.Option(
        envvar="HEADRACE_ONLINE",
        metavar="STORE",
        help="sqlite: a file in HEADRACE_HOME; or postgresql://user:${secret:NAME}@host:5432/database",
    ),
]


def publish(
    file: Annotated[Path, typer.Argument(help="the pipeline's YAML")],
    to: Online = "sqlite",
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="T", help="values of this time (UTC); default: now")
    ] = None,
    env: Annotated[
        str | None, typer.Option(metavar="NAME", help="overlay: env/NAME.yaml beside the file, or in conf/")
    ] = None,
) -> None:
    """Copy the feature tables that the model reads, as they are now, into an online store; only what changed is written.

    Example: headrace publish conf/flights.yaml
    """
    read_pipeline(file, env)
    from headrace.serving.online.store import check

    check(to)
    arguments = ["jobs/publish.py", "--config", str(file), "--to", to]
    if as_of is not None:
        try:
            arguments += ["--as-of", moment_of(as_of).isoformat()]
        except ValueError as error:
            raise ConfigError(f"--as-of {as_of} is no time; write 2013-12-01 or 2013-12-01T06:00:00Z (UTC)") from error
    arguments += ["--env", env] if env else []
    from headrace.cli.submit import main as submit

    submit(arguments)
