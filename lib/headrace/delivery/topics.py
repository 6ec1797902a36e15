"""Which messages bring a topic from the state that it has, part by part, to the state of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.sql import functions as F

from headrace.config import secrets
from headrace.config.sinks import Sink
from headrace.engine.published import VALID_FROM
from headrace.engine.time import EXACT_JSON
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime.sinks.delivery import Sent
from headrace.runtime.sinks.kafka import KafkaSink, complete
from headrace.runtime.sinks.transactions import LAST, Segments
from headrace.runtime.spark_errors import history_gone
from headrace.runtime.step import Done, Run

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_JSON = {**EXACT_JSON, "ignoreNullFields": "false"}


def deliver(run: Run, name: str, sink: Sink) -> Done:
    """Send what a topic has not got: of predictions new rows, of a feature table new and changed rows, and keys that went.

    Raises:
        ConfigError: If the brokers do not answer, or what was sent cannot be told any more.
        HeadraceError: If another run was first.
    """
    table, place = sink.from_, KafkaSink(f"sinks.{name}", secrets.revealed(sink.options), f"{run.schema}.{name}")
    state, had = Sent(run.version(table), run.identity(table)), place.sent()
    if complete(had, state):
        return Done(rows_in=0, rows_out=0, notes=(f"version {state.version} of {table} has been sent before",))
    _refuse_unknown(run, name, table, had, place.record)
    if any(sent.version > state.version for segments in had.values() for _, sent in segments):
        raise HeadraceError(
            f"sinks.{name}: another run has sent a newer version of {table} meanwhile; this one gave way"
        )
    rows = _unsent(run, table, had).persist(StorageLevel.DISK_ONLY)  # counted, then sent
    try:
        try:
            count = rows.count()
        except Exception as error:  # raised again, unless the history is gone
            if not history_gone(error):
                raise
            raise _lost(
                name, table, place.record, "files of the version that was sent were removed by housekeeping"
            ) from error
        place.deliver(rows, count, state, had)
    finally:
        rows.unpersist()
    return Done(rows_in=count, rows_out=count, notes=(f"version {state.version} of {table}: {count:,} messages",))


def _refuse_unknown(run: Run, name: str, table: str, had: Mapping[int, Segments], record: str) -> None:
    for state in {state for segments in had.values() for _, state in segments}:
        if run.identity(table, state.version) != state.identity:
            raise _lost(name, table, record, f"version {state.version} of it was sent, and it has been made anew since")


def _lost(name: str, table: str, record: str, why: str) -> ConfigError:
    return ConfigError(
        f"sinks.{name}: what of {table} is new, nobody can tell: {why}. Name another topic; or delete the topic {record}: "
        "then all rows are sent, also those that the topic has"
    )


def _unsent(run: Run, table: str, had: Mapping[int, Segments]) -> DataFrame:
    """The messages that each part lacks, against the state that it has."""
    key, whole = _key(run, table), table in run.pipeline.feature_tables
    now = messages(run.read(table), key, len(had))
    frames = []
    for state in sorted({state for state, *_ in _stretches(had)}, key=lambda one: one.version if one else -1):
        there = [one for one in _stretches(had) if one[0] == state]
        mine = None if len(there) == len(list(_stretches(had))) else _within(there)
        rows = now if mine is None else now.where(mine)
        if state is None:
            frames.append(rows)
            continue
        before = messages(run.read_version(table, state.version), key, len(had))
        frames.append(_changes(rows, before if mine is None else before.where(mine), whole))
    return reduce(lambda one, other: one.unionByName(other), frames)


def _stretches(had: Mapping[int, Segments]) -> Iterator[tuple[Sent | None, int, int | None, int]]:
    """By part: the state, the hash after which it holds (None: from the first on) and up to which it does."""
    for part, segments in sorted(had.items()):
        after: int | None = None
        for upto, state in segments:
            yield state, part, after, upto
            after = upto
        if after != LAST:
            yield None, part, after, LAST


def _within(stretches: list[tuple[Sent | None, int, int | None, int]]) -> Column:
    def one(part: int, after: int | None, upto: int) -> Column:
        found = (F.col("part") == part) & (F.col("hash") <= upto)
        return found if after is None else found & (F.col("hash") > after)

    return reduce(lambda a, b: a | b, [one(part, after, upto) for _, part, after, upto in stretches])


def _changes(now: DataFrame, before: DataFrame, whole: bool) -> DataFrame:
    """New messages; where a table stands in place of the one before, also changed ones, and keys that went."""
    if not whole:
        return now.join(before.select("key"), "key", "left_anti")
    new = now.join(before.select("key", "value"), ["key", "value"], "left_anti")
    gone = before.join(now.select("key"), "key", "left_anti").dropDuplicates(["key"])
    return new.unionByName(gone.withColumn("value", F.lit(None).cast("string")))


def _key(run: Run, table: str) -> tuple[str, ...]:
    """The columns that a message is keyed by."""
    feature = run.pipeline.feature_tables.get(table)
    if feature is None:
        return tuple(run.facts(table).get("keys", ()))
    clock = {"aggregates": (VALID_FROM,), "latest": ("event_time",), "lookup": ()}[feature.kind]
    return (*feature.entity, *clock)


def messages(rows: DataFrame, key: tuple[str, ...], parts: int) -> DataFrame:
    """Rows as messages: key and value are JSON objects; and the part that a key belongs to, and its place there.

    Args:
        rows: Of the table.
        key: Columns.
        parts: How many there are.
    """
    names = [F.col(f"`{name}`") for name in rows.columns]
    made = rows.select(
        F.to_json(F.struct(*[F.col(f"`{name}`") for name in key]), _JSON).alias("key"),
        F.to_json(F.struct(*names), _JSON).alias("value"),
    )
    hashed = made.withColumn("hash", F.xxhash64("key"))
    return hashed.select(F.pmod("hash", F.lit(parts)).cast("int").alias("part"), "hash", "key", "value")
