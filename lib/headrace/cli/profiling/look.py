"""Look at a data set for `headrace init` and `headrace profile`: one pass over the data, whatever its size."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import AtomicType, BinaryType, StringType

from headrace.clean.inference import ColumnProfile, column_profile
from headrace.clean.sketch import MARKERS, Sketch
from headrace.clean.survey import Sample, Survey, Wishes, survey
from headrace.cli.profiling.facts import ColumnFacts, DataFacts, LabelFacts, Read, Request, Times
from headrace.cli.profiling.leaking import leaks
from headrace.cli.profiling.opening import Opened, column_named, opened
from headrace.cli.profiling.readings import COMPACT, also_read_as, is_compact_day, pattern_of, repair, type_of
from headrace.cli.profiling.sampled import Sampled
from headrace.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Named = tuple[str | None, tuple[str, ...], str | None]
"""Label, key, event time."""
MOST_VALUES = 101
MOST_KEYS = 4
"""Columns, at most, whose name makes them look like keys and which are looked at as such."""

_ID_LIKE = re.compile(r"(^|_)(id|uuid|guid|key|nr|no|code|index)$|[a-z]id$|^unnamed")


def look(spark: SparkSession, request: Request) -> DataFacts:
    """Everything `init` decides by.

    Raises:
        ConfigError: If there is no such file or column.
        DataError: If the data are empty, or the label has one value.
    """
    data = opened(spark, request)
    label, key, event_time = _named(request, data.written)
    frame = _texts(data.frame)
    if label and label not in frame.columns:
        raise ConfigError(
            f"--label {request.label}: it holds arrays or structs, no plain values; choose another column"
        )
    likely = tuple((c,) for c in frame.columns if _ID_LIKE.search(c) and c != label)[:MOST_KEYS]
    found = survey(frame, Wishes(label, (key,) if key else likely, certain=bool(key), sample=True))
    if not found.rows:
        raise DataError(f"{request.told} has no rows; there is nothing to learn from")
    return _facts(data, request, found, (label, key, event_time))


def _facts(data: Opened, request: Request, found: Survey, named: Named) -> DataFacts:
    """What follows from the pass over the data."""
    label, key, event_time = named
    sampled = Sampled.of(found.sample or Sample(0), list(found.columns))
    profiles = {name: column_profile(name, sketch) for name, sketch in found.columns.items()}
    read, columns = _columns(data, profiles, label, event_time, sampled)
    clock, clocks = _clock(columns, label)
    event_time = event_time or clock
    times = _times(columns, event_time, sampled) if event_time else None
    values = _label(columns, label, found.columns, request) if label else LabelFacts(())
    key_found = key or _key(columns, found.keys, found.rows)
    known = tuple(c for c in columns if c.name not in (label, *key_found))
    by_name = {c.name: c for c in columns}
    return DataFacts(
        read=read,
        rows=found.rows,
        columns=columns,
        label=label,
        values=values,
        key=key_found,
        duplicates=found.rows - found.keys[key] if key else 0,
        event_time=event_time if times else None,
        times=times,
        other_times=tuple(name for name in clocks if name != event_time),
        leaks=leaks(known, found.columns, sampled, by_name[label], values) if label else {},
    )


def _named(request: Request, written: dict[str, str]) -> Named:
    """Label, key and event time as the columns will be called."""
    label = column_named(request.label, "--label", written) if request.label else None
    key = tuple(column_named(name, "--key", written) for name in request.key)
    event_time = column_named(request.event_time, "--event-time", written) if request.event_time else None
    for name in request.exclude:
        column_named(name, "--exclude", written)
    for flag in ("user", "item", "rating"):
        if getattr(request, flag):
            column_named(getattr(request, flag), f"--{flag}", written)
    return label, key, event_time


def _is_plain(kind: object) -> bool:
    return isinstance(kind, AtomicType) and not isinstance(kind, BinaryType)


def _texts(frame: DataFrame) -> DataFrame:
    """Columns of plain values, as text."""
    plain = [field.name for field in frame.schema if _is_plain(field.dataType)]
    return frame.select(*[F.col(f"`{name}`").cast("string").alias(name) for name in plain])


def _columns(
    data: Opened, profiles: dict[str, ColumnProfile], label: str | None, event_time: str | None, sampled: Sampled
) -> tuple[Read, tuple[ColumnFacts, ...]]:
    text_source = data.read.format == "csv"
    kinds = {}
    for field in data.frame.schema:
        if isinstance(field.dataType, StringType):
            profile = profiles[field.name]
            kind, harder = type_of(profile, text_source, keep_words=field.name == label)
            compact = is_compact_day(profile, field.name == event_time)
            kinds[field.name] = ("date", True) if compact else (kind, harder)
            if kinds[field.name][1] and not field.name.isascii() and not _only_marks(profile):
                kinds[field.name] = ("string", False)  # the YAML's own columns have plain names
        else:
            kinds[field.name] = (field.dataType.simpleString() if field.name in profiles else "other", False)
    read = _with_options(data.read, profiles, kinds) if text_source else data.read
    columns = []
    for field in data.frame.schema:
        profile = profiles.get(field.name) or ColumnProfile(field.name, next(iter(profiles.values())).rows)
        kind, harder = kinds[field.name]
        read_so = read.options.get("nullValue")
        if harder and profile.markers == (read_so,) and _only_marks(profile):
            harder = False  # the reader's nullValue does it
        columns.append(
            ColumnFacts(
                field.name,
                data.written[field.name],
                kind,
                profile,
                repair(profile, kind) if harder else None,
                field.dataType.simpleString(),
                _examples(profile, sampled),
                also_read_as(profile) if harder and kind in ("date", "timestamp") else None,
            )
        )
    return read, tuple(columns)


def _only_marks(profile: ColumnProfile) -> bool:
    """Whether the reader's nullValue would do."""
    return len(profile.markers) == 1 and pattern_of(profile) is None and not profile.thousands


