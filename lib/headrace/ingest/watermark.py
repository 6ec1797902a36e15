"""Rows of a source from a watermark on: a column that grows with every row that is added or changed.

What has landed is in the raw table's commit, so that a range lands once whenever a job is killed and run again.
Reading starts some way before the last value (`overlap`), for rows that were written but not yet committed when it
was read; those that have landed are dropped.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DateType

from headrace.config import hooks
from headrace.config.types import Table
from headrace.engine.time import EXACT_JSON
from headrace.errors import ConfigError, DataError
from headrace.ingest import privacy
from headrace.ingest.marks import TIMES, Mark, Marked, Span, look, marked
from headrace.ingest.snapshots import same_types, stamped
from headrace.runtime.step import Done, Output, Run

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_DATABASE = {"url", "table", "query", "watermark", "options", "format"}
_OTHERS = {"format", "path", "python", "table", "schema_", "watermark", "options"}


def reading(run: Run, name: str) -> dict[str, Any]:
    """What decides which rows a source has; with another one all is read anew, and what landed before counts no more."""
    table = run.pipeline.tables[name]
    chosen = _DATABASE if table.source.kind == "jdbc" else _OTHERS
    told = table.source.model_dump(mode="json", include=chosen)
    told |= {"code": hooks.meanings(run.pipeline, f"tables.{name}.source")} if table.source.python else {}
    return told | privacy.reading(table, privacy.key_of(run.pipeline, table))


def earlier_mark(run: Run, name: str) -> tuple[dict[str, Any], dict[str, Any] | None, bool]:
    """What the raw table's newest commit carries, the mark up to which rows have landed, and whether it still counts."""
    raw = f"raw_{name}"
    facts = run.facts(raw).get("facts", {}) if run.exists(raw) else {}
    going_on = facts.get("reading") == reading(run, name) and not run.forced
    return facts, facts.get("watermark") if going_on else None, going_on


def ingest_marked(run: Run, name: str, base: Marked) -> Done:
    """Land the rows that are new since the last run.

    Raises:
        DataError: If there is no row at all, or a column's type is another one than before.
    """
    _told_apart(run.pipeline.tables[name], base)
    mark = look(base)
    facts, earlier, going_on = earlier_mark(run, name)
    if mark.upper is None and not mark.unset and not going_on:
        raise DataError(f"{base.where}: {base.source.path} holds no row; put data there, or mend it")
    if mark.upper is None and earlier:  # none of the last rows is there any longer
        mark = replace(mark, upper=earlier["upper"], lower=earlier["lower"])
    column = marked(base)
    span = Span(column, _start(earlier, mark, column.dataType), mark.upper)
    frame = base.rows(span, run.parallelism)
    if not going_on:
        return _first(run, name, base, mark, frame, facts)
    return _more(run, name, base, mark, frame, facts)


def _told_apart(table: Table, base: Marked) -> None:
    """Refuse to mask or drop what says which rows have landed.

    Raises:
        ConfigError: Says which columns.
    """
    known = set(table.key) <= set(base.fields()) and table.key
    compared = {*table.key, base.source.watermark} if known else set(base.fields())
    dim = sorted(c for c, kind in table.sensitive.items() if c in compared and kind != "hash")
    marked_ = (base.source.watermark or "").lower()
    if dim or marked_ in table.sensitive:
        raise ConfigError(
            f"{base.where}: rows that have landed are told by their key and watermark, and {', '.join(dim) or marked_} is "
            "sensitive; name a `key` of other columns of the source, or `hash` its columns"
        )


def _start(earlier: dict[str, Any] | None, mark: Mark, kind: DataType) -> str | None:
    """The value to read from: the least of what was found then and now, for rows may have been deleted."""
    if not earlier or earlier["lower"] is None:
        return None
    ordered: Any = str if isinstance(kind, (DateType, *TIMES)) else Decimal
    return min((v for v in (earlier["lower"], mark.lower) if v is not None), key=ordered)


