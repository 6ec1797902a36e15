"""The work of `headrace features --as-of` for window features: their values at a time, computed from the events.

A published row says in `valid_until` when one of its windows changes; between that and the next event nothing is
published, and the values are still something: those that training and scoring would use.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from pyspark.sql import functions as F

from headrace.cli.feature_store.samples import ROWS, entity_of
from headrace.cli.features import chosen
from headrace.cli.job import moment_argument
from headrace.config import secrets
from headrace.config.reading import read_pipeline
from headrace.config.types import Pipeline
from headrace.engine.assemble import add_features
from headrace.engine.buckets import quoted, without_nulls
from headrace.engine.time import moment
from headrace.errors import ConfigError, HeadraceError
from headrace.features.refresh import events_at
from headrace.runtime.home import places
from headrace.training.stage import reader

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from headrace.runtime.tables import Tables

AT = "as_of"
_AT = "__headrace_as_of"


def parser() -> argparse.ArgumentParser:
    """The command line of `jobs/feature_values.py`."""
    made = argparse.ArgumentParser(
        prog="./spark-submit.sh jobs/feature_values.py",
        description="feature_values: the window features of entities as they were at a time; writes nothing.",
        epilog="example: ./spark-submit.sh jobs/feature_values.py --config conf/flights.yaml --table carrier_delays "
        "--at 2013-07-01T12:00:00",
    )
    add = made.add_argument
    add("--config", required=True, metavar="FILE.yaml", help="the pipeline")
    add("--env", metavar="NAME", help="overlay: env/NAME.yaml beside the file, or in conf/: where things are")
    add("--table", required=True, metavar="TABLE", help="a feature table of kind `aggregates`")
    add("--column", metavar="COLUMN", help="one of its features; default: all")
    add("--at", type=moment_argument, required=True, metavar="T", help="the time (UTC)")
    add("--entity", action="append", default=[], metavar="COLUMN=VALUE", help="of this entity; repeat for more columns")
    return made


def values(
    pipeline: Pipeline, tables: Tables, name: str, at: datetime, entity: dict[str, str], column: str | None = None
) -> DataFrame:
    """The features of a table at a time, of at most `ROWS` entities in the order of their keys.

    Args:
        pipeline: The configuration.
        tables: Where its tables are.
        name: A feature table of kind `aggregates`.
        at: The time, UTC.
        entity: Values of key columns, as text: only these.
        column: One feature; None: all, `since_last` among them.

    Returns:
        The key columns; `as_of` (timestamp); the features. No row for entities of which no event was known by then.
    """
    table = pipeline.feature_tables[name]
    keys = [quoted(key) for key in table.entity]

    def cleaned(one: str) -> DataFrame:
        return tables.read(one, tables.last(one).version)

    there = without_nulls(events_at(cleaned(table.from_), table, pipeline.tables[table.from_], at), keys)
    for key, value in entity.items():
        there = there.where(F.col(quoted(key)).cast("string") == value)
    few = there.select(*keys).distinct().orderBy(*keys).limit(ROWS).localCheckpoint()  # asked twice
    read = reader(
        pipeline,
        lambda one: cleaned(one).join(F.broadcast(few), list(table.entity), "left_semi"),
        datetime.now(UTC),
        span=(at, at),
    )
    made = add_features(few.withColumn(_AT, moment(at)), pipeline, (name,), read, spine_time=_AT)
    features = [c for c in made.columns if c.startswith(f"{name}__") and column in (None, c.removeprefix(f"{name}__"))]
    named = [F.col(quoted(c)).alias(c.removeprefix(f"{name}__")) for c in features]
    return made.orderBy(*keys).select(*keys, F.col(_AT).alias(AT), *named)


def told(frame: DataFrame) -> str:
    """Rows in columns separated by tabs, under their names; empty where there are none."""
    rows = frame.select(*(F.coalesce(F.col(quoted(c)).cast("string"), F.lit("NULL")) for c in frame.columns)).collect()
    return "".join("\t".join(line) + "\n" for line in [tuple(frame.columns), *rows]) if rows else ""


def _asked(given: argparse.Namespace) -> str:
    from headrace.cli.running import hush
    from headrace.runtime.session import session
    from headrace.runtime.spark_errors import translated
    from headrace.runtime.tables import Tables

    pipeline, environment = read_pipeline(given.config, given.env)
    name, column = chosen(pipeline, f"{given.table}.{given.column}" if given.column else given.table)
    if name is None or pipeline.feature_tables[name].kind != "aggregates":
        raise ConfigError(f"--table {given.table} has no window features; see headrace features {given.config} {name}")
    entity = entity_of(pipeline.feature_tables[name], given.entity)
    where = places(pipeline, environment)
    hush()
    tables = Tables(session("headrace features"), where.root, where.schema, where.elsewhere)
    try:
        found = told(values(pipeline, tables, name, given.at, entity, column))
    except HeadraceError:
        raise
    except Exception as error:  # Spark's errors have no common base; translated() keeps what it does not know
        raise translated(error, "features") from error
    whose = ", ".join(f"{key} = {value}" for key, value in entity.items()) or "any entity"
    return found or f"no event of {whose} was known by {given.at:%Y-%m-%d %H:%M:%S} UTC: {given.table} has no values\n"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Print the values and exit: 0 done, 2 configuration, 1 anything else."""
    given = parser().parse_args(argv)
    secrets.guard_output()
    try:
        sys.stdout.write(_asked(given))
    except HeadraceError as error:
        sys.stderr.write(f"\n{error.message}\n")
        raise SystemExit(error.exit_code) from None
    sys.stdout.flush()
    raise SystemExit(0)
