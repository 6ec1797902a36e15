"""Validate: every raw row is judged; those that break a rule go to `<table>_quarantine` as they came, with reasons.

The quarantine's commit carries all counts of the pass, known before it; the kept rows follow in `clean`, from the
same version of the raw table.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import functions as F

from headrace.config.hooks import use
from headrace.config.needs import in_order, tables_in
from headrace.config.types import Pipeline, Table
from headrace.errors import DataError
from headrace.runtime.held import Held, made_of
from headrace.runtime.hooks import computing
from headrace.runtime.step import Done, Output, Run, Step
from headrace.validate.rules import judge, refuse_failures, tally

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Shape = Callable[[Run, str, Table, int, "dict[str, str] | None"], "tuple[DataFrame, dict[str, Any]]"]
"""From the raw table at a version to typed rows with `_raw` and `_reasons`, and facts of types; given by the flow."""


def quarantine(table: str) -> str:
    """The quarantine's name."""
    return f"{table}_quarantine"


_DECIDES = {"types", "transform", "columns", "keep", "key", "rules"}


def config_of(name: str, table: Table) -> dict[str, Any]:
    """What of the configuration decides which rows are kept, and their columns."""
    upsert = table.source.mode == "upsert"
    chosen = table.model_dump(mode="json", by_alias=True, include=_DECIDES | ({"event_time"} if upsert else set()))
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
    shaped, facts = shape(run, name, table, version, None)
    # judged once, read by this step and by clean; also keeps the optimizer from copying the rules' SQL into filters
    judged = judge(shaped, table.rules, table.key).persist(StorageLevel.DISK_ONLY)
    held.keep(made_of(run, name, version, tables_in(table)), judged)
    hook = computing(use(run.pipeline, f"tables.{name}.transform")) if table.transform else nullcontext()
    try:
        with hook:
            return _set_aside(name, table, judged, facts)
    except Exception:
        held.release()
        raise


def _set_aside(name: str, table: Table, judged: DataFrame, facts: dict[str, Any]) -> Done:
    counts = {(r["kind"], r["name"]): int(r["count"]) for r in tally(judged).collect()}
    total, bad = counts.get(("total", "rows"), 0), counts.get(("total", "quarantined"), 0)
    if total == 0:
        raise DataError(
            f"table {name} is empty: {table.source.path} holds no row. Put data there, or mend tables.{name}.source"
        )
    refuse_failures(judged, counts, name)
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
        facts=facts,
        description=f"Rows of {name} set aside: as they came, with every rule they broke in _reasons",
    )
    warned = _told(counts, "warn")
    notes = [f"{bad:,} of {total:,} rows set aside ({_told(counts, 'quarantine')})"] if bad else []
    notes += [f"warnings: {warned}"] if warned else []
    return Done((output,), rows_in=total, rows_out=total - bad, notes=tuple(notes))


def _told(counts: dict[tuple[str, str], int], kind: str) -> str:
    named = sorted(((n, name) for (k, name), n in counts.items() if k == kind), reverse=True)
    return ", ".join(f"{name}: {n:,}" for n, name in named)
