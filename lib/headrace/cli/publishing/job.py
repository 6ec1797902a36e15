"""The work of `headrace publish`: the feature tables of now, into an online store."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, NoReturn

from headrace.cli.job import moment_argument
from headrace.config import secrets
from headrace.config.reading import read_pipeline
from headrace.config.types import Environment, Pipeline
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime.home import places
from headrace.runtime.progress import Progress
from headrace.serving.online.store import Publish, Written, check, opened, sqlite_path

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from headrace.serving.online.store import Row

SQLITE = "sqlite"


def parser() -> argparse.ArgumentParser:
    """The command line of `jobs/publish.py`."""
    made = argparse.ArgumentParser(
        prog="./spark-submit.sh jobs/publish.py",
        description="publish: copies the feature tables of now into an online store, for headrace serve.",
        epilog="example: ./spark-submit.sh jobs/publish.py --config conf/flights.yaml",
    )
    add = made.add_argument
    add("--config", required=True, metavar="FILE.yaml", help="the pipeline")
    add("--env", metavar="NAME", help="overlay: env/NAME.yaml beside the file, or in conf/: where things are")
    add(
        "--to",
        default=os.environ.get("HEADRACE_ONLINE", SQLITE),
        metavar="STORE",
        help="sqlite, or postgresql://user:${secret:NAME}@host/database; default: HEADRACE_ONLINE, else sqlite",
    )
    add("--as-of", type=moment_argument, metavar="T", help="values of this time (UTC); default: now")
    add("--schedule", metavar="NAME", help="the schedule that runs it; values are of now in any case")
    add("--set", dest="sets", action="append", default=[], metavar="a.b=value", help="change a value of the YAML")
    return made


def published(
    spark: SparkSession, pipeline: Pipeline, environment: Environment, to: str, at: datetime, progress: Progress
) -> Written:
    """Bring an online store up to date.

    Args:
        spark: The session.
        pipeline: The configuration.
        environment: The overlay.
        to: `sqlite`, or the URL of a PostgreSQL database.
        at: The time of which the values are.
        progress: Told what is done.

    Raises:
        ConfigError: If there is nothing to publish, or nowhere to, or the champion learned from other definitions.
        HeadraceError: If another publish is at work.
    """
    from headrace.cli.publishing.definitions import made_now, refuse_others
    from headrace.cli.publishing.derived import row_features
    from headrace.cli.publishing.rows import made_of, online_table, read_by
    from headrace.runtime.tables import Tables

    training = pipeline.training_set
    if training is None or not (training.features or training.row_features):
        raise ConfigError(
            "the model has no feature tables and no row features (training_set.features, row_features): there is nothing "
            "to publish"
        )
    if training.transform:
        raise ConfigError(
            f"training_set.transform ({training.transform}) is Python on Spark: what it makes of looked-up features nobody "
            "can tell in real time. Requests have to give all features; there is nothing to publish"
        )
    check(to)
    where = places(pipeline, environment)
    tables = Tables(spark, where.root, where.schema, where.elsewhere)
    made = made_now(pipeline, tables)
    refuse_others(pipeline, where, made, progress)
    before = _before(to, where.schema)
    described, frames = {}, {}
    for name in training.features:
        table, last = pipeline.feature_tables[name], tables.last(read_by(pipeline, name))
        known = before.tables.get(name) if before else None
        if table.kind == "lookup" and known and known.made_of == made_of(table, last.version):
            described[name] = known  # rows without a time: what has not changed need not be looked at
            progress.say(f"{name}: unchanged")
            continue
        described[name], frames[name] = online_table(pipeline, tables, name, at)
    with progress.step(f"publish {', '.join(frames) or 'nothing new'}"):
        columns, computed, others = row_features(pipeline, tables, described)
        if others:
            progress.say(f"requests have to give these row features, which need Spark: {', '.join(others)}")
        publish = Publish(0, at, described, columns, tuple(computed), made)
        rows = reduce(lambda a, b: a.unionByName(b), frames.values()) if frames else None
        if to == SQLITE:
            return _to_sqlite(spark, rows, where.schema, publish, tuple(frames))
        return _to_postgres(rows, to, where.schema, publish, tuple(frames))


def _before(to: str, schema: str) -> Publish | None:
    store = opened(to, schema)
    try:
        return store.publish()
    finally:
        store.close()


def _to_sqlite(
    spark: SparkSession, rows: DataFrame | None, schema: str, publish: Publish, whole: tuple[str, ...]
) -> Written:
    """Executors write files on this machine, and these go into the store batch by batch."""
    from headrace.serving.online.sqlite import write

    master = spark.conf.get("spark.master", "") or ""
    if not master.startswith("local"):
        raise ConfigError(
            f"--to sqlite is a file on one machine, and executors of {master} write on others; publish to "
            "postgresql://user:${secret:NAME}@host/database, or run with --master local[*]"
        )
    path = sqlite_path(schema)
    folder = path.parent / f".{schema}-{time.time_ns()}"
    for left in path.parent.glob(f".{schema}-*") if path.parent.exists() else ():
        if time.time_ns() - int(left.name.rpartition("-")[2]) > DAY:  # of a publish that was killed
            shutil.rmtree(left, ignore_errors=True)
    try:
        if rows is not None:
            rows.write.parquet(folder.as_uri())
        return write(path, publish, _read(folder) if rows is not None else (), whole)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


DAY = 86_400_000_000_000
"""In nanoseconds."""


def _read(folder: object) -> Iterator[list[Row]]:
    import pyarrow.dataset as dataset

    from headrace.cli.publishing.rows import rows_of

    for batch in dataset.dataset(str(folder), format="parquet").to_batches(batch_size=10_000):
        yield rows_of(batch)


def _to_postgres(rows: DataFrame | None, url: str, schema: str, publish: Publish, whole: tuple[str, ...]) -> Written:
    """Executors copy rows into a staging table; one transaction moves what differs."""
    from headrace.cli.publishing.rows import rows_of
    from headrace.serving.online.postgres_writing import begin, copied, moved

    work = begin(url, schema)
    try:
        if rows is not None:
            address, staging = work.address, work.staging

            def copy(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
                import pyarrow

                count = copied(address, staging, (rows_of(batch) for batch in batches))
                yield pyarrow.record_batch([pyarrow.array([count], pyarrow.int64())], names=["rows"])

            rows.mapInArrow(copy, "rows bigint").agg({"rows": "sum"}).collect()
        return moved(work, publish, whole)
    finally:
        work.close()


def told(written: Written, publish_at: datetime, to: str, schema: str) -> str:
    """What a publish came to, in a line."""
    where = str(sqlite_path(schema)) if to == SQLITE else "PostgreSQL"
    if written.superseded:
        return f"{where} holds values of a later time than {publish_at:%Y-%m-%d %H:%M:%S} UTC: nothing was written"
    return (
        f"{where}: {written.rows:,} rows as of {publish_at:%Y-%m-%d %H:%M:%S} UTC; {written.added:,} added, "
        f"{written.changed:,} changed, {written.deleted:,} deleted"
    )


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Publish and exit: 0 done, 2 configuration, 1 anything else."""
    given = parser().parse_args(argv)
    secrets.guard_output()
    try:
        pipeline, environment = read_pipeline(given.config, given.env, given.sets)
        from headrace.cli.running import hush
        from headrace.runtime.session import session
        from headrace.runtime.spark_errors import translated

        hush()
        at = given.as_of or datetime.now(UTC)
        schema, progress = places(pipeline, environment).schema, Progress()
        progress.heading(f"{schema}: publish")
        try:
            spark = session(f"headrace publish {pipeline.pipeline}")
            written = published(spark, pipeline, environment, given.to, at, progress)
        except HeadraceError:
            raise
        except Exception as error:  # Spark's errors have no common base; translated() keeps what it does not know
            raise translated(error, "publish") from error
        sys.stdout.write(told(written, at, given.to, schema) + "\n")
    except HeadraceError as error:
        sys.stderr.write(f"\n{error.message}\n")
        raise SystemExit(error.exit_code) from None
    sys.stdout.flush()
    raise SystemExit(0)