def _first(run: Run, name: str, base: Marked, mark: Mark, frame: DataFrame, facts: dict[str, Any]) -> Done:
    """All rows: what landed of another reading counts no more."""
    raw, batch = f"raw_{name}", int(facts.get("batch", 0)) + 1
    if run.exists(raw):
        same_types(base.origin, run.read(raw), frame)
    output = _output(run, raw, base, mark, stamped(frame, base.source.path, mark.upper or "", batch), batch, batch)
    told = base.open_numbers()
    note = f"{name}: {', '.join(told)}: numbers without declared digits came as text, exactly; say `types`"
    return Done((output,), notes=(note,) if told else ())


def _more(run: Run, name: str, base: Marked, mark: Mark, frame: DataFrame, facts: dict[str, Any]) -> Done:
    """The rows that have not landed: of the range read again, all that differ in key or watermark."""
    raw, batch = f"raw_{name}", int(facts["batch"]) + 1
    there = run.read(raw)
    same_types(base.origin, there, frame)
    column, keys = (base.source.watermark or "").lower(), run.pipeline.tables[name].key
    chosen = [*keys, column] if keys and set(keys) <= set(frame.columns) else frame.columns
    chosen = [c for c in dict.fromkeys(chosen) if c in there.columns]
    landed = there.where(F.col("_batch") >= int(facts["counts_from"]))
    start = _start(facts["watermark"], mark, marked(base).dataType)
    if start is not None:
        least = F.lit(start).cast(frame.schema[column].dataType)
        landed = landed.where((F.col(column) >= least) | F.col(column).isNull())
    unlike = {c for c in chosen if _unlike(frame.schema[c].dataType, there.schema[c].dataType)}
    landed = landed.select(*[_compared(c, unlike).alias(f"_there_{i}") for i, c in enumerate(chosen)])
    same = [_compared(c, unlike).eqNullSafe(F.col(f"_there_{i}")) for i, c in enumerate(chosen)]
    new = frame.join(landed, same, "left_anti").persist(StorageLevel.DISK_ONLY)  # counted, then written
    try:
        rows = new.count()
    except BaseException:
        new.unpersist()
        raise
    made = stamped(new, base.source.path, mark.upper or "", batch)
    output = _output(run, raw, base, mark, made, batch if rows else batch - 1, int(facts["counts_from"]), rows)
    return Done((output,), rows_in=rows, cleanup=lambda: _release(new))


def _unlike(now: DataType, before: DataType) -> bool:
    """Whether values cannot be compared as they are: maps, and structs that have grown."""
    return "map<" in now.simpleString() or now.simpleString() != before.simpleString()


def _compared(name: str, unlike: set[str]) -> Column:
    """A value that can be compared; JSON leaves out what is null."""
    return F.to_json(name, EXACT_JSON) if name in unlike else F.col(name)


def _release(frame: DataFrame) -> None:
    frame.unpersist()


def _output(
    run: Run, raw: str, base: Marked, mark: Mark, frame: DataFrame, batch: int, since: int, rows: int | None = None
) -> Output:
    table = run.pipeline.tables[raw.removeprefix("raw_")]
    facts = {
        "batch": batch,
        "counts_from": since,
        "mode": "append",
        "superseded": False,
        "reading": reading(run, raw.removeprefix("raw_")),
        "sensitive": dict(table.sensitive),
        "watermark": {"column": base.source.watermark, "upper": mark.upper, "lower": mark.lower},
        "columns": frame.columns,
        **base.facts,
    }
    return Output(
        raw,
        run.read(raw).limit(0) if rows == 0 else frame,
        mode="append",
        facts=facts,
        expect_rows=rows,
        serializable=True,
        merge_schema=True,
        based_on=run.version(raw) if run.exists(raw) else -1,
        adds_nothing=rows == 0,
    )