def _examples(profile: ColumnProfile, sampled: Sampled) -> tuple[str, ...]:
    if profile.complete:
        return tuple(value for value, _ in profile.values if value not in MARKERS)[:3]
    return sampled.examples(profile.name) if profile.name in sampled.names else ()


def _with_options(read: Read, profiles: dict[str, ColumnProfile], kinds: dict[str, tuple[str, bool]]) -> Read:
    """`nullValue` for the most frequent mark (Spark takes one); blanks around values are dropped, if there are any."""
    options, reasons = dict(read.options), dict(read.reasons)
    weights: dict[str, int] = {}
    for name, profile in profiles.items():
        if _only_marks(profile) and kinds[name][0] != "string":
            weights[profile.markers[0]] = weights.get(profile.markers[0], 0) + profile.marked
    if weights and "nullValue" not in options:
        options["nullValue"] = max(sorted(weights), key=lambda mark: weights[mark])
        reasons["nullValue"] = f"{options['nullValue']} means missing; in columns of text, too"
    if any(profile.padded for profile in profiles.values()):
        options |= {"ignoreLeadingWhiteSpace": "true", "ignoreTrailingWhiteSpace": "true"}
        reasons["ignoreLeadingWhiteSpace"] = "some values have blanks around them"
    return Read(read.format, options, reasons)


def _label(columns: tuple[ColumnFacts, ...], label: str, sketches: dict[str, Sketch], request: Request) -> LabelFacts:
    column, sketch = next(c for c in columns if c.name == label), sketches[label]
    names = {value: value for value in sketch.values}
    if column.type != "string":
        names = {value: value for value in names if value not in MARKERS}
    if column.type in ("double", "float"):
        names = {value: str(float(value.replace(",", ""))) for value in names}
    if column.type == "boolean":
        names = {value: value.lower() for value in names}
    counts: dict[str, int] = {}
    for value, name in names.items():
        counts[name] = counts.get(name, 0) + sketch.values[value]
    found = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_VALUES]
    if len(found) < 2:
        what = f"only the value {found[0][0]!r}" if found else "no value at all"
        raise DataError(f"the label {request.label} has {what}; a model needs at least two to tell apart")
    return LabelFacts(tuple(found), names)


def _key(columns: tuple[ColumnFacts, ...], keys: dict[tuple[str, ...], int], rows: int) -> tuple[str, ...]:
    """The first id-like column without nulls in which no value stands twice."""
    there = {c.name: c for c in columns}
    for key, different in keys.items():
        column = there[key[0]]
        if different == rows == column.profile.filled and column.type in ("string", "bigint", "int"):
            return key
    return ()


def _clock(columns: tuple[ColumnFacts, ...], label: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The only column with times, when every row has one and they differ; and all of them."""
    times = [c for c in columns if c.type in ("date", "timestamp", "timestamp_ntz") and c.name != label]
    clear = [c.name for c in times if not c.missing and c.profile.distinct >= 10]
    return (clear[0] if len(times) == 1 and clear else None), tuple(c.name for c in times)


def _times(columns: tuple[ColumnFacts, ...], name: str, sampled: Sampled) -> Times:
    column = next(c for c in columns if c.name == name)
    if not column.profile.filled:
        raise DataError(f"--event-time {name}: it has no value at all; choose another column, or none")
    if column.type not in ("date", "timestamp", "timestamp_ntz"):
        raise ConfigError(
            f"--event-time {name}: its values are no times that can be read; write ISO (2013-10-01 or "
            f"2013-10-01T06:00:00Z), or one of dd.MM.yyyy, MM/dd/yyyy, dd/MM/yyyy, yyyy/MM/dd, dd-MMM-yyyy (with "
            f"HH:mm or HH:mm:ss behind), {COMPACT}"
        )
    pattern = pattern_of(column.profile) if column.repair else None
    ends = column.profile.forms[pattern][1:] if pattern else (column.profile.least, column.profile.greatest)
    middle = sampled.quantiles(sampled.measures(column, pattern), [0.7, 0.85])
    first, train, validation, last = (
        datetime.fromtimestamp(float(micros or 0) // 1_000_000, UTC) for micros in (ends[0], *middle, ends[1])
    )
    return Times(first, train, validation, last)
