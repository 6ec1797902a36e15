"""Entity keys: what may be one, which bucket it falls into, and its code within the bucket.

A key of several columns is never glued together as text: buckets hash the columns as they are, and within a bucket
each column's values get codes, which are then combined.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from operator import and_, or_

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from headrace.engine.exact import Bools, Ints
from headrace.errors import ConfigError

BUCKET = "__headrace_bucket"
PER_PARTITION = 4
"Buckets per shuffle partition: a task takes several small ones, and less is in memory at once."

_TIMES = (T.TimestampType, T.TimestampNTZType, T.DateType)
KEYS = (T.StringType, T.IntegralType, T.FractionalType, T.BooleanType, T.BinaryType, *_TIMES)
"Types that can be a key: equality and order are plain."


PLAIN = "values are compared by their bytes; write lower({0}) or cast({0} as string) as the column first"
"""What to do about a text that is compared otherwise."""


def collated(kind: T.DataType) -> bool:
    """Whether a type is text of which different bytes can be equal."""
    return isinstance(kind, T.StringType) and not kind.isUTF8BinaryCollation()


def check_frame(frame: object, what: str) -> None:
    """Refuse what is no DataFrame of Spark, or has two columns of one name."""
    if not hasattr(frame, "sparkSession"):
        came = type(frame)
        raise ConfigError(
            f"{what}: {came.__module__}.{came.__name__} is no DataFrame of Spark; give one, as spark.createDataFrame(...)"
        )
    names = Counter(name.lower() for name in frame.columns)  # type: ignore[attr-defined]
    twice = [name for name, number in names.items() if number > 1]
    if twice:
        raise ConfigError(f"{what}: column {twice[0]!r} stands more than once; rename one of the two")


def field_of(frame: DataFrame, column: str, what: str) -> T.StructField:
    """A column of a frame, by its name in any case.

    Raises:
        ConfigError: If the frame does not have it.
    """
    found = [field for field in frame.schema if field.name.lower() == column.lower()]
    if len(found) != 1:
        names = ", ".join(frame.columns)
        came = "is not there" if not found else "stands more than once"
        raise ConfigError(f"{what}: column {column!r} {came}; the columns are {names}")
    return found[0]


def unordered(kind: T.DataType) -> bool:
    """Whether a type is, or holds, one whose values Spark does not compare."""
    if isinstance(kind, T.ArrayType):
        return unordered(kind.elementType)
    if isinstance(kind, T.StructType):
        return any(unordered(f.dataType) for f in kind.fields)
    return isinstance(kind, T.MapType | T.VariantType)


def column_of(frame: DataFrame, name: str) -> Column:
    """A column by its name, whatever signs that has: `frame[name]` takes `a.b` for a field of a struct."""
    return frame[quoted(name)]


def quoted(name: str) -> str:
    """A name as SQL takes it whole."""
    return "`" + name.replace("`", "``") + "`"


def plain_names(frame: DataFrame) -> dict[str, str]:
    """Names under which columns go to Python workers: Spark's cogroup does not take dots and backquotes."""
    return {name: f"__headrace_column_{i}" if set(name) & set(".`") else name for i, name in enumerate(frame.columns)}


def renamed(frame: DataFrame, names: dict[str, str]) -> DataFrame:
    """The frame with other names for some columns."""
    changed = {old: new for old, new in names.items() if old != new}
    return frame.withColumnsRenamed(changed) if changed else frame


def check_time(frame: DataFrame, column: str, what: str) -> None:
    """Refuse a column that is no point in time. A date counts as 00:00 UTC, a time without a zone as UTC."""
    kind = field_of(frame, column, what).dataType
    if not isinstance(kind, _TIMES):
        raise ConfigError(
            f"{what}: column {column!r} is {kind.simpleString()}, not a timestamp, timestamp_ntz or date; "
            f"cast it, as in to_timestamp({column})"
        )


def check_new_names(frame: DataFrame, names: Sequence[str], what: str) -> None:
    """Refuse a new column whose name is taken, by a column of the frame or by another new one."""
    taken = {name.lower(): f"the spine's column {name!r}" for name in frame.columns}
    for name in names:
        if name.lower() in taken:
            raise ConfigError(f"{what} {name!r} has the same name as {taken[name.lower()]}; rename one of the two")
        taken[name.lower()] = f"{what} {name!r}"


def key_types(left: DataFrame, right: DataFrame, entity: Sequence[str]) -> list[T.DataType]:
    """The type in which the two sides' keys are compared.

    Raises:
        ConfigError: If there are no keys, one is missing or of a type that cannot be compared, or the sides differ.
    """
    if not entity or isinstance(entity, str):
        raise ConfigError(f"entity: {entity!r} is no list of columns; name at least one, as in ['customer_id']")
    if len({name.lower() for name in entity}) < len(entity):
        raise ConfigError(f"entity: {list(entity)} names a column twice; name each once")
    return [
        _common(name, field_of(left, name, "entity").dataType, field_of(right, name, "entity").dataType)
        for name in entity
    ]


