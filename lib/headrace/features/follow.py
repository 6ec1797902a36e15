"""A feature table of rows as they are (`latest`, `lookup`), brought up to date: only rows that came or went."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from operator import and_
from typing import TYPE_CHECKING, Any

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from headrace.config.types import FeatureTable, Table
from headrace.engine.buckets import quoted
from headrace.engine.time import moment
from headrace.features import changes
from headrace.features.kinds import due, latest, lookup
from headrace.features.refresh import SHARE, UNTOUCHED, Base, backfills, base_of, nothing, release_all
from headrace.runtime.merging import CHANGE
from headrace.runtime.spark_errors import history_gone
from headrace.runtime.step import Output, Run

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

FEW = 50_000
"""Rows that went are sent to all tasks; of more the table is shuffled to them."""
_N, _THERE = "__headrace_n", "__headrace_there"


def followed(
    run: Run, name: str, table: FeatureTable, source: Table, output: Callable[..., Output]
) -> tuple[Output, Callable[[], None], str] | None:
    """The rows that came and went, what to call when they are written, and what to say of them.

    Args:
        run: The run.
        name: The feature table.
        table: Its configuration.
        source: The cleaned table's configuration.
        output: Makes an output of a frame and how it is written.

    Returns:
        None where the table is to be made anew: it was made of other configuration or code, nobody followed the
        cleaned table since, or most rows changed.
    """
    base = None if backfills(run) else base_of(run, name, table)
    if base is None:
        return None
    stands = run.read(name)
    try:
        net = _net(run, table, source, base)
        if net is None or not _alike(net, stands):
            return None
        found = summed(net).persist()
    except AnalysisException:  # a version is gone, or had no such column yet, or kept no feed
        return None
    release = partial(release_all, found)
    try:
        made = _written(run, name, table, stands, found, output)
    except Exception as error:
        release()
        if not history_gone(error):
            raise
        return None
    if made is None:
        release()
        return None
    return made[0], release, made[1]


def _net(run: Run, table: FeatureTable, source: Table, base: Base) -> DataFrame | None:
    """Rows of the feature table that came (`_N` above zero) or went; None where nobody followed the cleaned table."""
    made, known = (latest if table.kind == "latest" else lookup), due(table, source)
    then, now = moment(base.as_of), moment(run.as_of)
    sides = []
    if not base.same:
        feed = run.changes(table.from_, base.version)
        if feed is None:
            return None
        for frame, sign in zip(feed, (-1, 1), strict=True):
            there = frame if known is None else frame.where(known <= then)
            sides.append(made(there, table, source).withColumn(_N, F.lit(sign)))
    if known is not None:
        since = run.read(table.from_).where((known > then) & (known <= now))
        sides.append(made(since, table, source).withColumn(_N, F.lit(1)))
    if not sides:
        return None
    return reduce(lambda a, b: a.unionByName(b), sides)


def _alike(net: DataFrame, stands: DataFrame) -> bool:
    rows = net.drop(_N)
    shapes = [[(f.name, f.dataType) for f in frame.schema] for frame in (rows, stands)]
    told_apart = changes.comparable(rows) and all(changes.hashes_alike(f.dataType) for f in rows.schema)
    return shapes[0] == shapes[1] and told_apart


def summed(net: DataFrame) -> DataFrame:
    """Each row that came or went once, and by how many it grew: `_N`, never zero."""
    columns = [quoted(c) for c in net.columns if c != _N]
    return net.groupBy(*columns).agg(F.sum(_N).alias(_N)).where(F.col(_N) != 0)


def counted(found: DataFrame, stands: DataFrame, few: bool = True) -> DataFrame:
    """Add how many there are (`_THERE`) of the rows that went; of those that came this does not matter: 0.

    Args:
        found: Of `summed`.
        stands: The table.
        few: Whether few of the rows went.
    """
    columns = list(map(quoted, stands.columns))
    less = found.where(F.col(_N) < 0).alias("l")
    less = F.broadcast(less) if few else less
    same = reduce(and_, (F.col(f"t.{c}").eqNullSafe(F.col(f"l.{c}")) for c in columns))
    gone = stands.alias("t").join(less, same).groupBy(*(F.col(f"l.{c}") for c in columns), _N)
    more = found.where(F.col(_N) > 0).withColumn(_THERE, F.lit(0).cast("bigint"))
    return more.unionByName(gone.agg(F.count("*").alias(_THERE)))


def merged(found: DataFrame) -> DataFrame:
    """What a MERGE of whole rows needs: a delete takes all rows that are equal, so those that stay are put in again."""
    columns = [c for c in found.columns if c not in (_N, _THERE)]
    went = found.where(F.col(_N) < 0).select(*map(quoted, columns), F.lit("delete").alias(CHANGE))
    copies = F.explode(F.sequence(F.lit(1).cast("bigint"), F.col(_N) + F.col(_THERE)))
    come = found.where(F.col(_N) + F.col(_THERE) > 0).withColumn(_N, copies)
    return went.unionByName(come.select(*map(quoted, columns), F.lit("insert").alias(CHANGE)))


def _written(
    run: Run, name: str, table: FeatureTable, stands: DataFrame, found: DataFrame, output: Callable[..., Output]
) -> tuple[Output, str] | None:
    came, went, rows_gone = _totals(found)
    based_on = run.version(name)
    if not came and not went:
        return nothing(run, name, stands, output), UNTOUCHED
    if came + went > SHARE * stands.count():
        return None
    told = f"refreshed: {came:,} rows came and {went:,} went; the others stay"
    if not went:
        rows = merged(found.withColumn(_THERE, F.lit(0).cast("bigint"))).drop(CHANGE)
        return output(rows, mode="append", serializable=True, expect_rows=came, based_on=based_on), told
    less = found.where(F.col(_N) < 0)
    only = changes.only_entities(less, table.entity)
    counts = counted(found, stands.alias("t").where(only) if only else stands, rows_gone <= FEW)
    there, kinds, short = _there(counts)
    if kinds < rows_gone or short:  # the table does not hold what went: nobody knows why
        return None
    expected = came + 2 * there - went  # those taken, and those put in, again or for the first time
    how: dict[str, Any] = {"mode": "merge", "keys": (), "only": only, "expect_rows": expected, "based_on": based_on}
    return output(merged(counts), **how), told


def _totals(found: DataFrame) -> tuple[int, int, int]:
    """How many rows came and went, and of how many kinds the latter are."""
    came, went = (F.sum(F.greatest(F.lit(sign) * F.col(_N), F.lit(0))) for sign in (1, -1))
    return _whole(found, came, went, F.count_if(F.col(_N) < 0))


def _there(counts: DataFrame) -> tuple[int, int, int]:
    """How many rows there are that equal those that went, of how many kinds, and of how many too few."""
    return _whole(counts, F.sum(_THERE), F.count_if(F.col(_N) < 0), F.count_if(F.col(_N) + F.col(_THERE) < 0))


def _whole(frame: DataFrame, *sums: Column) -> tuple[int, int, int]:
    row = frame.agg(*(F.coalesce(part, F.lit(0)) for part in sums)).first()
    assert row is not None  # an aggregate without groups has one row
    return int(row[0]), int(row[1]), int(row[2])
