"""`headrace replay`: quarantined rows are judged again, after a rule or the data was mended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace.config.file.complaints import meant
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError


def replay(
    file: Annotated[Path, typer.Argument(help="the pipeline's YAML")],
    table: Annotated[list[str] | None, typer.Option("--table", metavar="T", help="only this table; repeatable")] = None,
    since: Annotated[str | None, typer.Option(metavar="T", help="report on rows that landed from here on")] = None,
    until: Annotated[str | None, typer.Option(metavar="T", help="report on rows that landed before this")] = None,
    env: Annotated[
        str | None, typer.Option(metavar="NAME", help="overlay: env/NAME.yaml beside the file, or in conf/")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="a.b=value", help="change a value")] = None,
    force: Annotated[bool, typer.Option("--force", help="judge again though nothing has changed")] = False,
) -> None:
    """Judge quarantined rows again, and move what passes into the cleaned tables, exactly once.

    Example: headrace replay conf/flights.yaml --table flights
    """
    pipeline, _ = read_pipeline(file, env, list(set_ or ()))
    for name in table or ():
        check_table(name, [t for t, one in pipeline.tables.items() if not one.shared])
    arguments = ["jobs/replay.py", "--config", str(file), *(["--force"] if force else [])]
    for flag, value in (("--since", since), ("--until", until), ("--env", env)):
        arguments += [flag, value] if value else []
    arguments += [part for name in table or () for part in ("--table", name)]
    arguments += [part for text in set_ or () for part in ("--set", text)]
    from headrace.cli.submit import main as submit

    submit(arguments)


def check_table(name: str, known: list[str]) -> None:
    """Refuse what is no table of a pipeline.

    Raises:
        ConfigError: With those that there are.
    """
    if name.lower() not in known:
        told = ", ".join(known) or "none"
        raise ConfigError(f"--table {name}: this pipeline makes no such table; it makes {told}{meant(name, known)}")
