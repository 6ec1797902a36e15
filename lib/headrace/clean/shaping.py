"""The raw rows that count, typed and with their computed columns: all of them, or those that have come since."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.clean.columns import RAW, REASONS, ROW, current, looked_at, shape, types_of
from headrace.clean.increments import Base, rows_since, same_types
from headrace.clean.inference import Counts
from headrace.config.needs import tables_in
from headrace.config.types import Table
from headrace.runtime.code import code_hash
from headrace.runtime.step import Run
from headrace.runtime.transforms import content, fingerprint, prove_rows, transformed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Shaped:
    """Raw rows typed and with their computed columns.

    Attributes:
        frame: The rows.
        facts: What was found out about their types.
        base: What was judged before, where these are only the rows that have come since.
    """

    frame: DataFrame
    facts: dict[str, Any]
    base: Base | None


def shaped(
    run: Run, name: str, table: Table, version: int, types: dict[str, str] | None, base: Base | None = None
) -> Shaped:
    """The raw rows that count, typed and with their computed columns.

    Args:
        run: The run.
        name: The table.
        table: Its configuration.
        version: Of the raw table.
        types: SQL type per source column; None: they are inferred, where an earlier look at the same rows does not
            tell them.
        base: What was judged before: only rows that came since are wanted, unless they change the types of all.
    """
    for other in tables_in(table):
        run.read(other).createOrReplaceTempView(other)
    landed = run.facts(f"raw_{name}", version).get("facts", {})
    raw = current(run.read_version(f"raw_{name}", version), landed)
    raw = raw.select(*landed["columns"]) if landed.get("columns") else raw  # those of the source as it is read now
    facts: dict[str, Any] = {}
    if types is None:
        rows = [run.identity(f"raw_{name}"), code_hash("headrace.clean.inference")]
        found, base = _values(run, name, table, raw, rows, landed, base)
        types = types_of(table, found)
        facts = {"types": types, "values": found, "values_of": rows}
    raw = rows_since(raw, base)
    training = run.pipeline.training_set
    sampled = bool(run.sample and training and training.spine == name and table.key)
    frame = shape(raw, table, types, _transform(run, name, facts, sampled) if table.transform else None)
    if run.sample and sampled:
        frame = frame.where(in_sample(table.key, run.sample))
    return Shaped(frame, facts, base)


def _values(
    run: Run, name: str, table: Table, raw: DataFrame, rows: list[str], landed: Mapping[str, Any], base: Base | None
) -> tuple[dict[str, Counts], Base | None]:
    """What the values of all rows are, looked up for new rows alone where these leave the types as they were."""
    folders = landed.get("folders", ())
    if base:
        new = looked_at(rows_since(raw, base), table, {}, folders)
        both = same_types(table, base.facts.get("values", {}), new)
        if both is not None:
            return both, base
    return looked_at(raw, table, _seen(run, name, rows), folders), None


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


def _seen(run: Run, name: str, rows: list[str]) -> dict[str, Counts]:
    """What an earlier validation found in the same rows."""
    earlier = run.facts(f"{name}_quarantine").get("facts", {}) if run.exists(f"{name}_quarantine") else {}
    return dict(earlier["values"]) if earlier.get("values_of") == rows else {}


def in_sample(key: tuple[str, ...], share: str) -> Any:
    """Whether a row's key falls into a share, as `5%`."""
    parts = 1_000_000
    return F.pmod(F.xxhash64(*key), F.lit(parts)) < int(float(share.rstrip("%")) / 100 * parts)
