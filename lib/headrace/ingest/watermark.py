"""Rows of a database from a watermark on: a column that grows with every row that is added or changed.

What has landed is in the raw table's commit, so that a range lands once whenever a job is killed and run again.
Reading starts some way before the last value (`overlap`), for rows that were written but not yet committed when it
was read; those that have landed are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DateType, StructField

from headrace.config.durations import microseconds
from headrace.config.types import Source, Table
from headrace.errors import ConfigError, DataError
from headrace.ingest import privacy
from headrace.ingest.jdbc import TIMES, Database, orderable
from headrace.ingest.snapshots import Origin, same_types, stamped, withheld
from headrace.runtime.step import Done, Output, Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

OVERLAP_TIME, OVERLAP_NUMBER = "1 hour", "1000"
_READING = {"url", "table", "query", "watermark", "options", "format"}
"""What decides which rows a source has; with another one all is read anew, and what landed before counts no more."""


@dataclass(frozen=True)
class Mark:
    """Where the watermark of a source is now.

    Attributes:
        upper: Its greatest value as text, None where no row has one.
        lower: So far before it are rows that may yet come.
        recent: Rows from there on.
        unset: Rows without a value.
    """

    upper: str | None
    lower: str | None
    recent: int
    unset: int


def look(base: Database) -> Mark:
    """Ask the database, by two queries that an index on the column answers.

    Raises:
        ConfigError: If there is no such column, or its type has no order.
        DataError: If its greatest value lies in the future: no later row would ever be read.
    """
    column = marked(base)
    name, kind = base.quoted(column), column.dataType
    (upper,) = base.ask(f"select max({name}) hi from {base.relation()}")
    if upper is not None and _in_future(upper, kind):
        raise DataError(
            f"{base.where}.watermark: the greatest {column.name} is {upper}, in the future; rows written until then would "
            "never be read. Mend that row, or leave it out by `query`"
        )
    lower = before(upper, kind, base.source.overlap) if upper is not None else None
    since = f"{name} >= {base.literal(lower, kind)}" if lower is not None else "1 = 0"
    recent, unset = base.ask(
        f"select sum(case when {name} is null then 0 else 1 end) recent, "
        f"sum(case when {name} is null then 1 else 0 end) unset from {base.relation(f'{since} or {name} is null')}"
    )
    return Mark(upper, lower, _count(recent), _count(unset))


def _count(text: str | None) -> int:
    return int(Decimal(text or "0"))


def marked(base: Database) -> StructField:
    """The watermark's column.

    Raises:
        ConfigError: If there is none, or its type has no order that texts keep.
    """
    source = base.source
    column = base.column(source.watermark or "", "watermark")
    kind = column.dataType
    if not orderable(kind):
        raise ConfigError(
            f"{base.where}.watermark: {column.name} is {kind.simpleString()}; wanted is a whole or decimal number of "
            "declared digits, a date or a time that grows"
        )
    number = (source.overlap or "").isdigit()
    if source.overlap and number == isinstance(kind, (DateType, *TIMES)):
        wanted = "a number" if not number else "a duration, as `1 hour`"
        raise ConfigError(f"{base.where}.overlap: {column.name} is {kind.simpleString()}; write {wanted}")
    return column


def before(upper: str, kind: DataType, overlap: str | None) -> str:
    """The value that lies `overlap` before another; dates go back by whole days.

    >>> from pyspark.sql.types import LongType, TimestampType
    >>> before("2024-03-01 00:30:00.5", TimestampType(), "1 hour"), before("1500", LongType(), None)
    ('2024-02-29 23:30:00.500000', '500')
    """
    if isinstance(kind, TIMES):
        back = timedelta(microseconds=microseconds(overlap or OVERLAP_TIME))
        moment = datetime.fromisoformat(upper)
        return _text(moment - back if moment - datetime.min > back else datetime.min)
    if isinstance(kind, DateType):
        days = -(-microseconds(overlap or OVERLAP_TIME) // microseconds("1 day"))
        return (date.fromisoformat(upper) - timedelta(days=days)).isoformat()
    return str(Decimal(upper) - int(overlap or OVERLAP_NUMBER))


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f").rjust(26, "0")


def _in_future(upper: str, kind: DataType) -> bool:
    if not isinstance(kind, (DateType, *TIMES)):
        return False
    try:
        return datetime.fromisoformat(upper) > datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
    except ValueError:  # infinity, or a year beyond 9999
        return True


def reading(source: Source) -> dict[str, Any]:
    """What decides which rows a source has."""
    return source.model_dump(mode="json", include=_READING)


def ingest_marked(run: Run, name: str, base: Database) -> Done:
    """Land the rows that are new since the last run.

    Raises:
        DataError: If there is no row at all, or a column's type is another one than before.
    """
    raw, mark = f"raw_{name}", look(base)
    facts = run.facts(raw).get("facts", {}) if run.exists(raw) else {}
    table = run.pipeline.tables[name]
    _told_apart(table, base)
    how = reading(base.source) | privacy.reading(table, privacy.key_of(run.pipeline, table))
    going_on = facts.get("reading") == how and not run.forced
    if mark.upper is None and not mark.unset and not going_on:
        raise DataError(f"{base.where}: {base.source.path} holds no row; put data there, or mend it")
    earlier = facts.get("watermark") if going_on else None
    frame = withheld(run, name, table, base.rows(_condition(base, mark, earlier), run.parallelism))
    if not going_on:
        return _first(run, name, base, mark, frame, facts)
    return _more(run, name, base, mark, frame, facts)


def _told_apart(table: Table, base: Database) -> None:
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


def _condition(base: Database, mark: Mark, earlier: dict[str, Any] | None) -> str:
    """The rows to read: up to the value that was found, and from a little before the one that was read last."""
    column = marked(base)
    name, kind, parts = base.quoted(column), column.dataType, []
    if mark.upper is None:
        return f"{name} is null"
    start = _start(earlier, mark, kind)
    if start is not None:
        parts.append(f"{name} >= {base.literal(start, kind)}")
    parts.append(f"{name} <= {base.literal(mark.upper, kind)}")
    return f"({' and '.join(parts)}) or {name} is null"


def _start(earlier: dict[str, Any] | None, mark: Mark, kind: DataType) -> str | None:
    """The value to read from: the least of what was found then and now, for rows may have been deleted."""
    if not earlier or earlier["lower"] is None:
        return None
    ordered: Any = str if isinstance(kind, (DateType, *TIMES)) else Decimal
    return min((v for v in (earlier["lower"], mark.lower) if v is not None), key=ordered)


def _first(run: Run, name: str, base: Database, mark: Mark, frame: DataFrame, facts: dict[str, Any]) -> Done:
    """All rows: what landed of another reading counts no more."""
    raw, batch = f"raw_{name}", int(facts.get("batch", 0)) + 1
    if run.exists(raw):
        same_types(origin(base), run.read(raw), frame)
    output = _output(run, raw, base, mark, stamped(frame, base.source.path, mark.upper or "", batch), batch, batch)
    told = base.open_numbers()
    note = f"{name}: {', '.join(told)}: numbers without declared digits came as text, exactly; say `types`"
    return Done((output,), notes=(note,) if told else ())


def _more(run: Run, name: str, base: Database, mark: Mark, frame: DataFrame, facts: dict[str, Any]) -> Done:
    """The rows that have not landed: of the range read again, all that differ in key or watermark."""
    raw, batch = f"raw_{name}", int(facts["batch"]) + 1
    there = run.read(raw)
    same_types(origin(base), there, frame)
    column, keys = (base.source.watermark or "").lower(), run.pipeline.tables[name].key
    chosen = [*keys, column] if keys and set(keys) <= set(frame.columns) else frame.columns
    chosen = [c for c in dict.fromkeys(chosen) if c in there.columns]
    landed = there.where(F.col("_batch") >= int(facts["since"]))
    start = _start(facts["watermark"], mark, marked(base).dataType)
    if start is not None:
        least = F.lit(start).cast(frame.schema[column].dataType)
        landed = landed.where((F.col(column) >= least) | F.col(column).isNull())
    landed = landed.select(*[F.col(c).alias(f"_there_{i}") for i, c in enumerate(chosen)])
    same = [F.col(c).eqNullSafe(F.col(f"_there_{i}")) for i, c in enumerate(chosen)]
    new = frame.join(landed, same, "left_anti").persist(StorageLevel.DISK_ONLY)  # counted, then written
    try:
        rows = new.count()
    except BaseException:
        new.unpersist()
        raise
    made = stamped(new, base.source.path, mark.upper or "", batch)
    output = _output(run, raw, base, mark, made, batch if rows else batch - 1, int(facts["since"]), rows)
    return Done((output,), rows_in=rows, cleanup=lambda: _release(new))


def _release(frame: DataFrame) -> None:
    frame.unpersist()


def origin(base: Database) -> Origin:
    """The database in words."""
    what = f"the query over {base.source.path.split(' ')[0]}" if base.source.query else f"the table {base.source.table}"
    return Origin(base.where, base.source.path, what, "Cast in a query")


def _output(
    run: Run, raw: str, base: Database, mark: Mark, frame: DataFrame, batch: int, since: int, rows: int | None = None
) -> Output:
    table = run.pipeline.tables[raw.removeprefix("raw_")]
    facts = {
        "batch": batch,
        "since": since,
        "mode": "append",
        "superseded": False,
        "reading": reading(base.source) | privacy.reading(table, privacy.key_of(run.pipeline, table)),
        "sensitive": dict(table.sensitive),
        "watermark": {"column": base.source.watermark, "upper": mark.upper, "lower": mark.lower},
        "columns": frame.columns,
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
