"""The work of `headrace maintain`: each table of the pipeline's schema is looked after, and told in numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from headrace.cli.maintain import retention_of
from headrace.config import secrets
from headrace.config.file.complaints import meant
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError, HeadraceError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from headrace.config.types import Environment, Pipeline
    from headrace.runtime.home import Places
    from headrace.runtime.maintenance import Joined, Removed
    from headrace.runtime.tables import Tables


@dataclass(frozen=True)
class Wish:
    """What is asked of a housekeeping; see the command's options."""

    tables: tuple[str, ...] = ()
    retention: timedelta | None = None
    cluster: bool = False
    dry_run: bool = False


def parser() -> argparse.ArgumentParser:
    """The command line of `jobs/maintain.py`."""
    made = argparse.ArgumentParser(
        prog="./spark-submit.sh jobs/maintain.py",
        description="maintain: joins small files, and deletes those of versions that nobody needs.",
        epilog="example: ./spark-submit.sh jobs/maintain.py --config conf/flights.yaml --dry-run",
    )
    add = made.add_argument
    add("--config", required=True, metavar="FILE.yaml", help="the pipeline")
    add("--env", metavar="NAME", help="overlay: env/NAME.yaml beside the file, or in conf/: where things are")
    add("--table", action="append", default=[], metavar="T", help="only this table; repeatable")
    add("--retain", metavar="'30 days'", help="how long versions stay readable; default: as the tables' properties say")
    add("--cluster", action="store_true", help="sort predictions by time, feature tables by entity")
    add("--dry-run", action="store_true", help="only say what would be done")
    return made


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Maintain and exit: 0 done, 2 configuration, 1 anything else, as a model store that does not answer."""
    given = parser().parse_args(argv)
    secrets.guard_output()
    try:
        pipeline, environment = read_pipeline(given.config, given.env)
        retention = retention_of(given.retain) if given.retain else None
        from headrace.cli.running import hush
        from headrace.runtime.session import session

        hush()
        spark = session(f"headrace maintain {pipeline.pipeline}")
        wish = Wish(tuple(given.table), retention, given.cluster, given.dry_run)
        for line in maintained(spark, pipeline, environment, wish):
            sys.stdout.write(f"{line}\n")
    except HeadraceError as error:
        sys.stderr.write(f"\n{error.message}\n")
        raise SystemExit(error.exit_code) from None
    sys.stdout.flush()
    raise SystemExit(0)


def maintained(spark: SparkSession, pipeline: Pipeline, environment: Environment, wish: Wish) -> list[str]:
    """Look after the tables of a pipeline's schema.

    Args:
        spark: The session.
        pipeline: The configuration.
        environment: The overlay.
        wish: What is asked.

    Returns:
        A line per table with something to do, and a total.

    Raises:
        ConfigError: If there is no such table.
        HeadraceError: If the model store does not answer: without it nobody knows what is needed.
    """
    from headrace.runtime.home import places
    from headrace.runtime.maintenance import Maintenance
    from headrace.runtime.tables import Tables

    where = places(pipeline, environment)
    tables = Tables(spark, where.root, where.schema, where.elsewhere)
    there = tables.log.tables()
    for name in wish.tables:
        if name.lower() not in there:
            raise ConfigError(
                f"--table {name}: there is no such table; there are: {', '.join(there)}{meant(name, there)}"
            )
    needed = needed_versions(spark, where, tables)
    work = Maintenance(spark, tables, {"stage": "maintain"}, wish.dry_run)
    order = _order(pipeline) if wish.cluster else {}
    lines: list[str] = []
    freed = joined = 0
    for name in [table.lower() for table in wish.tables] or there:
        one = work.join_small_files(name, order.get(name, ()))
        two = work.remove_old_files(name, wish.retention, needed.get(name))
        freed, joined = freed + (two.files if two else 0), joined + (one.files - (one.into or 0) if one else 0)
        if one or two:
            lines.append(f"{name}: {'; '.join(filter(None, (_joined(one), _removed(two, needed.get(name)))))}")
    does = "would be " if wish.dry_run else ""
    lines.append(f"{where.schema}: {len(lines)} tables; {joined:,} files {does}joined, {freed:,} {does}deleted")
    return lines


def needed_versions(spark: SparkSession, where: Places, tables: Tables) -> Mapping[str, int]:
    """Of each table the oldest version that a registered model needs; also models of pipelines that share tables.

    Raises:
        HeadraceError: If the model store does not answer.
    """
    from headrace.models.needed import lineage, oldest, tagged
    from headrace.models.store import ModelStore
    from headrace.runtime.commits import CommitLog, files_for
    from headrace.runtime.home import has_models

    if not has_models(where.tracking_uri):
        return {}
    store = ModelStore(where.tracking_uri)
    found: set[tuple[str, int]] = set()
    for model in store.names():
        root = f"{where.warehouse.rstrip('/')}/{model}"
        log = tables.log if model == where.schema else CommitLog(root, files_for(root, spark))
        own = lineage(log, tagged(store.versions(model)))
        # of another pipeline's model only what it reads from here: tables that its own schema does not have
        found |= {one for one in own if model == where.schema or log.latest_version(one[0]) is None}
    return oldest((table, version) for table, version in found if table not in where.elsewhere)


def _order(pipeline: Pipeline) -> dict[str, tuple[str, ...]]:
    """How tables are asked: predictions by time, features by entity."""
    features = {name: table.entity for name, table in pipeline.feature_tables.items() if not table.shared}
    return {**features, pipeline.scoring.output: ("predict_at",)}


def _joined(done: Joined | None) -> str:
    if done is None:
        return ""
    told = f"{done.files:,} files ({_bytes(done.bytes)})"
    return f"{told} into {done.into:,}" if done.into is not None else f"{told} to be joined"


def _removed(done: Removed | None, needed: int | None) -> str:
    if done is None:
        return ""
    size = "" if done.bytes is None else f" ({_bytes(done.bytes)})"
    reach = f"older than {done.retention.days} days"
    return f"{done.files:,} files{size} {reach} deleted" + (f", version {needed} is kept" if needed is not None else "")


def _bytes(size: int) -> str:
    amount, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
