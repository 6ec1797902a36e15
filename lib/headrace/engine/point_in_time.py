"""Point-in-time joins: for each row the last one known at its time, and lookups without time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_type

from headrace.config.durations import microseconds
from headrace.engine import buckets
from headrace.engine.buckets import BUCKET
from headrace.engine.exact import Ints
from headrace.engine.intervals import NEVER
from headrace.engine.kernels import Events, latest
from headrace.engine.timeline import Ties
from headrace.errors import ConfigError

_TIME, _AVAILABLE, _UNTIL = "__headrace_time", "__headrace_available", "__headrace_until"


def point_in_time_join(
    spine: DataFrame,
    features: DataFrame,
    *,
    entity: list[str],
    spine_time: str,
    feature_time: str,
    available_at: str | None = None,
    valid_until: str | None = None,
    max_age: str | None = None,
    columns: list[str] | None = None,
    num_buckets: int | None = None,
) -> DataFrame:
    """Join to each row of the spine the last row of `features` that was known at its time.

    That is one whole row, never a mixture: of those with `available_at <= t` and `feature_time` in (t - max_age, t]
    the greatest by (feature_time, available_at, then `columns` in their order, null lowest, NaN greatest). Its
    nulls stay null. Rows in are rows out, duplicates too; where nothing is found, and where the key or the time has
    a null, the new columns are null. A task holds one bucket of both sides in memory.

    Args:
        spine: Rows to join to; all columns are passed through.
        features: Rows that hold from `feature_time` on; of the same key types.
        entity: Key columns, on both sides.
        spine_time: The spine's cut-off: timestamp, timestamp_ntz (read as UTC) or date (00:00 UTC).
        feature_time: When a row of `features` came to hold.
        available_at: When it was known (null: never); without this, at once.
        valid_until: From when on it does not hold any more (null: it still does), as in a dimension of type 2: of the rows
            that hold at t, which may overlap, the one that the order above has last. Without this, all hold for ever.
        max_age: The greatest age, as `3 hours`; without this, any.
        columns: What to take; default: all but the keys, `feature_time`, `available_at` and `valid_until`.
        num_buckets: Default: four per shuffle partition.

    Returns:
        The spine's columns, then `columns`, with the types they have in `features`. Timestamps are points in time:
        the session's time zone changes how they are shown, and nothing else.

    Raises:
        ConfigError: For a column, type or duration that cannot be used, or a name that would stand twice.

    Example:
        >>> from headrace import point_in_time_join
        >>> weather = spark.sql("select 'JFK' origin, timestamp'2013-07-01 10:00:00Z' observed_at, 71 temp")
        >>> spine = spark.sql(
        ...     "select origin, timestamp'2013-07-01 12:00:00Z' predict_at from values ('JFK'), ('LGA') as t(origin)"
        ... )
        >>> rows = point_in_time_join(
        ...     spine,
        ...     weather,
        ...     entity=["origin"],
        ...     spine_time="predict_at",
        ...     feature_time="observed_at",
        ...     max_age="6 hours",
        ... )
        >>> rows.select("origin", "temp").orderBy("origin").collect()
        [Row(origin='JFK', temp=71), Row(origin='LGA', temp=None)]
    """
    buckets.check_frame(spine, "spine")
    buckets.check_frame(features, "features")
    age = _microseconds(max_age)
    kinds = buckets.key_types(spine, features, entity)
    buckets.check_time(spine, spine_time, "spine_time")
    buckets.check_time(features, feature_time, "feature_time")
    if available_at is not None:
        buckets.check_time(features, available_at, "available_at")
    if valid_until is not None:
        buckets.check_time(features, valid_until, "valid_until")
    taken = _columns(
        features, columns, {*entity, feature_time, available_at or feature_time, valid_until or feature_time}
    )
    buckets.check_new_names(spine, [field.name for field in taken], "the feature column")
    keys = [f"__headrace_key_{i}" for i in range(len(entity))]
    right = features.select(
        *_compared(features, entity, kinds, keys),
        buckets.column_of(features, feature_time).alias(_TIME),
        *([buckets.column_of(features, available_at).alias(_AVAILABLE)] if available_at else []),
        *([buckets.column_of(features, valid_until).alias(_UNTIL)] if valid_until else []),
        *(buckets.column_of(features, f.name).alias(f"__headrace_value_{i}") for i, f in enumerate(taken)),
    )
    right = buckets.without_nulls(right, [*keys, _TIME, *([_AVAILABLE] if available_at else [])])
    count = buckets.bucket_count(spine, num_buckets)
    hashed = [buckets.comparable(buckets.column_of(spine, e), k) for e, k in zip(entity, kinds, strict=True)]
    left = spine.withColumn(BUCKET, buckets.bucket(hashed, count, spread=buckets.column_of(spine, spine_time)))
    right = right.withColumn(BUCKET, buckets.bucket([F.col(key) for key in keys], count))
    types = [to_arrow_type(kind, timezone="UTC") for kind in kinds]
    plain = buckets.plain_names(spine)
    names = [plain[buckets.field_of(spine, e, "entity").name] for e in entity]
    time = plain[buckets.field_of(spine, spine_time, "spine_time").name]
    compute = _bucket_function(list(zip(names, keys, types, strict=True)), time, [f.name for f in taken], age)
    passed = [T.StructField(plain[f.name], f.dataType, f.nullable, f.metadata) for f in spine.schema]
    schema = T.StructType([*passed, *taken])
    left = buckets.renamed(left, plain)
    joined = left.groupBy(BUCKET).cogroup(right.groupBy(BUCKET)).applyInArrow(compute, schema)  # type: ignore[arg-type]
    return buckets.renamed(joined.select(*map(buckets.quoted, schema.names)), {p: name for name, p in plain.items()})


def _compared(
    frame: DataFrame, entity: Sequence[str], kinds: Sequence[T.DataType], keys: Sequence[str]
) -> Iterator[Column]:
    """The key columns of a frame, comparable, under new names."""
    for name, kind, key in zip(entity, kinds, keys, strict=True):
        yield buckets.comparable(buckets.column_of(frame, name), kind).alias(key)


def lookup_join(
    spine: DataFrame, table: DataFrame, *, entity: list[str], columns: list[str] | None = None
) -> DataFrame:
    """Add columns of a table found by its key. Rows in are rows out; a null in the key finds nothing.

    Args:
        spine: Rows to join to; all columns are passed through.
        table: One row per key. If a key stands twice, Spark stops when the result is read, naming the key.
        entity: Key columns, on both sides.
        columns: What to take; default: all but the keys.

    Returns:
        The spine's columns, then `columns`.

    Raises:
        ConfigError: For a column or type that cannot be used, or a name that would stand twice.
    """
    kinds = buckets.key_types(spine, table, entity)
    besides = {name.lower() for name in entity}
    _check_list(columns)
    names = [name for name in table.columns if name.lower() not in besides] if columns is None else columns
    fields = [buckets.field_of(table, name, "columns") for name in names]
    buckets.check_new_names(spine, [field.name for field in fields], "the looked-up column")
    keys = [f"__headrace_key_{i}" for i in range(len(entity))]
    right = table.select(
        *_compared(table, entity, kinds, keys),
        F.struct(*(buckets.column_of(table, f.name).alias(f"v{i}") for i, f in enumerate(fields))).alias(
            "__headrace_row"
        ),
    )
    right = (
        buckets.without_nulls(right, keys)
        .groupBy(*keys)
        .agg(F.first("__headrace_row").alias("__headrace_row"), F.count("*").alias("__headrace_n"))
    )
    shown = F.concat_ws(", ", *(F.col(key).cast("string") for key in keys))
    message = F.concat(F.lit(f"the lookup table has more than one row for {', '.join(entity)} = "), shown)
    row = F.when(F.col("__headrace_n") > 1, F.raise_error(message)).otherwise(F.col("__headrace_row"))
    right = right.select(*keys, row.alias("__headrace_row"))
    condition = F.lit(True)
    for e, kind, key in zip(entity, kinds, keys, strict=True):
        condition = condition & (buckets.comparable(buckets.column_of(spine, e), kind) == right[key])
    joined = spine.join(right, condition, "left")
    found = (F.col("__headrace_row")[f"v{i}"].alias(f.name, metadata=f.metadata) for i, f in enumerate(fields))
    return joined.select(*(buckets.column_of(spine, name) for name in spine.columns), *found)


def _check_list(columns: Sequence[str] | None) -> None:
    if columns is not None and (isinstance(columns, str) or not all(isinstance(name, str) for name in columns)):
        raise ConfigError(f"columns: {columns!r} is no list of columns; write ['temp', 'wind_speed']")


def _microseconds(max_age: str | None) -> int | None:
    try:
        return None if max_age is None else microseconds(str(max_age))
    except ValueError as error:
        raise ConfigError(f"max_age: {error}") from error


def _columns(features: DataFrame, columns: Sequence[str] | None, besides: set[str]) -> list[T.StructField]:
    _check_list(columns)
    if columns is None:
        left_out = {name.lower() for name in besides}
        columns = [name for name in features.columns if name.lower() not in left_out]
    if not columns:
        raise ConfigError("columns: nothing to take beside the keys and times; name at least one column of `features`")
    fields = [buckets.field_of(features, name, "columns") for name in columns]
    return [T.StructField(field.name, field.dataType, True, field.metadata) for field in fields]


def _bucket_function(
    casts: Sequence[tuple[str, str, pa.DataType]], spine_time: str, names: Sequence[str], max_age: int | None
) -> Callable[[pa.Table, pa.Table], pa.Table]:
    def compute(left: pa.Table, right: pa.Table) -> pa.Table:
        left, right = buckets.in_utc(left.drop_columns([BUCKET])), buckets.in_utc(right)
        values = [right[f"__headrace_value_{i}"] for i in range(len(names))]
        found = _found(left, right, values, casts, spine_time, max_age)
        rows = pa.array(found, mask=found < 0)
        for name, column in zip(names, values, strict=True):
            left = left.append_column(name, column.combine_chunks().take(rows))
        return left

    return compute


def _found(
    left: pa.Table,
    right: pa.Table,
    values: Sequence[pa.ChunkedArray],
    casts: Sequence[tuple[str, str, pa.DataType]],
    spine_time: str,
    max_age: int | None,
) -> Ints:
    """Per row of the spine the row of the features that it is joined to, or -1."""
    entity, of = buckets.entity_codes(left, right, casts)
    cutoff, there = buckets.micros(left[spine_time])
    happened, _ = buckets.micros(right[_TIME])
    known = available = happened
    if _AVAILABLE in right.column_names:
        available = buckets.micros(right[_AVAILABLE])[0]
        known = np.maximum(happened, available)
    until = None
    if _UNTIL in right.column_names:
        ends, bounded = buckets.micros(right[_UNTIL])
        until = np.where(bounded, ends, NEVER)
    found = latest(Events(of, happened, known, _ties(available, values)), entity, cutoff, max_age, until)
    found[~there | (entity < 0)] = -1
    return found


def _ties(available: Ints, values: Sequence[pa.ChunkedArray]) -> Ties:
    """Rows of one entity and event time go by `available_at`, then by the columns' values."""
    return lambda rows: [available[rows], *(_ranks(column.take(pa.array(rows))) for column in values)]


def _ranks(column: pa.ChunkedArray) -> Ints:
    """Ranks of values of any type: null lowest, NaN greatest; what has no order goes by its text."""
    array = column.combine_chunks()
    if pa.types.is_nested(array.type) or pa.types.is_null(array.type):
        array = pa.array([None if value is None else repr(value) for value in array.to_pylist()], pa.string())
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    if pa.types.is_floating(array.type):
        # One NaN, and one zero, so that equal values have equal ranks.
        values = array.fill_null(0).to_numpy(zero_copy_only=False)
        ranks = np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)
    else:
        encoded = array.dictionary_encode()
        order = np.asarray(pc.sort_indices(encoded.dictionary)).astype(np.int64)
        place = np.empty(len(order) + 1, np.int64)
        place[order] = np.arange(len(order))
        ranks = place[np.asarray(encoded.indices.fill_null(0)).astype(np.int64)]
    return np.where(np.asarray(array.is_null()), -1, ranks)
