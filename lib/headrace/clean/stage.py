"""Clean: the rows that passed, typed, one per key. In = kept + quarantined + merged, or the run fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import functions as F

from headrace.clean.columns import DELETED, REASONS, ROW, kept_columns
from headrace.clean.duplicates import latest_by_key
from headrace.clean.increments import Base, base_of, grown
from headrace.clean.shaping import shaped
from headrace.clean.upserts import changes
from headrace.config.hooks import meanings, use
from headrace.config.needs import in_order, tables_in
from headrace.config.types import Pipeline, Table
from headrace.errors import HeadraceError
from headrace.runtime.held import Held, made_of
from headrace.runtime.hooks import computing
from headrace.runtime.merging import CHANGE
from headrace.runtime.step import Done, Output, Run, Step
from headrace.runtime.transforms import Content, content, prove

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Judge = Callable[["DataFrame", Table, Mapping[str, Any]], "DataFrame"]
"""Completes `_reasons` by the table's rules and what validate has learned for them; given by the flow."""


def steps(pipeline: Pipeline, judge: Judge, config_of: Callable[[str, Table], Any], held: Held) -> tuple[Step, ...]:
    """One step per table; rows that validate judged in the same run are taken from `held`."""

    def step(name: str, table: Table) -> Step:
        return Step(
            stage="clean",
            name=f"clean:{name}",
            inputs=(f"raw_{name}", f"{name}_quarantine", *tables_in(table)),
            outputs=(name,),
            config=config_of(name, table),
            run=lambda run: _clean(run, name, table, judge, held),
        )

    return tuple(step(name, pipeline.tables[name]) for name in in_order(pipeline) if not pipeline.tables[name].shared)


def _clean(run: Run, name: str, table: Table, judge: Judge, held: Held) -> Done:
    verdict = run.facts(f"{name}_quarantine")
    stands = run.version(name) if run.exists(name) else -1  # when another run writes meanwhile, this one gives way
    version = int(verdict["inputs"][f"raw_{name}"])
    base = _base(run, name, table, version)
    of_rows = made_of(run, name, version, tables_in(table), base.batch if base else 0)
    judged = held.take(of_rows) if verdict["run_id"] == run.run_id else None
    facts: dict[str, Any] = {}
    if judged is None:
        held.release()
        made = shaped(run, name, table, version, verdict["facts"]["types"], base)
        facts = made.facts
        # judged once, read twice; also keeps the optimizer from copying the rules' SQL into every filter
        judged = judge(made.frame, table, verdict["facts"].get("outliers", {})).persist(StorageLevel.DISK_ONLY)
    try:
        if "given" in facts:
            _prove(run, name, facts["given"], judged)
        code = meanings(run.pipeline, f"tables.{name}.transform")
        if base:
            return _more(run, name, table, judged, verdict["counts"], base)
        facts = {"code": code} if code else {}
        return _kept(name, table, judged, verdict["counts"], facts, stands, _followed(run.pipeline, name))
    except Exception:  # whatever it was, it is raised again; only the room is given back
        judged.unpersist()
        raise


def _followed(pipeline: Pipeline, name: str) -> bool:
    """Whether feature tables are refreshed by the changes of a table."""
    return any(made.from_ == name for made in pipeline.feature_tables.values())


def _base(run: Run, name: str, table: Table, version: int) -> Base | None:
    """What the cleaned table can be brought up to date from, where no row of before has been judged again since."""
    base, judged = base_of(run, name, table, name, version), f"{name}_quarantine"
    return base if base and grown(run, base.note, judged, run.version(judged)) else None


def _prove(run: Run, name: str, given: Content, judged: DataFrame) -> None:
    where = f"tables.{name}.transform"
    with computing(use(run.pipeline, where)):
        found = content(judged)
    prove(run.pipeline, where, given, found)


def _kept(
    name: str,
    table: Table,
    judged: DataFrame,
    counts: dict[str, int],
    facts: dict[str, Any],
    stands: int,
    followed: bool,
) -> Done:
    good, columns = judged.where(F.size(REASONS) == 0), kept_columns(judged, table)
    total, bad = int(counts["rows_in"]), int(counts["quarantined"])
    keys = _keys(name, good, table, total - bad)
    newest = good if keys == total - bad else _newest(good, columns, table)
    deleted = _deleted(newest) if table.source.delete_when else 0
    kept = keys - deleted
    output = Output(
        name,
        (newest.where(~F.col(DELETED)) if deleted else newest).select(*columns),
        counts={"rows_in": total, "quarantined": bad, "merged": total - bad - kept, "kept": kept}
        | ({"deleted": deleted} if table.source.delete_when else {}),
        expect_rows=kept,
        facts={"key": list(table.key), **facts},
        based_on=stands,
        change_feed=followed,
    )
    notes = _merged_notes(table, total - bad - keys)
    notes += [f"{deleted:,} of {keys:,} keys are deleted; their last rows count as merged"] if deleted else []
    absent = [column for column in table.describe if column not in columns]
    notes += [f"tables.{name}.describe: there is no column {', '.join(absent)}"] if absent else []
    return Done((output,), rows_in=total - bad, rows_out=kept, notes=tuple(notes), cleanup=lambda: _release(judged))


