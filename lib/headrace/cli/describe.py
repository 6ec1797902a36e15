"""`headrace describe`: what the tables of a pipeline mean, and how they stand. Needs no Spark where they are local."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from headrace.cli.describing import PipelineFacts, TableFacts, described
from headrace.cli.planning.plans import NeedsSparkError
from headrace.cli.running import Request, check
from headrace.config.reading import read_pipeline
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Format = Literal["text", "markdown", "json"]


def describe(
    file: Annotated[str, typer.Argument(help="the pipeline's YAML")],
    table: Annotated[str | None, typer.Argument(help="one of its tables, with its columns; default: all")] = None,
    env: Annotated[
        str | None, typer.Option("--env", help="overlay: env/NAME.yaml beside the file, or in conf/")
    ] = None,
    sample: Annotated[str | None, typer.Option("--sample", help="the tables of a run with --sample")] = None,
    format_: Annotated[Format, typer.Option("--format", help="markdown: a data dictionary; json: for tools")] = "text",
) -> None:
    """Tell what tables and columns mean, who answers for them, and how they stand.

    Examples: headrace describe conf/flights.yaml

      headrace describe conf/flights.yaml carrier_delays

      headrace describe conf/flights.yaml --format markdown > dictionary.md
    """
    try:
        sys.stdout.write(show(file, table, env, sample, format_))
    except NeedsSparkError:
        from headrace.cli.submit import main as submit

        options = {"--table": table, "--env": env, "--sample": sample, "--format": format_}
        chosen = [part for option, value in options.items() if value for part in (option, value)]
        submit(["jobs/describe.py", "--config", file, *chosen])


def show(
    file: str, table: str | None, env: str | None, sample: str | None, format_: str, spark: SparkSession | None = None
) -> str:
    """The description in a format."""
    check(Request(sample=sample))
    pipeline, environment = read_pipeline(file, env=env)
    facts = described(pipeline, environment, table, sample, spark)
    if format_ == "json":
        return json.dumps(asdict(facts), indent=2) + "\n"
    if format_ == "markdown":
        return markdown(facts)
    return one(facts.tables[0]) if table is not None else overview(facts)


def job(argv: Sequence[str] | None = None) -> NoReturn:
    """The entry of `jobs/describe.py`."""
    import argparse

    from headrace.runtime.session import session

    parser = argparse.ArgumentParser(
        prog="./spark-submit.sh jobs/describe.py",
        description="Tell what tables and columns mean, where the tables are not on this machine; see headrace describe.",
        epilog="example: ./spark-submit.sh jobs/describe.py --config conf/flights.yaml --table flights",
    )
    parser.add_argument("--config", required=True, metavar="FILE.yaml", help="the pipeline")
    for option in ("--table", "--env", "--sample"):
        parser.add_argument(option)
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    asked = parser.parse_args(argv)
    code = 0
    try:
        spark = session("headrace describe")
        sys.stdout.write(show(asked.config, asked.table, asked.env, asked.sample, asked.format, spark))
    except HeadraceError as error:
        sys.stderr.write(f"{error.message}\n")
        code = error.exit_code
    sys.stdout.flush()
    raise SystemExit(code)


def overview(facts: PipelineFacts) -> str:
    """A line a table."""
    head = [f"{facts.schema}: {facts.description}" if facts.description else facts.schema]
    head += [f"  {name:<6} {value}" for name, value in _about(facts.owner, facts.tags)]
    rows = [(t.name, _count(t.rows), _at(t), _line(t.description)) for t in facts.tables]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{n:<{widths[0]}}  {r:>{widths[1]}} rows  {v:<{widths[2]}}  {d}".rstrip() for n, r, v, d in rows]
    return "\n".join([*head, "", *lines]) + "\n"


def one(table: TableFacts) -> str:
    """A table with its columns."""
    head = [f"{table.name}: {_line(table.description)}" if table.description else table.name]
    head += [f"  {name:<8} {value}" for name, value in [*_about(table.owner, table.tags), *_standing(table)]]
    widths = [max([len(getattr(c, part)) for c in table.columns] or [0]) for part in ("name", "type")]
    lines = [
        f"  {c.name:<{widths[0]}}  {c.type:<{widths[1]}}  {_line(c.comment)}{_tags(c.tags)}".rstrip()
        for c in table.columns
    ]
    return "\n".join([*head, "", *lines]) + "\n"


def markdown(facts: PipelineFacts) -> str:
    """A data dictionary: every table with its columns."""
    parts = [f"# {facts.schema}", *([_cell(facts.description)] if facts.description else [])]
    parts += [", ".join(f"{name}: {_cell(value)}" for name, value in _about(facts.owner, facts.tags))]
    for table in facts.tables:
        parts += [f"## {table.name}", _cell(table.description)]
        parts.append("\n".join(f"- {n}: {_cell(v)}" for n, v in [*_about(table.owner, table.tags), *_standing(table)]))
        rows = [f"| `{c.name}` | {c.type} | {_cell(c.comment)}{_cell(_tags(c.tags))} |" for c in table.columns]
        parts += ["\n".join(["| column | type | meaning |", "| --- | --- | --- |", *rows])] if rows else []
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(owner: str, tags: Sequence[str]) -> list[tuple[str, str]]:
    return [(n, v) for n, v in (("owner", owner), ("tags", ", ".join(tags))) if v]


def _standing(table: TableFacts) -> list[tuple[str, str]]:
    if table.version is None:
        return [("version", "not there yet")]
    by = f" by run {table.run}" if table.run else ""
    found = [
        ("version", f"{table.version}, written {table.written} UTC{by} ({table.stage})"),
        ("rows", _count(table.rows)),
    ]
    made = [f"{name} version {v}" if isinstance(v, int) else f"{name} {v}" for name, v in table.inputs.items()]
    return found + [(n, ", ".join(v)) for n, v in (("from", made), ("views", table.views)) if v]


def _at(table: TableFacts) -> str:
    return "not there yet" if table.version is None else f"version {table.version}, {table.written}"


def _count(rows: int | None) -> str:
    return "?" if rows is None else f"{rows:,}"


def _tags(tags: Sequence[str]) -> str:
    return f" [{', '.join(tags)}]" if tags else ""


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|").replace("<", "&lt;")
