"""Schema drift: what the columns of new files differ in from those that are known, and what becomes of it.

`fail` stops and prints the difference, `evolve` adds columns, `rescue` keeps what has no place in `_rescued`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from headrace.config.names import column_names
from headrace.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import Column

RESCUED = "_rescued"
Columns = Mapping[str, DataType]

_DIGITS: dict[type[DataType], int] = {ByteType: 3, ShortType: 5, IntegerType: 10, LongType: 19}
NESTED = (StructType, ArrayType, MapType)


def plain(kind: DataType) -> DataType:
    """A type whose nested fields have names that Delta takes."""
    if isinstance(kind, StructType):
        names = column_names(kind.names)
        return StructType([StructField(n, plain(f.dataType)) for n, f in zip(names, kind.fields, strict=True)])
    if isinstance(kind, ArrayType):
        return ArrayType(plain(kind.elementType))
    if isinstance(kind, MapType):
        return MapType(plain(kind.keyType), plain(kind.valueType))
    return kind


def fits(have: DataType, want: DataType) -> bool:
    """Whether every value of one type has its place in the other."""
    if have == want or isinstance(have, NullType):
        return True
    if isinstance(want, StringType):
        return not isinstance(have, BinaryType)
    if isinstance(have, StructType) and isinstance(want, StructType):
        there = {f.name: f.dataType for f in want.fields}
        return all(f.name in there and _inside(f.dataType, there[f.name]) for f in have.fields)
    if isinstance(have, ArrayType) and isinstance(want, ArrayType):
        return _inside(have.elementType, want.elementType)
    if isinstance(have, MapType) and isinstance(want, MapType):
        return have.keyType == want.keyType and _inside(have.valueType, want.valueType)
    return _widens(have, want)


def _inside(have: DataType, want: DataType) -> bool:
    """Nested values stay as they are: their types are the same, fields may be absent."""
    return fits(have, want) if isinstance(have, NESTED) and isinstance(want, NESTED) else have == want


def _widens(have: DataType, want: DataType) -> bool:
    digits = _DIGITS.get(type(have))
    if digits is not None:
        if isinstance(want, DecimalType):
            return want.precision - want.scale >= digits
        return digits < _DIGITS.get(type(want), 0) or isinstance(want, DoubleType)
    if isinstance(have, DecimalType) and isinstance(want, DecimalType):
        return want.scale >= have.scale and want.precision - want.scale >= have.precision - have.scale
    if isinstance(have, FloatType):
        return isinstance(want, DoubleType)
    return isinstance(have, DateType | TimestampType | TimestampNTZType) and isinstance(
        want, TimestampType | TimestampNTZType
    )


@dataclass(frozen=True)
class Difference:
    """How the columns of a file differ from those that are known.

    Attributes:
        extra: Columns that are only in the file, or have fields that are only in the file, with their types.
        missing: Columns that the file has not, where each file must have them.
        changed: Columns of another type: `amount is double, it was bigint`.
    """

    extra: dict[str, DataType]
    missing: tuple[str, ...]
    changed: tuple[str, ...]

    def __str__(self) -> str:
        told = [f"additional {', '.join(f'{n} ({k.simpleString()})' for n, k in self.extra.items())}"] * bool(
            self.extra
        )
        told += [f"missing {', '.join(self.missing)}"] * bool(self.missing)
        told += [f"of another type: {'; '.join(self.changed)}"] * bool(self.changed)
        return ", ".join(told)


def difference(have: Columns, want: Columns, optional: bool) -> Difference | None:
    """How the columns of a file differ from those that are known; None: not at all.

    Args:
        have: The file's.
        want: Those known.
        optional: Fields may be absent and are read value by value (JSON): text may be just nulls.
    """
    extra = {n: kind for n, kind in have.items() if n not in want}
    changed: list[str] = []
    for name in (n for n in want if n in have and not fits(have[n], want[n])):
        grown = merged(have[name], want[name])
        if grown is not None:
            extra[name] = grown
        elif not (optional and isinstance(have[name], StringType)):
            changed.append(f"{name} is {have[name].simpleString()}, it was {want[name].simpleString()}")
    missing = () if optional else tuple(n for n in want if n not in have)
    return Difference(extra, missing, tuple(changed)) if extra or missing or changed else None


def agreed(policy: str, file: str, found: Difference, want: Columns, before: str) -> dict[str, DataType]:
    """The columns that rows shall have after those of a file that differs.

    Args:
        policy: `fail`, `evolve` or `rescue`.
        file: Its path.
        found: How it differs.
        want: The columns known.
        before: What they are known from, as `what landed before`.

    Raises:
        DataError: If the policy is to fail, or a column has come in a type that it cannot evolve to.
    """
    if policy == "fail" or (policy == "evolve" and found.changed):
        ways = "rescue (what has no place is kept in _rescued)"
        ways = f"evolve (columns are added, absent ones are null) or {ways}" if policy == "fail" else ways
        raise DataError(
            f"{file} has other columns than {before}: {found}. Nothing has landed: put files of the same columns there, "
            f"or set source.on_drift: {ways}, or change source.options on purpose: all is then read anew"
        )
    if policy != "evolve":
        return dict(want)
    # Delta adds no column of timestamp_ntz to a table that has none
    return {**want, **{n: TimestampType() if kind == TimestampNTZType() else kind for n, kind in found.extra.items()}}


def placed(column: Column, have: DataType, want: DataType) -> tuple[Column, Column | None]:
    """A value in the type that is wanted, and what of it has no place there (null where all has), or None: all has."""
    if fits(have, want):
        return _shaped(column, have, want), None
    if isinstance(have, NESTED) and isinstance(want, StructType | ArrayType):
        return F.from_json(F.to_json(column), want.simpleString()), column
    if isinstance(have, (*NESTED, BinaryType)) or isinstance(want, NESTED):
        return F.lit(None).cast(want), column
    value = column.cast("string").try_cast(want)
    return value, F.when(value.isNull(), column)


def _shaped(column: Column, have: DataType, want: DataType) -> Column:
    """A value that fits, its nested fields in the order that is wanted, null where it has none."""
    if have == want:
        return column
    if isinstance(want, StringType) and isinstance(have, NESTED):
        return F.to_json(column)
    if isinstance(have, StructType) and isinstance(want, StructType):
        there = {f.name: f.dataType for f in have.fields}
        fields = [
            (_shaped(column.getField(f.name), there[f.name], f.dataType) if f.name in there else F.lit(None))
            .cast(f.dataType)
            .alias(f.name)
            for f in want.fields
        ]
        return F.when(column.isNotNull(), F.struct(*fields))
    if isinstance(have, ArrayType) and isinstance(want, ArrayType):
        return F.transform(column, lambda item: _shaped(item, have.elementType, want.elementType))
    if isinstance(have, MapType) and isinstance(want, MapType):
        return F.transform_values(column, lambda _, value: _shaped(value, have.valueType, want.valueType))
    return column.cast(want)


def merged(have: DataType, want: DataType) -> DataType | None:
    """The type of a nested column that has grown fields; None where the two are not to be reconciled."""
    if fits(have, want):
        return want
    if isinstance(have, StructType) and isinstance(want, StructType):
        own = {f.name: f.dataType for f in have.fields}
        fields: list[StructField] = []
        for field in want.fields:
            kind = merged(own[field.name], field.dataType) if field.name in own else field.dataType
            if kind is None:
                return None
            fields.append(StructField(field.name, kind))
        there = set(want.names)
        return StructType([*fields, *[StructField(n, kind) for n, kind in own.items() if n not in there]])
    if isinstance(have, ArrayType) and isinstance(want, ArrayType):
        kind = merged(have.elementType, want.elementType)
        return None if kind is None else ArrayType(kind)
    return None


def grown(now: StructType, known: StructType | None) -> StructType:
    """The fields of a source that tells them by a sample: those of before in their types, and new ones.

    A field that is of a type that does not agree with the one of before stays as it is now.
    """
    if known is None:
        return now
    own = {f.name: f.dataType for f in now.fields}
    kinds = {f.name: f.dataType for f in known.fields}
    for name, kind in own.items():
        kinds[name] = (merged(kind, kinds[name]) if name in kinds else None) or kind
    return StructType([StructField(name, kind) for name, kind in kinds.items()])


def reconciled(have: DataType, want: DataType | None) -> DataType:
    """How JSON is to be read: the fields that it has, in the types that are known of them."""
    if want is None:
        return have
    if isinstance(have, StructType) and isinstance(want, StructType):
        there = {f.name: f.dataType for f in want.fields}
        names = column_names(have.names)
        return StructType(
            [StructField(f.name, reconciled(f.dataType, there.get(n))) for n, f in zip(names, have.fields, strict=True)]
        )
    if isinstance(have, ArrayType) and isinstance(want, ArrayType):
        return ArrayType(reconciled(have.elementType, want.elementType))
    return want
