"""Validate: every raw row is judged; those that break a rule go to `<table>_quarantine` as they came, with reasons.

The quarantine's commit carries all counts of the pass, known before it; the kept rows follow in `clean`, from the
same version of the raw table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import functions as F

from headrace.config.needs import in_order, tables_in
from headrace.config.types import Pipeline, Table
from headrace.errors import DataError
from headrace.runtime.step import Done, Output, Run, Step
from headrace.validate.rules import judge, refuse_failures, tally

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Shape = Callable[[Run, str, Table, "dict[str, str] | None"], "tuple[DataFrame, dict[str, str]]"]
"""From the raw table to typed rows with `_raw` and `_reasons`, and the types; given by the flow."""


def quarantine(table: str) -> str:
    """The quarantine's name."""
    return f"{table}_quarantine"


def config_of(table: Table) -> dict[str, Any]:
    """What of the configuration decides which rows are kept, and their columns."""
    chosen = table.model_dump(mode="json", by_alias=True, include={"types", "columns", "keep", "key", "rules"})
    return {**chosen, "format": table.source.format}


def steps(pipeline: Pipeline, shape: Shape) -> tuple[Step, ...]:
    """One step per table."""

    def step(name: str, table: Table) -> Step:
        return Step(
            stage="validate",
            name=f"validate:{name}",
            inputs=(f"raw_{name}", *tables_in(table)),
            outputs=(quarantine(name),),
            config=config_of(table),
            run=lambda run: _validate(run, name, table, shape),
        )

    return tuple(step(name, pipeline.tables[name]) for name in in_order(pipeline))


def _validate(run: Run, name: str, table: Table, shape: Shape) -> Done:
    shaped, types = shape(run, name, table, None)
    # judged once, read twice; also keeps the optimizer from copying the rules' SQL into every filter
    judged = judge(shaped, table.rules, table.key).persist(StorageLevel.DISK_ONLY)
    try:
        return _set_aside(name, table, judged, types)
    except Exception:
        judged.unpersist()
        raise


def _set_aside(name: str, table: Table, judged: DataFrame, types: dict[str, str]) -> Done:
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
        facts={"types": types},
        description=f"Rows of {name} set aside: as they came, with every rule they broke in _reasons",
    )
    warned = _told(counts, "warn")
    notes = [f"{bad:,} of {total:,} rows set aside ({_told(counts, 'quarantine')})"] if bad else []
    notes += [f"warnings: {warned}"] if warned else []
    return Done((output,), rows_in=total, rows_out=total - bad, notes=tuple(notes), cleanup=lambda: _release(judged))


def _release(frame: DataFrame) -> None:
    frame.unpersist()


def _told(counts: dict[tuple[str, str], int], kind: str) -> str:
    named = sorted(((n, name) for (k, name), n in counts.items() if k == kind), reverse=True)
    return ", ".join(f"{name}: {n:,}" for n, name in named)