def _more(run: Run, name: str, table: Table, judged: DataFrame, counts: Mapping[str, int], base: Base) -> Done:
    """The rows that have come since: appended, or by their keys put in the place of those that they make old."""
    there = run.read(name)
    good, columns = judged.where(F.size(REASONS) == 0), there.columns
    total, bad = int(counts["rows_in"]), int(counts["quarantined"])
    rows = total - bad - (base.counts["rows_in"] - base.counts["quarantined"])
    keys = _keys(name, good, table, rows)
    if table.key:
        newest = good if keys == rows else _newest(good, columns, table)
        times = [t for t in (table.event_time, table.available_at) if t] if table.source.mode == "upsert" else []
        frame = changes(newest.select(*columns), there, table.key, times).persist(StorageLevel.DISK_ONLY)
        found = {r[CHANGE]: int(r["count"]) for r in frame.groupBy(CHANGE).count().collect()}
    else:
        frame, found = good.select(*columns), {"insert": rows} if rows else {}
    kept = base.counts["kept"] + found.get("insert", 0)
    merging = bool(found.get("update"))
    output = Output(
        name,
        (frame if merging else frame.select(*columns)) if found else there.limit(0),
        mode="merge" if merging else "append",
        keys=table.key if merging else (),
        counts={"rows_in": total, "quarantined": bad, "merged": total - bad - kept, "kept": kept},
        expect_rows=sum(found.values()),
        facts={"key": list(table.key)},
        based_on=run.version(name),
        serializable=True,
        adds_nothing=not found,
    )
    put = f"{rows:,} new rows: {found.get('insert', 0):,} put in, {found.get('update', 0):,} in place of older ones"
    notes = [put, *_merged_notes(table, total - bad - kept)]
    return Done(
        (output,), rows_in=total - bad, rows_out=kept, notes=tuple(notes), cleanup=lambda: _release(judged, frame)
    )


def _merged_notes(table: Table, merged: int) -> list[str]:
    return [f"{merged:,} duplicate rows merged by {', '.join(table.key)}"] if merged else []


def _newest(good: DataFrame, columns: list[str], table: Table) -> DataFrame:
    """One row per key: the one that came last; of an upsert the one with the latest event time, however late it came.

    Of messages of a run the last is the one of the greatest offset: how many runs they came in must not matter.
    """
    batch, times = f"{ROW}._batch", [time for time in (table.event_time, table.available_at) if time]
    place = [f"{ROW}._source"]
    if table.source.kind == "kafka":
        place += [f"{ROW}._source_version"]
        order = [*times, batch, *place] if table.source.mode == "upsert" else [batch, *place, *times]
    else:
        order = [*times, batch, *place] if table.source.mode == "upsert" else [batch, *times, *place]
    flags = [DELETED] if table.source.delete_when else []
    return latest_by_key(good.select(*columns, *flags, ROW), table.key, order)


def _deleted(newest: DataFrame) -> int:
    """How many keys are deleted by their newest row. Runs one Spark job."""
    return int(newest.where(DELETED).count())


def _keys(name: str, good: DataFrame, table: Table, rows: int) -> int:
    """How many keys there are; without a key, how many rows.

    Raises:
        HeadraceError: If the good rows are not as many as were judged good.
    """
    if not table.key:
        return rows
    keys = good.groupBy(*table.key).count()
    found = keys.agg(F.count("*").alias("keys"), F.coalesce(F.sum("count"), F.lit(0)).alias("rows")).collect()[0]
    if found["rows"] != rows:
        raise HeadraceError(
            f"table {name}: {rows:,} rows were judged good and {found['rows']:,} are there; nothing was written. A rule or "
            "a column that changes from one look to the next (rand(), current_timestamp()) does this: mend it, or run "
            "again with --force validate, so that both are made of one look"
        )
    return int(found["keys"])


def _release(*frames: DataFrame) -> None:
    for frame in frames:
        frame.unpersist()
