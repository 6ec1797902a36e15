"""Validate: every raw row is judged; those that break a rule go to `<table>_quarantine` as they came, with reasons.

The quarantine's commit carries all counts of the pass, known before it; the kept rows follow in `clean`, from the
same version of the raw table.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import functions as F

from headrace.config.hooks import meanings, use
from headrace.config.needs import in_order, tables_in
from headrace.config.types import Pipeline, Table
from headrace.errors import ConfigError, DataError
from headrace.runtime.held import Held, made_of
from headrace.runtime.hooks import computing
from headrace.runtime.settings import held as settings_held
from headrace.runtime.step import Done, Output, Run, Step
from headrace.runtime.transforms import PRINT, prove
from headrace.validate.checks import checks_of, moment
from headrace.validate.limits import refuse, stopping
from headrace.validate.rules import judge, kinds_of, tally
from headrace.validate.thresholds import notes as told
from headrace.validate.thresholds import recorded
from headrace.validate.whole import clocks, judged_whole, loads, micros

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

Shape = Callable[[Run, str, Table, int, "dict[str, str] | None"], "tuple[DataFrame, dict[str, Any]]"]
"""From the raw table at a version to typed rows with `_raw` and `_reasons`, and facts of types; given by the flow."""


def quarantine(table: str) -> str:
    """The quarantine's name."""
    return f"{table}_quarantine"


_DECIDES = {"types", "transform", "columns", "keep", "key", "rules"}


def config_of(name: str, table: Table) -> dict[str, Any]:
    """What of the configuration decides which rows are kept, and their columns."""
    upsert = table.source.mode == "upsert"
    timed = {"event_time"} if any(r.kind in ("monotonic", "freshness") and not r.time for r in table.rules) else set()
    timed |= {"event_time", "available_at"} if table.key or any(r.outlier for r in table.rules) else set()
    chosen = table.model_dump(mode="json", by_alias=True, include=_DECIDES | timed)
    order = {"mode": "upsert", "delete_when": table.source.delete_when} if upsert else {}
    return {"tables": {name: {**chosen, "source": {"format": table.source.format, **order}}}}


def steps(pipeline: Pipeline, shape: Shape, held: Held) -> tuple[Step, ...]:
    """One step per table; the judged rows are kept in `held` for clean."""

    def step(name: str, table: Table) -> Step:
        return Step(
            stage="validate",
            name=f"validate:{name}",
            inputs=(f"raw_{name}", *tables_in(table)),
            outputs=(quarantine(name),),
            config=config_of(name, table),
            run=lambda run: _validate(run, name, table, shape, held),
        )

    return tuple(step(name, pipeline.tables[name]) for name in in_order(pipeline) if not pipeline.tables[name].shared)


def _validate(run: Run, name: str, table: Table, shape: Shape, held: Held) -> Done:
    version = run.version(f"raw_{name}")
    _refuse_plain(run, name, table, version)
    shaped, facts = shape(run, name, table, version, None)
    earlier = run.facts(quarantine(name)).get("facts", {}) if run.exists(quarantine(name)) else {}
    pinned = {} if run.forced else earlier.get("outliers", {})
    with _naming(run, name, table):
        facts["outliers"] = recorded(
            shaped, table, kinds_of(shaped), pinned, meanings(run.pipeline, f"tables.{name}.transform")
        )
    # judged once, read by this step and by clean; also keeps the optimizer from copying the rules' SQL into filters
    judged = judge(shaped, table, facts["outliers"]).persist(StorageLevel.DISK_ONLY)
    held.keep(made_of(run, name, version, tables_in(table)), judged)
    try:
        with _naming(run, name, table):
            return _set_aside(run, name, table, judged, facts, pinned)
    except Exception:
        held.release()
        raise


def _refuse_plain(run: Run, name: str, table: Table, version: int) -> None:
    """Stop where rows landed before their columns were declared sensitive; ingest says what to delete.

    Raises:
        ConfigError: Names the columns.
    """
    if not table.sensitive:
        return
    hidden = run.facts(f"raw_{name}", version).get("facts", {}).get("sensitive", {})
    plain = [c for c in table.sensitive if c in run.read_version(f"raw_{name}", version).columns and c not in hidden]
    if plain:
        raise ConfigError(
            f"tables.{name}.sensitive: raw_{name} holds {', '.join(plain)} as it came, from before the setting; run "
            "jobs/ingest.py, which says what to delete"
        )


