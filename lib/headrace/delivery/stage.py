"""Sinks: after its table is written, the rows that a sink has not got yet are sent there.

What a sink has is read from the sink itself, so that nothing is lost or sent twice whoever is killed and whenever.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, MapType, StructType, VariantType

from headrace.config import secrets
from headrace.config.sinks import Sink
from headrace.config.types import Pipeline
from headrace.delivery import topics
from headrace.errors import ConfigError
from headrace.runtime.sinks.delivery import Delivery, Sent
from headrace.runtime.sinks.jdbc import JdbcSink
from headrace.runtime.sinks.parquet import ParquetSink
from headrace.runtime.spark_errors import history_gone
from headrace.runtime.step import Done, Run, Step

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def steps(pipeline: Pipeline, stage: str) -> tuple[Step, ...]:
    """One step per sink that is fed by a stage: of predictions after `score`, of feature tables after `features`."""
    fed = dict.fromkeys(pipeline.feature_tables, "features") | {pipeline.scoring.output: "score"}
    return tuple(_step(name, sink, stage) for name, sink in pipeline.sinks.items() if fed[sink.from_] == stage)


def _step(name: str, sink: Sink, stage: str) -> Step:
    return Step(
        stage=stage,
        name=f"sink:{name}",
        inputs=(sink.from_,),
        outputs=(),
        config={"sinks": {name: sink.model_dump(mode="json", by_alias=True)}},
        run=lambda run: _deliver(run, name, sink),
        always=True,
    )


def _deliver(run: Run, name: str, sink: Sink) -> Done:
    if run.sample:
        return Done(rows_in=0, rows_out=0, notes=("a sample is not sent",))
    if sink.format == "kafka":
        return topics.deliver(run, name, sink)
    place, known = _place(run, name, sink), f"{run.schema}.{name}"
    state, earlier = Sent(run.version(sink.from_), run.identity(sink.from_)), place.sent(known)
    if earlier is not None and earlier.identity == state.identity:
        return Done(rows_in=0, rows_out=0, notes=(f"version {state.version} of {sink.from_} has been sent before",))
    keys = () if sink.from_ in run.pipeline.feature_tables else tuple(run.facts(sink.from_).get("keys", ()))
    if keys and earlier is not None and sink.format == "parquet" and not _known(run, sink.from_, earlier):
        raise ConfigError(
            f"sinks.{name}: {sink.path} holds version {earlier.version} of a {sink.from_} that has been made anew since; "
            "what of it is new, nobody can tell. Empty the folder, or name another"
        )
    rows = unsent(run, sink.from_, keys, earlier).persist(StorageLevel.DISK_ONLY)  # counted, then sent
    try:
        try:
            count = rows.count()
        except Exception as error:  # raised again, unless the history is gone
            rows.unpersist()
            if not history_gone(error):
                raise
            rows = _anew(run, name, sink).persist(StorageLevel.DISK_ONLY)
            count = rows.count()
        plain = rows if sink.format == "parquet" else flat(rows)
        place.deliver(plain, count, Delivery(known, state, run.run_id, keys, earlier))
    finally:
        rows.unpersist()
    way = "added" if keys else "in place of what was there"
    return Done(
        rows_in=count, rows_out=count, notes=(f"version {state.version} of {sink.from_}: {count:,} rows {way}",)
    )


def _anew(run: Run, name: str, sink: Sink) -> DataFrame:
    """All rows, where those that were sent before cannot be told any more: a database takes one that it has by its key.

    Raises:
        ConfigError: If the sink is a folder, which would have them twice.
    """
    if sink.format == "parquet":
        raise ConfigError(
            f"sinks.{name}: files of the version of {sink.from_} that {sink.path} has were removed by housekeeping; what is "
            "new since, nobody can tell. Empty the folder, or name another"
        )
    return run.read(sink.from_)


def _place(run: Run, name: str, sink: Sink) -> JdbcSink | ParquetSink:
    options = secrets.revealed(sink.options)
    if sink.format == "jdbc":
        return JdbcSink(run.spark, f"sinks.{name}", options)
    path = str(sink.path)
    return ParquetSink(run.spark, f"sinks.{name}", path if _SCHEME.match(path) else str(Path(path).absolute()), options)


def unsent(run: Run, table: str, keys: tuple[str, ...], earlier: Sent | None) -> DataFrame:
    """The rows that a sink has not got.

    Args:
        run: The run.
        table: The table.
        keys: Columns by which rows are unique, where rows are only added.
        earlier: What the sink has.

    Returns:
        Rows whose key was not there in the state that was sent; all rows where it was replaced whole, or where that
        state cannot be found any more: a sink takes a row that it has as the same row.
    """
    now = run.read(table)
    if not keys or earlier is None or not _known(run, table, earlier):
        return now
    before = run.read_version(table, earlier.version).select(*[F.col(f"`{k}`").alias(f"_{k}") for k in keys])
    same = [F.col(f"`{k}`").eqNullSafe(F.col(f"`_{k}`")) for k in keys]
    condition = same[0]
    for one in same[1:]:
        condition = condition & one
    return now.join(before, condition, "left_anti")


def _known(run: Run, table: str, earlier: Sent) -> bool:
    """Whether the state that was sent is one of this table's."""
    return run.identity(table, earlier.version) == earlier.identity


def flat(rows: DataFrame) -> DataFrame:
    """Columns as a database takes them: what is nested becomes JSON."""
    nested = {f.name for f in rows.schema if isinstance(f.dataType, ArrayType | MapType | StructType | VariantType)}
    columns = [F.to_json(F.col(f"`{c}`")).alias(c) if c in nested else F.col(f"`{c}`") for c in rows.columns]
    return rows.select(*columns)
