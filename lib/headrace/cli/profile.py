"""`headrace profile`: what a data set holds, without writing anything."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.errors import ConfigError

FORMATS = ("text", "markdown", "json")


def profile(
    data: Annotated[
        str, typer.Argument(metavar="[DATA]", help="a file, folder or glob, a table, or a Delta path")
    ] = "",
    format_: Annotated[str, typer.Option("--format", help="text, markdown or json")] = "text",
    label: Annotated[str | None, typer.Option(metavar="COL", help="look for leaks of this column")] = None,
    source_format: Annotated[
        str | None, typer.Option(metavar="F", help="format of Spark's reader (jdbc, delta, orc ...); default: by DATA")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="option of Spark's reader; repeatable")
    ] = None,
) -> None:
    """Profile a file or table: types, missing values, ranges, examples, what to beware of.

    Example: headrace profile data/churn.csv --label churn
    """
    if format_ not in FORMATS:
        raise ConfigError(f"--format {format_}: allowed are {', '.join(FORMATS)}; the source's is --source-format")
    if not data and not source_format:
        raise ConfigError(
            "say where the data are: DATA (a file, folder, table), or --source-format jdbc --option url=..."
        )
    arguments = ["jobs/profile_data.py", *([data] if data else []), "--format", format_]
    for flag, value in (("--label", label), ("--source-format", source_format)):
        arguments += [flag, value] if value else []
    arguments += [part for pair in option or () for part in ("--option", pair)]
    from headrace.cli.submit import main as submit

    submit(arguments)