def _naming(run: Run, name: str, table: Table) -> AbstractContextManager[None]:
    """What a table's transform raises when it is computed names the hook."""
    return computing(use(run.pipeline, f"tables.{name}.transform")) if table.transform else nullcontext()


def _set_aside(
    run: Run, name: str, table: Table, judged: DataFrame, facts: dict[str, Any], pinned: dict[str, Any]
) -> Done:
    tallied = counted(judged, newest(judged, table, run.as_of))
    counts = {(r["kind"], r["name"]): int(r["count"]) for r in tallied}
    total, bad = counts.get(("total", "rows"), 0), counts.get(("total", "quarantined"), 0)
    if "given" in facts:
        prints = [r[PRINT] for r in tallied if (r["kind"], r["name"]) == ("total", "rows")] or [None]
        found = {"rows": total, "checksum": str(prints[0])}
        prove(run.pipeline, f"tables.{name}.transform", facts["given"], found)
    if total == 0:
        raise DataError(
            f"table {name} is empty: {table.source.path} holds no row. Put data there, or mend tables.{name}.source"
        )
    of_all = next(r for r in tallied if (r["kind"], r["name"]) == ("total", "rows"))
    times = {clock: of_all[f"_most_{clock}"] for clock in clocks(table)}
    whole = judged_whole(table, times, run.as_of, _loads(run, name, table, total))
    failed = [v.broken for v in whole if v.broken and v.rule.on_fail == "fail"]
    refuse(judged, name, stopping(checks_of(table, kinds_of(judged)), counts), failed)
    if bad == total:
        raise DataError(
            f"table {name}: all {total:,} rows break a rule ({_told(counts, 'quarantine')}); mend the rules or the data"
        )
    reasons = {f"{kind}:{rule}": n for (kind, rule), n in counts.items() if kind != "total"}
    rejected = judged.where(F.size("_reasons") > 0).select("_raw.*", "_reasons")
    output = Output(
        quarantine(name),
        rejected,
        counts={"rows_in": total, "quarantined": bad, **reasons},
        expect_rows=bad,
        facts={**facts, "load": run.identity(f"raw_{name}")},
        description=f"Rows of {name} set aside: as they came, with every rule they broke in _reasons",
    )
    warned = ", ".join(text for text in (_told(counts, "warn"), *(v.broken for v in whole)) if text)
    notes = [f"{bad:,} of {total:,} rows set aside ({_told(counts, 'quarantine')})"] if bad else []
    notes += [f"warnings: {warned}"] if warned else []
    notes += [v.note for v in whole if v.note]
    notes += told(facts["outliers"], pinned)
    expires = min((v.expires for v in whole if v.expires), default=None)
    return Done((output,), rows_in=total, rows_out=total - bad, notes=tuple(notes), expires=expires)


def counted(judged: DataFrame, most: dict[str, Column] | None = None) -> list[Row]:
    """Judge every row, and count. One Spark job for rules over rows: adaptive execution would make three of it."""
    with settings_held(judged.sparkSession, {"spark.sql.adaptive.enabled": "false"}):
        return tally(judged, most=most).coalesce(1).collect()


def newest(judged: DataFrame, table: Table, as_of: datetime) -> dict[str, Column]:
    """Of the clocks that a rule asks for, the times of the rows that are kept, not after `as_of`."""
    kinds = kinds_of(judged)
    times = {clock: F.expr(moment(clock, kinds.get(clock, "string"))) for clock in clocks(table)}
    kept = F.size("_reasons") == 0
    return {clock: F.when(kept & (time <= F.lit(micros(as_of))), time) for clock, time in times.items()}


def _loads(run: Run, name: str, table: Table, rows: int) -> tuple[int, ...]:
    """Rows of this load and of those before it, as the quarantine's commits tell."""
    landed = run.facts(f"raw_{name}").get("facts", {})
    earlier = run.history(quarantine(name))
    grows = landed.get("mode") in ("append", "upsert")
    return loads(run.identity(f"raw_{name}"), rows, earlier, table, appended=grows)


def _told(counts: dict[tuple[str, str], int], kind: str) -> str:
    named = sorted(((n, name) for (k, name), n in counts.items() if k == kind), reverse=True)
    return ", ".join(f"{name}: {n:,}" for n, name in named)
