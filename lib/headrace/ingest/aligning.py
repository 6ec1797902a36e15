"""Rows of files of the same columns, in the columns that are wanted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType, StructField, StructType

from headrace.config.names import column_names
from headrace.ingest.drift import RESCUED, Columns, placed, plain, reconciled
from headrace.ingest.files import quoted
from headrace.ingest.schemas import BY_VALUE, COLUMNAR, CORRUPT, Group, reader_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


def group_columns(group: Group) -> dict[str, DataType]:
    """A group's columns and their types, under the names that they have in the tables."""
    names = column_names(group.schema.names)
    own = {n: plain(f.dataType) for n, f in zip(names, group.schema.fields, strict=True)}
    return own | dict.fromkeys(folder_columns(group), StringType())


def folder_columns(group: Group) -> dict[str, str]:
    """Folders `name=value` by the names of their columns; where a file has such a column itself, that one counts."""
    own = set(column_names(group.schema.names))
    keys = list(dict.fromkeys(key for file in group.files for key in file.keys))
    return {name: key for name, key in zip(column_names(keys), keys, strict=True) if name not in own}


def group_rows(
    spark: SparkSession, format_: str, options: Mapping[str, str], group: Group, want: Columns, rescue: bool
) -> DataFrame:
    """The rows of a group.

    Args:
        spark: The session.
        format_: Spark's name of the format.
        options: Of Spark's reader.
        group: The files.
        want: The columns, with their types.
        rescue: Whether what has no place in them is kept in `_rescued`; otherwise there is none.

    Returns:
        The wanted columns, of text formats `_corrupt`, with `rescue` `_rescued`, then `_source`, `_source_version`.
    """
    frame = _loaded(spark, format_, options, group, want)
    values = _values(frame, group)
    columns: dict[str, Column] = {}
    rest: list[Column] = []
    for name, (value, kind) in values.items():
        column, surplus = placed(value, kind, want[name]) if name in want else (None, value)
        if column is not None:
            columns[name] = column
        if surplus is not None:
            rest.append(surplus.alias(name))
    kept = [(columns[n] if n in columns else F.lit(None).cast(kind)).alias(n) for n, kind in want.items()]
    folders = folder_columns(group)
    own = [value for name, (value, _) in values.items() if name not in folders]
    return frame.select(*kept, *_kept_whole(frame, format_, rescue, rest, own), *_origin())


def _values(frame: DataFrame, group: Group) -> dict[str, tuple[Column, DataType]]:
    """Each column of the files and folders, and its type, by its name in the tables."""
    found: dict[str, tuple[Column, DataType]] = {}
    for name, field in zip(column_names(group.schema.names), frame.schema.fields, strict=False):
        value, kind = F.col(f"`{field.name.replace('`', '``')}`"), plain(field.dataType)
        found[name] = (value if kind == field.dataType else value.cast(kind), kind)
    return found | {name: (_folder_value(key), StringType()) for name, key in folder_columns(group).items()}


def _kept_whole(frame: DataFrame, format_: str, rescue: bool, rest: list[Column], own: list[Column]) -> list[Column]:
    """Records that do not fit, as a whole, and what has no place in the columns that are wanted."""
    corrupt = F.col(CORRUPT) if CORRUPT in frame.columns else None
    rescued = F.lit(None).cast("string")
    if rescue and rest:
        surplus = F.to_json(F.struct(*rest))
        rescued = F.when(surplus != "{}", surplus)
    if rescue and corrupt is not None and format_ in BY_VALUE:  # what could be read in part is no corrupt record
        partly = reduce(lambda one, other: one | other, [value.isNotNull() for value in own])
        rescued = F.coalesce(F.when(partly, corrupt), rescued)
        corrupt = F.when(~partly, corrupt)
    found = [] if corrupt is None else [corrupt.alias(CORRUPT)]
    return [*found, rescued.alias(RESCUED)] if rescue else found


def _origin() -> list[Column]:
    version = F.concat_ws("-", F.col("_metadata.file_size"), F.unix_millis(F.col("_metadata.file_modification_time")))
    path = F.regexp_replace("_metadata.file_path", "^file:/+", "file:///")  # as the listing writes it
    return [path.alias("_source"), version.alias("_source_version")]


def _folder_value(key: str) -> Column:
    """What the name of a folder says, as text: unquoted from the URI, and from what Spark quotes itself."""
    value = F.regexp_extract("_metadata.file_path", f"^.*/{re.escape(quoted(key))}=([^/]*)/", 1)
    for _ in range(2):
        value = F.coalesce(F.try_url_decode(F.replace(value, F.lit("+"), F.lit("%2B"))), value)
    return F.when(~value.isin("", "__HIVE_DEFAULT_PARTITION__"), value)


def _loaded(spark: SparkSession, format_: str, options: Mapping[str, str], group: Group, want: Columns) -> DataFrame:
    """The files of a group by Spark's reader: first their columns in their order, then `_corrupt` of text formats."""
    reader = reader_of(spark, format_, options)
    reader = reader.option("columnNameOfCorruptRecord", CORRUPT).option("mode", "PERMISSIVE")
    paths = [f.literal for f in group.files]
    corrupt = StructField(CORRUPT, StringType())
    if format_ == "csv":
        return reader.schema(StructType([*group.schema.fields, corrupt])).load(paths)
    if format_ in BY_VALUE:
        schema = reconciled(group.schema, StructType([StructField(n, kind) for n, kind in want.items()]))
        fields = schema.fields if isinstance(schema, StructType) else []
        return reader.schema(StructType([*fields, corrupt])).load(paths)
    return (reader.schema(group.schema) if format_ in COLUMNAR else reader).load(paths)
