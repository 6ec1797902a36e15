"""Clean: the rows that passed, typed, one per key. In = kept + quarantined + merged, or the run fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import functions as F

from headrace.clean.columns import REASONS, ROW, current, kept_columns, shape, types_of
from headrace.clean.duplicates import latest_by_key
from headrace.config.needs import in_order, tables_in
from headrace.config.types import Pipeline, Table
from headrace.runtime.step import Done, Output, Run, Step

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Judge = Callable[["DataFrame", Table], "DataFrame"]
"""Completes `_reasons` by the table's rules; given by the flow."""


def shaped(run: Run, name: str, table: Table, types: dict[str, str] | None) -> tuple[DataFrame, dict[str, str]]:
    """The raw rows that count, typed and with their computed columns, and the types used."""
    for other in tables_in(table):
        run.read(other).createOrReplaceTempView(other)
    facts = run.facts(f"raw_{name}").get("facts", {})
    raw = current(_raw(run, name, types), facts.get("mode", "append"), int(facts.get("batch", 1)))
    raw = raw.select(*facts["columns"]) if "columns" in facts else raw  # those of the source as it is read now
    known = types_of(raw, table) if types is None else types
    frame = shape(raw, table, known)
    if run.sample and run.pipeline.training_set and run.pipeline.training_set.from_ == name and table.key:
        frame = frame.where(in_sample(table.key, run.sample))
    return frame, known


def _raw(run: Run, name: str, types: dict[str, str] | None) -> DataFrame:
    """The raw table; where the rows were judged before (their types are known), at the version that was judged."""
    if types is None:
        return run.read(f"raw_{name}")
    return run.read_version(f"raw_{name}", int(run.facts(f"{name}_quarantine")["inputs"][f"raw_{name}"]))


def in_sample(key: tuple[str, ...], share: str) -> Any:
    """Whether a row's key falls into a share, as `5%`."""
    parts = 1_000_000
    return F.pmod(F.xxhash64(*key), F.lit(parts)) < int(float(share.rstrip("%")) / 100 * parts)


def steps(pipeline: Pipeline, judge: Judge, config_of: Callable[[Table], Any]) -> tuple[Step, ...]:
    """One step per table."""

    def step(name: str, table: Table) -> Step:
        return Step(
            stage="clean",
            name=f"clean:{name}",
            inputs=(f"raw_{name}", f"{name}_quarantine", *tables_in(table)),
            outputs=(name,),
            config=config_of(table),
            run=lambda run: _clean(run, name, table, judge),
        )

    return tuple(step(name, pipeline.tables[name]) for name in in_order(pipeline))


def _clean(run: Run, name: str, table: Table, judge: Judge) -> Done:
    verdict = run.facts(f"{name}_quarantine")
    frame, _ = shaped(run, name, table, verdict["facts"]["types"])
    # judged once, read twice; also keeps the optimizer from copying the rules' SQL into every filter
    judged = judge(frame, table).persist(StorageLevel.DISK_ONLY)
    try:
        return _kept(name, table, judged, kept_columns(frame, table), verdict["counts"])
    except Exception:
        judged.unpersist()
        raise


def _kept(name: str, table: Table, judged: DataFrame, columns: list[str], counts: dict[str, int]) -> Done:
    good = judged.where(F.size(REASONS) == 0)
    total, bad = int(counts["rows_in"]), int(counts["quarantined"])
    kept = good.select(*table.key).distinct().count() if table.key else total - bad
    output = Output(
        name,
        latest_by_key(good.select(*columns, ROW), table.key, ROW).select(*columns),
        counts={"rows_in": total, "quarantined": bad, "merged": total - bad - kept, "kept": kept},
        expect_rows=kept,
        description=table.description,
        facts={"key": list(table.key)},
    )
    notes = [f"{total - bad - kept:,} duplicate rows merged by {', '.join(table.key)}"] if kept < total - bad else []
    return Done((output,), rows_in=total - bad, rows_out=kept, notes=tuple(notes), cleanup=lambda: _release(judged))


def _release(frame: DataFrame) -> None:
    frame.unpersist()
