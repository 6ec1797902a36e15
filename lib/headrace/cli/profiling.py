"""Look at a data set for `headrace init`: a handful of Spark jobs, whatever the number of columns and rows."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import AtomicType, BinaryType, StringType

from headrace.clean.inference import ColumnProfile, infer_types, profile, types_without_markers
from headrace.cli.facts import ColumnFacts, DataFacts, LabelFacts, Read, Request, Times, quoted
from headrace.cli.leaking import leaks
from headrace.cli.opening import column_named, opened
from headrace.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PATTERNS = ("dd.MM.yyyy HH:mm", "dd.MM.yyyy", "MM/dd/yyyy HH:mm", "MM/dd/yyyy", "dd/MM/yyyy", "yyyyMMdd", "yyyy/MM/dd")
MOST_VALUES = 101

_ID_LIKE = re.compile(r"(^|_)(id|uuid|guid|key|nr|no|code|index)$|[a-z]id$|^unnamed")


def look(spark: SparkSession, request: Request) -> DataFacts:
    """Everything `init` decides by.

    Raises:
        ConfigError: If there is no such file or column.
        DataError: If the data are empty, or the label has one value.
    """
    read, frame, written = opened(spark, request.data)
    label = column_named(request.label, "--label", written)
    key = tuple(column_named(name, "--key", written) for name in request.key)
    event_time = column_named(request.event_time, "--event-time", written) if request.event_time else None
    for name in request.exclude:
        column_named(name, "--exclude", written)
    read, columns, count = _columns(read, frame, written)
    if not count:
        raise DataError(f"{request.data} has no rows; there is nothing to learn from")
    typed = _typed(frame, columns, read.options.get("nullValue"))
    values = _label(typed, label, columns, request)
    key, duplicates = (key, _duplicates(typed, key, count)) if key else (_key(typed, columns, label, count), 0)
    event_time = event_time or _clock(columns, label)
    times = _times(typed, event_time, columns) if event_time else None
    known = tuple(c for c in columns if c.name not in (label, *key))
    return DataFacts(
        read=read,
        rows=count,
        columns=columns,
        label=label,
        values=values,
        key=key,
        duplicates=duplicates,
        event_time=event_time if times else None,
        times=times,
        leaks=leaks(typed, known, label, values),
    )


def _columns(read: Read, frame: DataFrame, written: dict[str, str]) -> tuple[Read, tuple[ColumnFacts, ...], int]:
    plain = [
        f.name for f in frame.schema if isinstance(f.dataType, AtomicType) and not isinstance(f.dataType, BinaryType)
    ]
    found = profile(frame.select(*[F.col(f"`{name}`").cast("string").alias(name) for name in plain]))
    guessed, unmarked = infer_types(found), types_without_markers(found)
    if read.format == "csv":
        read = _with_options(read, [found.columns[name] for name in unmarked], found.columns.values())
    taken = read.options.get("nullValue")
    columns = []
    for field in frame.schema:
        kind, repair = "other", None
        if isinstance(field.dataType, StringType):
            kind = guessed[field.name] if read.format == "csv" else "string"
            marks = found.columns[field.name].markers
            if field.name in unmarked and kind == "string":
                only = taken is not None and marks == (taken,)
                kind, repair = (
                    unmarked[field.name],
                    None if only else _unmarking(field.name, marks, unmarked[field.name]),
                )
            elif kind == "string":
                repair = _thousands(found.columns[field.name])
                kind = "double" if repair else kind
        elif field.name in found.columns:
            kind = field.dataType.simpleString()
        shape = found.columns.get(field.name) or ColumnProfile(field.name, found.rows)
        columns.append(ColumnFacts(field.name, written[field.name], kind, shape, repair))
    return read, tuple(columns), found.rows


def _with_options(read: Read, marked: list[ColumnProfile], columns: object) -> Read:
    """`nullValue` for the most frequent mark (Spark takes one); blanks around values are dropped, if there are any."""
    options = dict(read.options)
    weights: dict[str, int] = {}
    for column in marked:
        if len(column.markers) == 1:
            weights[column.markers[0]] = weights.get(column.markers[0], 0) + column.marked
    if weights:
        options["nullValue"] = max(sorted(weights), key=lambda mark: weights[mark])
    if any(column.padded for column in columns):  # type: ignore[attr-defined]
        options |= {"ignoreLeadingWhiteSpace": "true", "ignoreTrailingWhiteSpace": "true"}
    return Read(read.format, options)


def _unmarking(name: str, marks: tuple[str, ...], kind: str) -> str:
    listed_ = ", ".join("'" + mark.replace("\\", "\\\\") + "'" for mark in marks)
    text = f"trim({quoted(name)})"
    return f"cast(case when {text} not in ({listed_}) then {text} end as {kind})"


def _thousands(column: ColumnProfile) -> str | None:
    numbers = column.thousands + column.integers + column.decimals
    sql = f"cast(replace({quoted(column.name)}, ',', '') as double)"
    return sql if column.thousands and numbers == column.filled else None


def _typed(frame: DataFrame, columns: tuple[ColumnFacts, ...], missing: str | None) -> DataFrame:
    """The columns with their types; what does not fit is null. Text is trimmed, blanks are null."""
    typed = []
    for column in columns:
        if column.type == "other":
            continue
        text = F.trim(F.col(f"`{column.name}`").cast("string"))
        nulls = {"", *([missing] if missing else []), *(column.profile.markers if column.type != "string" else ())}
        text = F.when(~text.isin(*nulls), text)
        text = F.replace(text, F.lit(","), F.lit("")) if column.repair and column.profile.thousands else text
        typed.append((text if column.type == "string" else text.try_cast(column.type)).alias(column.name))
    return frame.select(*typed)


def _label(typed: DataFrame, label: str, columns: tuple[ColumnFacts, ...], request: Request) -> LabelFacts:
    if label not in typed.columns:
        raise ConfigError(
            f"--label {request.label}: it holds arrays or structs, no plain values; choose another column"
        )
    text = F.col(label).cast("string").alias("value")
    found = (
        typed.where(F.col(label).isNotNull()).groupBy(text).count().orderBy(F.desc("count"), "value").limit(MOST_VALUES)
    )
    counts = tuple((row["value"], row["count"]) for row in found.collect())
    if len(counts) < 2:
        what = f"only the value {counts[0][0]!r}" if counts else "no value at all"
        raise DataError(f"the label {request.label} has {what}; a model needs at least two to tell apart")
    return LabelFacts(counts)


def _key(typed: DataFrame, columns: tuple[ColumnFacts, ...], label: str, count: int) -> tuple[str, ...]:
    """The first id-like column without nulls in which no value stands twice."""
    likely = [
        c.name
        for c in columns
        if _ID_LIKE.search(c.name) and c.name != label and c.type in ("string", "bigint", "int")
        if c.profile.filled == count and c.profile.distinct > 0.9 * count
    ]
    if not likely:
        return ()
    exact = typed.agg(*[F.count_distinct(name).alias(name) for name in likely]).first()
    assert exact is not None, "an aggregate without groups has one row"
    return next(((name,) for name in likely if exact[name] == count), ())


def _duplicates(typed: DataFrame, key: tuple[str, ...], count: int) -> int:
    return count - typed.select(*key).distinct().count()


def _clock(columns: tuple[ColumnFacts, ...], label: str) -> str | None:
    """The only column with times, when every row has one and they differ."""
    times = [c for c in columns if c.type in ("date", "timestamp") and c.name != label]
    clear = [c.name for c in times if not c.profile.missing and not c.profile.marked and c.profile.distinct >= 10]
    return clear[0] if len(times) == 1 and clear else None


def _times(typed: DataFrame, event_time: str, columns: tuple[ColumnFacts, ...]) -> Times:
    kind = next(c.type for c in columns if c.name == event_time)
    pattern = None
    if kind not in ("date", "timestamp"):
        pattern = _pattern(typed, event_time)
    moment = (
        F.expr(f"try_to_timestamp(cast({quoted(event_time)} as string), '{pattern}')") if pattern else F.col(event_time)
    )
    micros = F.unix_micros(moment.cast("timestamp"))
    row = typed.agg(F.percentile_approx(micros, [0.0, 0.7, 0.85, 1.0], 10_000).alias("q")).first()
    if row is None or row["q"] is None:
        raise DataError(f"--event-time {event_time}: it has no value at all; choose another column, or none")
    first, train, validation, last = (datetime.fromtimestamp(micros // 1_000_000, UTC) for micros in row["q"])
    return Times(first, train, validation, last, pattern)


def _pattern(typed: DataFrame, name: str) -> str:
    text = f"cast({quoted(name)} as string)"
    counts = [F.expr(f"count(try_to_timestamp({text}, '{p}'))").alias(f"p{i}") for i, p in enumerate(PATTERNS)]
    row = typed.agg(F.count(name).alias("filled"), *counts).first()
    assert row is not None, "an aggregate without groups has one row"
    for i, pattern in enumerate(PATTERNS):
        if row["filled"] and row[f"p{i}"] == row["filled"]:
            return pattern
    raise ConfigError(
        f"--event-time {name}: its values are no times that can be read; write ISO (2013-10-01 or "
        f"2013-10-01T06:00:00Z), or one of {', '.join(PATTERNS)}"
    )
