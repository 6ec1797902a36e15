"""Clean: the rows that passed, typed, one per key. In = kept + quarantined + merged, or the run fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import functions as F

from headrace.clean.columns import DELETED, RAW, REASONS, ROW, current, inferred_types, kept_columns, shape, types_of
from headrace.clean.duplicates import latest_by_key
from headrace.config.hooks import meanings, use
from headrace.config.needs import in_order, tables_in
from headrace.config.types import Pipeline, Table
from headrace.errors import HeadraceError
from headrace.runtime.code import code_hash
from headrace.runtime.held import Held, made_of
from headrace.runtime.hooks import computing
from headrace.runtime.step import Done, Output, Run, Step
from headrace.runtime.transforms import Content, content, fingerprint, prove, prove_rows, transformed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Judge = Callable[["DataFrame", Table, Mapping[str, Any]], "DataFrame"]
"""Completes `_reasons` by the table's rules and what validate has learned for them; given by the flow."""


def shaped(
    run: Run, name: str, table: Table, version: int, types: dict[str, str] | None
) -> tuple[DataFrame, dict[str, Any]]:
    """The raw rows that count, typed and with their computed columns, and what was found out about their types.

    Args:
        run: The run.
        name: The table.
        table: Its configuration.
        version: Of the raw table.
        types: SQL type per source column; None: they are inferred, where an earlier look at the same rows does not
            tell them.
    """
    for other in tables_in(table):
        run.read(other).createOrReplaceTempView(other)
    landed = run.facts(f"raw_{name}", version).get("facts", {})
    raw = current(run.read_version(f"raw_{name}", version), landed)
    raw = raw.select(*landed["columns"]) if landed.get("columns") else raw  # those of the source as it is read now
    facts: dict[str, Any] = {}
    if types is None:
        rows = [run.identity(f"raw_{name}"), code_hash("headrace.clean.inference")]
        inferred = inferred_types(raw, table, _seen(run, name, rows), landed.get("folders", ()))
        types = types_of(table, inferred)
        facts = {"types": types, "inferred": inferred, "inferred_from": rows}
    training = run.pipeline.training_set
    sampled = bool(run.sample and training and training.spine == name and table.key)
    frame = shape(raw, table, types, _transform(run, name, facts, sampled) if table.transform else None)
    if run.sample and sampled:
        frame = frame.where(in_sample(table.key, run.sample))
    return frame, facts


def _transform(run: Run, name: str, facts: dict[str, Any], sampled: bool) -> Callable[[DataFrame], DataFrame]:
    """The user's function, and the proof that it keeps rows.

    The pass over all rows proves it by the way: what it needs is in `facts` and in `_print` of each row. Of a sample,
    which is drawn from what the function returns, it would see a part only.
    """
    where, own = f"tables.{name}.transform", (RAW, ROW, REASONS)

    def transform(frame: DataFrame) -> DataFrame:
        made = transformed(run.pipeline, where, frame, kept=own, hidden=own)
        if sampled:
            prove_rows(run.pipeline, where, frame, made, (RAW,))
            return made
        facts["given"] = content(frame.select(fingerprint((RAW,))))
        return made.select("*", fingerprint((RAW,)))

    return transform


def _seen(run: Run, name: str, rows: list[str]) -> dict[str, str]:
    """The types that an earlier validation inferred from the same rows."""
    earlier = run.facts(f"{name}_quarantine").get("facts", {}) if run.exists(f"{name}_quarantine") else {}
    return dict(earlier["inferred"]) if earlier.get("inferred_from") == rows else {}


def in_sample(key: tuple[str, ...], share: str) -> Any:
    """Whether a row's key falls into a share, as `5%`."""
    parts = 1_000_000
    return F.pmod(F.xxhash64(*key), F.lit(parts)) < int(float(share.rstrip("%")) / 100 * parts)


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
    judged = held.take(made_of(run, name, version, tables_in(table))) if verdict["run_id"] == run.run_id else None
    facts: dict[str, Any] = {}
    if judged is None:
        frame, facts = shaped(run, name, table, version, verdict["facts"]["types"])
        # judged once, read twice; also keeps the optimizer from copying the rules' SQL into every filter
        judged = judge(frame, table, verdict["facts"].get("outliers", {})).persist(StorageLevel.DISK_ONLY)
    try:
        if "given" in facts:
            _prove(run, name, facts["given"], judged)
        code = meanings(run.pipeline, f"tables.{name}.transform")
        return _kept(name, table, judged, verdict["counts"], {"code": code} if code else {}, stands)
    except Exception:  # whatever it was, it is raised again; only the room is given back
        judged.unpersist()
        raise


def _prove(run: Run, name: str, given: Content, judged: DataFrame) -> None:
    where = f"tables.{name}.transform"
    with computing(use(run.pipeline, where)):
        found = content(judged)
    prove(run.pipeline, where, given, found)


def _kept(
    name: str, table: Table, judged: DataFrame, counts: dict[str, int], facts: dict[str, Any], stands: int
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
    )
    by = ", ".join(table.key)
    notes = [f"{total - bad - keys:,} duplicate rows merged by {by}"] if keys < total - bad else []
    notes += [f"{deleted:,} of {keys:,} keys are deleted; their last rows count as merged"] if deleted else []
    absent = [column for column in table.describe if column not in columns]
    notes += [f"tables.{name}.describe: there is no column {', '.join(absent)}"] if absent else []
    return Done((output,), rows_in=total - bad, rows_out=kept, notes=tuple(notes), cleanup=lambda: _release(judged))


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


def _release(frame: DataFrame) -> None:
    frame.unpersist()
