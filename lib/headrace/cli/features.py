"""`headrace features`: the features of a pipeline, what they are made from, how fresh they are, and a sample."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from headrace.cli.feature_store.facts import Feature, FeatureTableFacts, feature_tables, told, unpublished
from headrace.cli.feature_store.samples import entity_of, query
from headrace.config.file.complaints import meant
from headrace.config.reading import read_pipeline
from headrace.config.types import Pipeline
from headrace.config.values import moment_of
from headrace.errors import ConfigError
from headrace.runtime.commits import CommitLog, LocalFiles, is_local
from headrace.runtime.home import Places, places

UNPUBLISHED = "for training and scoring alone: it holds for no stretch of time; --as-of T shows it"
Format = Literal["text", "json"]


def features(
    file: Annotated[str, typer.Argument(help="the pipeline's YAML")],
    name: Annotated[
        str | None, typer.Argument(help="a feature table, or one feature as TABLE.COLUMN; default: all")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="show the values at this time (UTC), as training would see them")
    ] = None,
    entity: Annotated[
        list[str] | None, typer.Option("--entity", help="show the values of this entity, COLUMN=VALUE; repeat for more")
    ] = None,
    env: Annotated[
        str | None, typer.Option("--env", help="overlay: env/NAME.yaml beside the file, or in conf/")
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="json: for tools")] = "text",
) -> None:
    """List features: type, what, window, source columns, rows, freshness; with a name, where they come from.

    Examples: headrace features conf/flights.yaml

      headrace features conf/flights.yaml carrier_delays.arr_delay_mean_3h

      headrace features conf/flights.yaml carrier_delays --as-of 2013-07-01T12:00:00 --entity carrier=UA

    With --as-of or --entity, Spark is asked for values; all else needs none.
    """
    pipeline, environment = read_pipeline(file, env=env)
    table, column = chosen(pipeline, name)
    where = places(pipeline, environment)
    if as_of is not None or entity:
        if table is None:
            raise ConfigError("--as-of and --entity show rows of one feature table: name it")
        _show(file, env, pipeline, where, (table, column), _moment(as_of), entity or [])
        return
    if not is_local(where.warehouse):
        raise ConfigError(f"the warehouse {where.warehouse} is not on this machine; see headrace describe {file}")
    log = CommitLog(where.root.removeprefix("file://"), LocalFiles(), where.elsewhere)
    found = [t for t in feature_tables(pipeline, log, where.schema, datetime.now(UTC)) if _is(t, table)]
    if format_ == "json":
        sys.stdout.write(json.dumps([asdict(t) for t in found], indent=2) + "\n")
    elif column is not None:
        feature = next((f for f in found[0].features if f.name == column), None)
        sys.stdout.write(one(found[0], feature) if feature else f"{found[0].name}.{column}: {UNPUBLISHED}\n")
    else:
        sys.stdout.write(listed(found, lineage=table is not None))


def _show(
    file: str,
    env: str | None,
    pipeline: Pipeline,
    where: Places,
    name: tuple[str, str | None],
    at: datetime,
    entity: list[str],
) -> None:
    """Ask Spark for values at a time: of windows computed, of other kinds as the table has them."""
    table, column = name
    picked = pipeline.feature_tables[table]
    pairs = entity_of(picked, entity)
    if picked.kind != "aggregates":
        from headrace.cli.sql import sql

        sql(query(where.shared.get(table, where.schema), table, picked, at, pairs), config=Path(file), env=env)
        return
    from headrace.cli.submit import main as submit

    options = [*(("--env", env) if env else ()), *(("--column", column) if column else ())]
    options += [part for key, value in pairs.items() for part in ("--entity", f"{key}={value}")]
    submit(["jobs/feature_values.py", "--config", file, "--table", table, "--at", at.isoformat(), *options])


def chosen(pipeline: Pipeline, name: str | None) -> tuple[str | None, str | None]:
    """The feature table and the column that a name means.

    Raises:
        ConfigError: If there is none of this name.
    """
    if name is None:
        return None, None
    parts = name.lower().removeprefix(f"{pipeline.pipeline}.").split(".")
    table, tables = parts[0], list(pipeline.feature_tables)
    if table not in tables:
        there = ", ".join(tables) or "none"
        rows = pipeline.training_set.row_features if pipeline.training_set else {}
        if table in rows:
            raise ConfigError(f"{table} is in no feature table, it is computed of each row: {rows[table]}")
        raise ConfigError(f"no feature table is called {table!r}; there are: {there}{meant(table, tables)}")
    if len(parts) == 1:
        return table, None
    columns = [line[0] for line in told(pipeline.feature_tables[table])]
    column = ".".join(parts[1:])
    if column not in {*columns, *unpublished(pipeline.feature_tables[table])}:
        raise ConfigError(f"{table} has no feature {column!r}; there are: {', '.join(columns)}{meant(column, columns)}")
    return table, column


def _is(facts: FeatureTableFacts, table: str | None) -> bool:
    return table is None or facts.name.rpartition(".")[2] == table


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        return moment_of(text)
    except ValueError as error:
        raise ConfigError(f"--as-of {text} is no time; write 2013-12-01 or 2013-12-01T06:00:00Z (UTC)") from error


def listed(tables: Sequence[FeatureTableFacts], lineage: bool = False) -> str:
    """The feature tables, a line a feature."""
    if not tables:
        return "the pipeline has no feature tables; see `feature_tables` in docs/configuration.md\n"
    return "\n".join(_table(t, lineage) for t in tables)


def _table(table: FeatureTableFacts, lineage: bool) -> str:
    rows = "?" if table.rows is None else f"{table.rows:,}"
    head = [f"{table.name}: {table.description}" if table.description else table.name]
    head.append(f"  entity {', '.join(table.entity)}; published {table.published}")
    if table.written:
        head.append(f"  {rows} rows, written {table.written} UTC; {table.freshness}")
    else:
        head.append(f"  {table.freshness}")
    if table.views:
        head.append(f"  views {', '.join(table.views)}")
    cells = [(f.name, f.type, f.what, f.window, ", ".join(f.source)) for f in table.features]
    titles = ("column", "type", "what", "window", "source columns")
    widths = [max(len(row[i]) for row in [titles, *cells]) for i in range(len(titles))]
    lines = [
        "  " + "  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in (titles, *cells)
    ]
    ways = dict.fromkeys(line for f in table.features for line in f.lineage) if lineage else {}
    return "\n".join([*head, *lines, *(["  lineage"] if ways else []), *(f"    {way}" for way in ways)]) + "\n"


def one(table: FeatureTableFacts, feature: Feature) -> str:
    """One feature, with the way back to its source."""
    about = [
        ("type", feature.type or "not there yet"),
        ("what", feature.what),
        ("window", feature.window),
        ("entity", ", ".join(table.entity)),
        ("published", table.published),
        ("comment", feature.comment),
        ("freshness", table.freshness),
        ("from", ", ".join(feature.source)),
    ]
    lines = [f"  {name:<9}  {value}" for name, value in about if value]
    return "\n".join([f"{table.name}.{feature.name}", *lines, *(f"    {line}" for line in feature.lineage)]) + "\n"