def _common(name: str, left: T.DataType, right: T.DataType) -> T.DataType:
    for kind in (left, right):
        if not isinstance(kind, KEYS):
            raise ConfigError(
                f"entity: column {name!r} is {kind.simpleString()}; a key is a string, number, decimal, boolean, "
                "binary, date or timestamp; cast it first"
            )
        if collated(kind):
            raise ConfigError(f"entity: column {name!r} is {kind.simpleString()}: {PLAIN.format(name)}")
    if left == right:
        return left
    if isinstance(left, T.StringType) and isinstance(right, T.StringType):
        return T.StringType()
    if isinstance(left, T.IntegralType) and isinstance(right, T.IntegralType):
        return T.LongType()
    if isinstance(left, (T.FloatType, T.DoubleType)) and isinstance(right, (T.FloatType, T.DoubleType)):
        return T.DoubleType()
    if isinstance(left, T.DecimalType) and isinstance(right, T.DecimalType):
        scale = max(left.scale, right.scale)
        precision = max(left.precision - left.scale, right.precision - right.scale) + scale
        if precision <= 38:
            return T.DecimalType(precision, scale)
    raise ConfigError(
        f"entity: column {name!r} is {left.simpleString()} on one side and {right.simpleString()} on the other; "
        "equal keys would not be found equal; cast one of the two"
    )


def comparable(column: Column, kind: T.DataType) -> Column:
    """A key such that equal ones have equal bits: -0.0 is 0.0, and there is one NaN."""
    cast = column.cast(kind)
    if isinstance(kind, (T.FloatType, T.DoubleType)):
        return F.when(cast == 0, F.lit(0.0).cast(kind)).otherwise(F.nanvl(cast, F.lit(float("nan")).cast(kind)))
    return cast


def without_nulls(frame: DataFrame, columns: Sequence[str]) -> DataFrame:
    """Rows with nothing null in these columns (`dropna` would drop NaN too, which is a value)."""
    return frame.where(reduce(and_, (F.col(name).isNotNull() for name in columns)))


def bucket(keys: Sequence[Column], count: int, spread: Column | None = None) -> Column:
    """The bucket of an entity; all rows of an entity share it.

    Args:
        keys: The key's columns, of the same types on both sides.
        count: Number of buckets.
        spread: Rows with a null in their key have no entity; they go where this sends them, not all into one bucket.
    """
    whole = F.pmod(F.hash(*keys), F.lit(count))
    if spread is None:
        return whole
    anything = reduce(or_, (key.isNull() for key in keys))
    return F.when(anything, F.pmod(F.xxhash64(spread, *keys), F.lit(count)).cast("int")).otherwise(whole)


def bucket_count(frame: DataFrame, asked: int | None) -> int:
    """The number asked for, or a few per shuffle partition of the session.

    Raises:
        ConfigError: If it is no number above zero.
    """
    if asked is not None and (not isinstance(asked, int) or asked < 1):
        raise ConfigError(f"num_buckets: {asked!r} is no number of buckets; write a whole number above zero")
    return asked or PER_PARTITION * int(str(frame.sparkSession.conf.get("spark.sql.shuffle.partitions")))


def entity_codes(left: pa.Table, right: pa.Table, casts: Sequence[tuple[str, str, pa.DataType]]) -> tuple[Ints, Ints]:
    """Codes such that equal keys, and only they, have equal codes; -1 where a part of the key is null.

    Args:
        left: One side.
        right: The other.
        casts: Per key column its name on the left, on the right, and the type to compare in.
    """
    codes = np.zeros(left.num_rows + right.num_rows, np.int64)
    null = np.zeros(len(codes), bool)
    for on_left, on_right, kind in casts:
        both = [part for side, name in ((left, on_left), (right, on_right)) for part in side[name].cast(kind).chunks]
        column = pa.chunked_array(both, kind)
        if pa.types.is_floating(kind):
            bits = column.fill_null(0).to_numpy() + 0.0
            part = np.unique(bits, return_inverse=True)[1].reshape(-1).astype(np.int64)
        else:
            part = _indices(column)
        null |= np.asarray(column.is_null())
        size = int(part.max()) + 1 if len(part) else 1
        codes = part if len(casts) == 1 else np.unique(codes * size + part, return_inverse=True)[1].reshape(-1)
    codes[null] = -1
    pa.default_memory_pool().release_unused()  # Arrow keeps it; of a hot entity that is as much as the columns
    return codes[: left.num_rows], codes[left.num_rows :]


def _indices(column: pa.ChunkedArray) -> Ints:
    """Numbers such that equal values, and only they, have the same; any for null. All chunks have one dictionary."""
    found = np.empty(len(column), np.int64)
    start = 0
    for chunk in column.dictionary_encode().chunks:
        found[start : start + len(chunk)] = np.asarray(chunk.indices.fill_null(0))
        start += len(chunk)
    return found


def in_utc(table: pa.Table) -> pa.Table:
    """The same instants, labelled UTC: Arrow tables come in the session's time zone, and must go back in UTC."""
    schema = pa.schema([pa.field(field.name, _utc(field.type), field.nullable) for field in table.schema])
    return table if schema.equals(table.schema) else table.cast(schema)


def _utc(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pa.timestamp(kind.unit, tz="UTC")
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_utc(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_utc(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(_utc(kind.key_type), kind.item_field.with_type(_utc(kind.item_type)))
    return kind


def micros(column: pa.ChunkedArray) -> tuple[Ints, Bools]:
    """Microseconds since 1970 in UTC, whatever the session's time zone, and where there are any."""
    kind = column.type
    if not pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us"))
    elif kind.unit != "us":
        column = column.cast(pa.timestamp("us", tz=kind.tz))
    there = np.asarray(column.is_valid())
    whole = column.cast(pa.int64())
    whole = whole.fill_null(0) if whole.null_count else whole
    return np.asarray(whole).astype(np.int64, copy=False), there
