"""Validate: every raw row is judged; those that break a rule go to `<table>_quarantine` as they came, with reasons.

The quarantine's commit carries all counts of the pass, known before it; the kept rows follow in `clean`, from the
same version of the raw table.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import functions as F

from headrace.config.hooks import meanings, use
from headrace.config.needs import in_order, tables_in
from headrace.config.types import Pipeline, Table
from headrace.errors import ConfigError, DataError
from headrace.runtime.held import Held, made_of
from headrace.runtime.hooks import computing
from headrace.runtime.step import Done, Output, Run, Step
from headrace.runtime.transforms import prove
from headrace.validate.checks import checks_of
from headrace.validate.handed import Base, BaseOf, Shape
from headrace.validate.limits import examples, refuse, stopping
from headrace.validate.rules import judge, kinds_of
from headrace.validate.tallies import Tally, goes_on, tallied
from headrace.validate.thresholds import notes as told
from headrace.validate.thresholds import recorded
from headrace.validate.whole import Verdict, judged_whole, loads

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


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


def steps(pipeline: Pipeline, shape: Shape, base_of: BaseOf, held: Held) -> tuple[Step, ...]:
    """One step per table; the judged rows are kept in `held` for clean."""

    def step(name: str, table: Table) -> Step:
        return Step(
            stage="validate",
            name=f"validate:{name}",
            inputs=(f"raw_{name}", *tables_in(table)),
            outputs=(quarantine(name),),
            config=config_of(name, table),
            run=lambda run: _validate(run, name, table, shape, base_of, held),
        )

    return tuple(step(name, pipeline.tables[name]) for name in in_order(pipeline) if not pipeline.tables[name].shared)


def _validate(run: Run, name: str, table: Table, shape: Shape, base_of: BaseOf, held: Held) -> Done:
    version = run.version(f"raw_{name}")
    _refuse_plain(run, name, table, version)
    base = base_of(run, name, table, quarantine(name), version)
    made = shape(run, name, table, version, None, base if base and goes_on(base, table, run.as_of) else None)
    shaped, facts = made.frame, made.facts
    earlier = run.facts(quarantine(name)).get("facts", {}) if run.exists(quarantine(name)) else {}
    pinned = {} if run.forced else earlier.get("outliers", {})
    with _naming(run, name, table):
        facts["outliers"] = recorded(
            shaped, table, kinds_of(shaped), pinned, meanings(run.pipeline, f"tables.{name}.transform")
        )
    # judged once, read by this step and by clean; also keeps the optimizer from copying the rules' SQL into filters
    judged = judge(shaped, table, facts["outliers"]).persist(StorageLevel.DISK_ONLY)
    held.keep(made_of(run, name, version, tables_in(table), made.base.batch if made.base else 0), judged)
    try:
        with _naming(run, name, table):
            return _set_aside(run, name, table, judged, facts, pinned, made.base)
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
    run: Run,
    name: str,
    table: Table,
    judged: DataFrame,
    facts: dict[str, Any],
    pinned: dict[str, Any],
    base: Base | None,
) -> Done:
    found = tallied(judged, table, run.as_of, base)
    if "given" in facts:
        passed = {"rows": found.rows, "checksum": str(found.checksum)}
        prove(run.pipeline, f"tables.{name}.transform", facts["given"], passed)
    if found.rows == 0:
        raise DataError(
            f"table {name} is empty: {table.source.path} holds no row. Put data there, or mend tables.{name}.source"
        )
    whole = judged_whole(table, found.newest, run.as_of, _loads(run, name, table, found.rows))
    failed = [v.broken for v in whole if v.broken and v.rule.on_fail == "fail"]
    refuse(judged, name, stopping(checks_of(table, kinds_of(judged)), found.counts), failed)
    if found.quarantined == found.rows:
        told_ = _told(found, "quarantine")
        names = sorted(rule for kind, rule in found.counts if kind == "quarantine")
        shown = "\n".join(["", *examples(judged, names)])
        raise DataError(
            f"table {name}: all {found.rows:,} rows break a rule ({told_}), and nothing was written; mend the rules or the "
            f"data. Examples:{shown}"
        )
    output = Output(
        quarantine(name),
        judged.where(F.size("_reasons") > 0).select("_raw.*", "_reasons"),
        counts={"rows_in": found.rows, "quarantined": found.quarantined, **found.reasons},
        expect_rows=found.quarantined - (base.counts["quarantined"] if base else 0),
        facts={**facts, **found.facts(), "load": run.identity(f"raw_{name}")},
        description=f"Rows of {name} set aside: as they came, with every rule they broke in _reasons",
        mode="append" if base else "overwrite",
        serializable=base is not None,
        based_on=run.version(quarantine(name)) if run.exists(quarantine(name)) else -1,
    )
    notes = [f"{found.rows - base.counts['rows_in']:,} rows are new"] if base else []
    notes += _retyped(run.facts(quarantine(name)).get("facts", {}) if run.exists(quarantine(name)) else {}, facts)
    notes += _notes(found, whole)
    notes += told(facts["outliers"], pinned)
    expires = min((v.expires for v in whole if v.expires), default=None)
    kept = found.rows - found.quarantined
    return Done((output,), rows_in=found.rows, rows_out=kept, notes=tuple(notes), expires=expires)


def _retyped(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Columns whose type, as all values allow it, has become another one."""
    then, types = before.get("types", {}), now.get("types", {})
    known = before.get("values", {}).keys() & now.get("values", {}).keys()
    kinds = {c: (then.get(c, "string"), types.get(c, "string")) for c in sorted(known)}
    told = [f"{c} was {old} and is {new} now" for c, (old, new) in kinds.items() if old != new]
    return [f"by its values {', '.join(told)}; declare it in types where it is to stay"] if told else []


def _notes(found: Tally, whole: Sequence[Verdict]) -> list[str]:
    aside = f"{found.quarantined:,} of {found.rows:,} rows set aside ({_told(found, 'quarantine')})"
    warned = ", ".join(text for text in (_told(found, "warn"), *(v.broken for v in whole)) if text)
    notes = [aside] if found.quarantined else []
    notes += [f"warnings: {warned}"] if warned else []
    return notes + [v.note for v in whole if v.note]


def _loads(run: Run, name: str, table: Table, rows: int) -> tuple[int, ...]:
    """Rows of this load and of those before it, as the quarantine's commits tell."""
    landed = run.facts(f"raw_{name}").get("facts", {})
    earlier = run.history(quarantine(name))
    grows = landed.get("mode") in ("append", "upsert")
    return loads(run.identity(f"raw_{name}"), rows, earlier, table, appended=grows)


def _told(found: Tally, kind: str) -> str:
    named = sorted(((n, name) for (k, name), n in found.counts.items() if k == kind), reverse=True)
    return ", ".join(f"{name}: {n:,}" for n, name in named)
