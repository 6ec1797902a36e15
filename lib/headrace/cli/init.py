"""`headrace init`: a commented YAML from a file, ready to train."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from headrace.cli.drafting.outfile import check_out
from headrace.cli.drafting.templates import NAMES, written
from headrace.config.file.complaints import meant
from headrace.config.learning import TASKS, UNLABELLED
from headrace.errors import ConfigError


def init(
    out: Annotated[str, typer.Option(metavar="FILE.yaml", help="where to write")],
    data: Annotated[
        str, typer.Argument(metavar="[DATA]", help="a file, folder or glob, a table, or a Delta path")
    ] = "",
    label: Annotated[str | None, typer.Option(metavar="COL", help="the column to predict")] = None,
    key: Annotated[list[str] | None, typer.Option(metavar="COL", help="what makes a row unique; repeatable")] = None,
    event_time: Annotated[str | None, typer.Option(metavar="COL", help="when a row came to be")] = None,
    task: Annotated[str | None, typer.Option(help=f"{', '.join(TASKS)}; default: by the label")] = None,
    user: Annotated[str | None, typer.Option(metavar="COL", help="recommendation: who rates, buys or clicks")] = None,
    item: Annotated[str | None, typer.Option(metavar="COL", help="recommendation: what is recommended")] = None,
    rating: Annotated[
        str | None, typer.Option(metavar="COL", help="recommendation: the rating; without it each row is a like")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="COL", help="no feature; repeatable")] = None,
    name: Annotated[str | None, typer.Option(help="the pipeline's name; default: the data's")] = None,
    source_format: Annotated[
        str | None, typer.Option("--format", metavar="F", help="format of Spark's reader, as jdbc; default: by DATA")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="option of Spark's reader; repeatable")
    ] = None,
    template: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"a ready example instead of DATA: {', '.join(NAMES)}")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
) -> None:
    """Profile a file or table and write a commented YAML that already trains a sensible model.

    Example: headrace init data/churn.csv --label churn --out conf/churn.yaml
    """
    check_out(out, force)
    given = (
        ("--label", label),
        ("--event-time", event_time),
        ("--task", task),
        ("--user", user),
        ("--item", item),
        ("--rating", rating),
        ("--name", name),
        ("--format", source_format),
    )
    if template is not None:
        stray = [
            flag for flag, value in (*given, ("--key", key), ("--exclude", exclude), ("--option", option)) if value
        ]
        if data or stray:
            raise ConfigError(
                f"--template stands alone with --out; leave out {', '.join([*stray, *([data] if data else [])])}"
            )
        sys.stdout.write(written(template, out))
        return
    if task is not None and task not in TASKS:
        raise ConfigError(f"--task {task}: there is no such task; there are {', '.join(TASKS)}{meant(task, TASKS)}")
    _check_task(task, label, {"--user": user, "--item": item, "--rating": rating})
    if not data and not source_format:
        raise ConfigError("say where the data are: DATA (a file, folder, table), or --format jdbc --option url=...")
    arguments = ["jobs/init.py", *([data] if data else []), "--out", out]
    for flag, values in (("--key", key), ("--exclude", exclude), ("--option", option)):
        arguments += [part for value in values or () for part in (flag, value)]
    arguments += [part for flag, value in given if value for part in (flag, value)]
    from headrace.cli.submit import main as submit

    submit([*arguments, "--force"] if force else arguments)


def _check_task(task: str | None, label: str | None, recommends: dict[str, str | None]) -> None:
    """Refuse a label where there is none, and the flags of a recommendation elsewhere."""
    if task == "recommendation":
        missing = [flag for flag in ("--user", "--item") if not recommends[flag]]
        if missing:
            raise ConfigError(f"--task recommendation needs {' COL and '.join(missing)} COL (and --rating COL, if any)")
    elif any(recommends.values()):
        given = ", ".join(flag for flag, value in recommends.items() if value)
        raise ConfigError(f"{given}: that is of --task recommendation")
    if task in (*UNLABELLED, "recommendation"):
        if label:
            raise ConfigError(f"--task {task} learns without a label; leave --label out")
    elif not label:
        raise ConfigError(
            "name the column to predict: --label COL (or take a ready example: --template NAME; without a label there "
            f"are --task {', '.join(UNLABELLED)} and recommendation)"
        )
