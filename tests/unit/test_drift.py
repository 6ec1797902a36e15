"""When the columns of files differ, and what they then have in common."""

from __future__ import annotations

import pytest
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from headrace.errors import DataError
from headrace.ingest.drift import agreed, difference, fits, merged, reconciled


def kind(text: str) -> DataType:
    """A type by the text that Spark prints of it, without Spark."""
    name, _, inner = text.strip().removesuffix(">").partition("<")
    if name == "struct":
        parts = [part.partition(":") for part in _parts(inner)]
        return StructType([StructField(field.strip(), kind(rest)) for field, _, rest in parts])
    if name == "array":
        return ArrayType(kind(inner))
    if name == "map":
        key, value = _parts(inner)
        return MapType(kind(key), kind(value))
    if name.startswith("decimal"):
        return DecimalType(*map(int, name[8:-1].split(",")))
    return {"int": IntegerType, "bigint": LongType, "float": FloatType, "double": DoubleType, "string": StringType,
            "date": DateType, "timestamp": TimestampType, "binary": BinaryType, "boolean": BooleanType}[name]()  # fmt: skip


def _parts(text: str) -> list[str]:
    """Split by commas outside of brackets."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "<(") - (sign in ">)")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


@pytest.mark.parametrize(
    ("have", "want", "yes"),
    [
        ("int", "bigint", True), ("bigint", "int", False), ("bigint", "double", True), ("double", "bigint", False),
        ("bigint", "decimal(19,0)", True), ("bigint", "decimal(18,0)", False), ("decimal(5,2)", "decimal(6,2)", True),
        ("decimal(5,2)", "decimal(6,3)", True), ("decimal(5,2)", "decimal(5,3)", False), ("float", "double", True),
        ("date", "timestamp", True), ("timestamp", "date", False), ("double", "string", True), ("binary", "string", False),
        ("struct<a:int>", "string", True), ("struct<a:int>", "struct<a:int,b:int>", True),
        ("struct<a:int,c:int>", "struct<a:int,b:int>", False), ("struct<a:int>", "struct<a:bigint>", False),
        ("array<struct<a:int>>", "array<struct<b:int,a:int>>", True), ("array<int>", "int", False),
        ("map<string,struct<a:int>>", "map<string,struct<a:int,b:int>>", True), ("boolean", "bigint", False),
    ],
)  # fmt: skip
def test_every_value_has_its_place(have: str, want: str, yes: bool) -> None:
    assert fits(kind(have), kind(want)) is yes


def test_a_difference_is_told_in_words() -> None:
    want = {"id": kind("bigint"), "v": kind("string"), "n": kind("struct<a:int>")}
    have = {"id": kind("double"), "n": kind("struct<b:int>"), "w": kind("date")}
    told = difference(have, want, optional=False)
    assert str(told) == (
        "additional w (date), n (struct<a:int,b:int>), missing v, of another type: id is double, it was bigint"
    )
    assert difference(want, want, optional=False) is None
    assert difference({"id": kind("string")}, want, optional=True) is None  # JSON that is null throughout is text
    assert difference({}, want, optional=True) is None


def test_what_policies_agree_on() -> None:
    want = {"id": kind("bigint")}
    told = difference({"id": kind("bigint"), "w": kind("date")}, want, optional=False)
    other = difference({"id": kind("date")}, want, optional=False)
    assert told
    assert other
    assert agreed("evolve", "f", told, want, "before") == {"id": kind("bigint"), "w": kind("date")}
    assert agreed("rescue", "f", told, want, "before") == want == agreed("rescue", "f", other, want, "before")
    with pytest.raises(DataError, match=r"f has other columns than before: additional w \(date\).*evolve.*rescue"):
        agreed("fail", "f", told, want, "before")
    with pytest.raises(DataError, match="id is date, it was bigint"):
        agreed("evolve", "f", other, want, "before")


def test_nested_fields_grow_and_never_change() -> None:
    assert merged(kind("struct<b:int,c:struct<d:int>>"), kind("struct<a:int,c:struct<e:int>>")) == kind(
        "struct<a:int,c:struct<e:int,d:int>,b:int>"
    )
    assert merged(kind("array<struct<b:int>>"), kind("array<struct<a:int>>")) == kind("array<struct<a:int,b:int>>")
    assert merged(kind("struct<a:string>"), kind("struct<a:int>")) is None
    assert merged(kind("int"), kind("struct<a:int>")) is None


def test_json_is_read_in_the_types_that_are_known() -> None:
    have = kind("struct<Ä b:bigint,n:struct<x y:double,z:int>,new:string,l:array<bigint>>")
    want = kind("struct<ä_b:string,n:struct<x_y:bigint,gone:int>,l:array<double>>")
    read = kind("struct<Ä b:string,n:struct<x y:bigint,z:int>,new:string,l:array<double>>")
    assert reconciled(have, want) == read
