"""Files that mean harm, or are merely what one gets: each with what must become of it."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Case:
    """Files of one source.

    Attributes:
        name: What is odd about them.
        format: Their format.
        files: Content by path below the source's folder.
        columns: The columns that must come of them.
        rows: The rows, in any order; the columns are as above, then `_corrupt` or `_rescued` where they are named.
        options: Of Spark's reader.
        drift: The policy for other columns.
        skipped: Files that are left out with `on_corrupt: skip`.
        error: What is said instead of any row.
    """

    name: str
    format: str
    files: Mapping[str, bytes]
    columns: str = ""
    rows: Rows = field(default_factory=list)
    options: Mapping[str, str] = field(default_factory=dict)
    drift: str = "fail"
    skipped: tuple[str, ...] = ()
    error: str = ""


def parquet(**columns: Any) -> bytes:
    """A Parquet file."""
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def orc_file(**columns: Any) -> bytes:
    """An ORC file."""
    out = io.BytesIO()
    orc.write_table(pa.table(columns), out)
    return out.getvalue()


def lines(*rows: str, end: str = "\n", encoding: str = "utf-8") -> bytes:
    """A text file."""
    return (end.join(rows) + end).encode(encoding)


def damaged(content: bytes) -> bytes:
    """The same file with its pages overwritten, its footer whole."""
    return content[:40] + b"\xff" * (len(content) // 2) + content[40 + len(content) // 2 :]


LONG = "x" * 2_000_000
WIDE = [f"c{i}" for i in range(2_000)]
MANY = gzip.compress(lines("id,v", *(f"{i},{i * 7919 % 100_003}" for i in range(50_000))))
AB = lines("id,v", "1,a")
GOOD = "id v _corrupt"


def texts() -> list[Case]:
    """CSV and text."""
    return [
        Case("byte order mark", "csv", {"a.csv": b"\xef\xbb\xbf" + AB, "b.csv": lines("id,v", "2,b")}, "id v",
             [("1", "a"), ("2", "b")]),
        Case("byte order mark, many lines a value", "csv", {"a.csv": b"\xef\xbb\xbf" + AB}, "id v", [("1", "a")],
             {"multiLine": "true"}),
        Case("CRLF", "csv", {"a.csv": lines("id,v", "1,a", "2,", end="\r\n")}, GOOD, [("1", "a", None), ("2", None, None)]),
        Case("CR alone", "csv", {"a.csv": lines("id,v", "1,a", "2,b", end="\r")}, "id v", [("1", "a"), ("2", "b")]),
        Case("no end of line at the end", "csv", {"a.csv": b"id,v\n1,a"}, "id v", [("1", "a")]),
        Case("quoted newlines, not told", "csv", {"a.csv": lines("id,v", '1,"a', 'b,c"', "2,d")}, error="multiLine"),
        Case("quoted newlines", "csv", {"a.csv": lines("id,v", '1,"a', 'b,c"', "2,d")}, "id v", [("1", "a\nb,c"), ("2", "d")],
             {"multiLine": "true"}),
        Case("quoted newlines and CRLF", "csv", {"a.csv": b'id,v\r\n1,"a\r\nb"\r\n'}, "id v", [("1", "a\nb")],
             {"multiLine": "true"}),
        Case("quotes within values", "csv", {"a.csv": lines("id,v", '1,5" pipe', '2,"a, ""b"""', '3,""')}, "id v",
             [("1", '5" pipe'), ("2", 'a, "b"'), ("3", None)]),
        Case("quotes within values, escaped", "csv", {"a.csv": lines("id,v", '1,"a \\"b\\""')}, "id v", [("1", 'a "b"')],
             {"escape": "\\"}),
        Case("windows-1252", "csv", {"a.csv": lines("id,v", "1,Köln €", encoding="cp1252")}, "id v", [("1", "Köln €")],
             options={"encoding": "windows-1252"}),
        Case("of 0 bytes, packed", "csv", {"a.csv": AB, "b.csv.gz": b""}, error="0 bytes"),
        Case("latin-1, not told", "csv", {"a.csv": lines("id,v", "1,Müller", encoding="latin-1")}, error="no UTF-8"),
        Case("latin-1", "csv", {"a.csv": lines("id,v", "1,Müller", encoding="latin-1")}, "id v", [("1", "Müller")],
             {"encoding": "ISO-8859-1"}),
        Case("UTF-16, not told", "csv", {"a.csv": lines("id,v", "1,ü", encoding="utf-16")}, error="UTF-16"),
        Case("UTF-16", "csv", {"a.csv": lines("id,v", "1,ü", "2,é", encoding="utf-16")}, "id v", [("1", "ü"), ("2", "é")],
             {"encoding": "UTF-16", "multiLine": "true"}),
        Case("a latin-1 file among others, skipped", "csv",
             {"a.csv": AB, "b.csv": lines("id,v", "2,ü", encoding="latin-1")}, "id v", [("1", "a")], skipped=("b.csv",)),
        Case("duplicate column names", "csv", {"a.csv": lines("a,b,a", "1,2,3")}, "a0 b a2", [("1", "2", "3")]),
        Case("names that differ by case", "csv", {"a.csv": lines("a,A,b", "1,2,3")}, "a0 a1 b", [("1", "2", "3")]),
        Case("odd names", "csv", {"a.csv": lines("a.b,c d,`e`,größe,select,9th,_x,", "1,2,3,4,5,6,7,8")},
             "a_b c_d e größe select c_9th x c7", [("1", "2", "3", "4", "5", "6", "7", "8")]),
        Case("names that become the same", "csv", {"a.csv": lines("a b,a_b,a.b", "1,2,3")}, "a_b a_b_2 a_b_3", [("1", "2", "3")]),
        Case("ragged rows", "csv", {"a.csv": lines("id,v", "1", "2,b,c", "3,d")}, GOOD,
             [("1", None, "1"), ("2", "b", "2,b,c"), ("3", "d", None)]),
        Case("blank lines", "csv", {"a.csv": lines("id,v", "", "1,a", "", "")}, "id v", [("1", "a")]),
        Case("an empty file", "csv", {"a.csv": b"", "b.csv": AB}, "id v", [("1", "a")]),
        Case("a header alone", "csv", {"a.csv": lines("id,v")}, "id v", []),
        Case("nothing but blank lines", "csv", {"a.csv": b"\n\n"}, "", []),
        Case("nothing at all", "csv", {"a.csv": b""}, "", []),
        Case("null bytes", "csv", {"a.csv": b"id,v\n1,a\0b\n"}, "id v", [("1", "a\0b")]),
        Case("a very long field", "csv", {"a.csv": lines("id,v", f"1,{LONG}")}, "id v", [("1", LONG)]),
        Case("2,000 columns", "csv", {"a.csv": lines(",".join(WIDE), ",".join(["7"] * 2_000))}, " ".join(WIDE), [("7",) * 2_000]),
        Case("numbers as they are written", "csv",
             {"a.csv": lines("id,v", "007,1e400", "123456789012345678901234567890,NaN", "-0,Infinity", "1.10,٣")}, "id v",
             [("007", "1e400"), ("123456789012345678901234567890", "NaN"), ("-0", "Infinity"), ("1.10", "٣")]),
        Case("other order of columns", "csv", {"a.csv": AB, "b.csv": lines("v,id", "b,2")}, "id v", [("1", "a"), ("2", "b")]),
        Case("other columns, fail", "csv", {"a.csv": AB, "b.csv": lines("id,w", "2,b")}, error="b.csv has other columns than"),
        Case("other columns, evolve", "csv", {"a.csv": AB, "b.csv": lines("id,w", "2,b")}, "id v w",
             [("1", "a", None), ("2", None, "b")], drift="evolve"),
        Case("other columns, rescue", "csv", {"a.csv": AB, "b.csv": lines("id,w", "2,b", "3,")}, "id v _rescued",
             [("1", "a", None), ("2", None, '{"w":"b"}'), ("3", None, None)], drift="rescue"),
        Case("without a header", "csv", {"a.csv": lines("1,a", "2,b")}, "c0 c1", [("1", "a"), ("2", "b")], {"header": "false"}),
        Case("gzip", "csv", {"a.csv.gz": gzip.compress(AB)}, "id v", [("1", "a")]),
        Case("truncated gzip", "csv", {"a.csv": AB, "b.csv.gz": MANY[: len(MANY) // 2]}, error=r"b\.csv\.gz"),
        Case("truncated gzip, skipped", "csv", {"a.csv": AB, "b.csv.gz": MANY[: len(MANY) // 2], "c.csv.gz": MANY[:9]}, "id v",
             [("1", "a")], skipped=("b.csv.gz", "c.csv.gz")),
        Case("no gzip at all, skipped", "csv", {"a.csv": AB, "b.csv.gz": AB}, "id v", [("1", "a")], skipped=("b.csv.gz",)),
        Case("folders by date", "csv",
             {"day=2024-01-01/a.csv": AB, "day=2024-01-02/a b+ü,(1)'%20;@&[x]{1}*.csv": lines("id,v", "2,b")}, "id v day",
             [("1", "a", "2024-01-01"), ("2", "b", "2024-01-02")]),
        Case("folders with odd values", "csv",
             {"k=a%2Fb/x=1+1/a.csv": AB, "k=__HIVE_DEFAULT_PARTITION__/x=ü c/a.csv": lines("id,v", "2,b")}, "id v k x",
             [("1", "a", "a/b", "1+1"), ("2", "b", None, "ü c")]),
        Case("leftovers of a failed writer", "csv",
             {"a.csv": AB, "_SUCCESS": b"", ".a.csv.crc": b"crc", "_temporary/0/b.csv": AB, ".spark-staging-1/c.csv": AB,
              "_started_1": b"{}", "d.csv._COPYING_": AB}, "id v", [("1", "a")]),
        Case("text", "text", {"a.txt": "eins\n\n\u2028zwei".encode(), "b.txt": b""}, "value", [("eins",), ("",), ("\u2028zwei",)]),
        Case("text with null bytes", "text", {"a.txt": b"a\0b"}, "value", [("a\0b",)]),
    ]  # fmt: skip


def records() -> list[Case]:
    """JSON."""
    return [
        Case("absent fields", "json", {"a.json": lines('{"id":1}', '{"id":2,"v":"b"}'), "b.json": lines('{"v":"c"}')}, "id v",
             [(1, None), (2, "b"), (None, "c")]),
        Case("broken records", "json", {"a.json": lines('{"id":1}', '{"id":', "", '{"id":2}')}, "id _corrupt",
             [(1, None), (None, '{"id":'), (2, None)]),
        Case("no JSON at all", "json", {"a.json": lines("id,v", "1,a")}, error="is a record of json"),
        Case("a field twice", "json", {"a.json": lines('{"a":1,"a":2}')}, error="may not stand twice"),
        Case("latin-1", "json", {"a.json": lines('{"a":"ü"}', encoding="latin-1")}, error="no UTF-8"),
        Case("a document over many lines, not told", "json", {"a.json": lines("[", '{"id":1},', '{"id":2}', "]")}, "id _corrupt",
             [(1, None), (None, "["), (2, None), (None, "]")]),
        Case("a document over many lines", "json", {"a.json": lines("[", '{"id":1},', '{"id":2}', "]")}, "id", [(1,), (2,)],
             {"multiLine": "true"}),
        Case("byte order mark", "json", {"a.json": b"\xef\xbb\xbf" + lines('{"id":1}')}, "id", [(1,)]),
        Case("fields that differ by case", "json", {"a.json": lines('{"a":1,"A":2}')}, error="caseSensitive"),
        Case("odd names", "json", {"a.json": lines('{"a.b":1,"c d":{"e f":2,"`g`":[{"h;i":3}]}}')}, "a_b c_d",
             [(1, {"e_f": 2, "g": [{"h_i": 3}]})]),
        Case("huge integers, infinities, NaN", "json",
             {"a.json": lines('{"i":1234567890123456789012,"d":1e308,"n":NaN}', '{"i":1,"d":-Infinity,"n":1.5}')}, "d i n",
             [(1e308, Decimal("1234567890123456789012"), "nan"), ("-inf", Decimal(1), 1.5)]),
        Case("of other types", "json", {"a.json": lines('{"v":1}', '{"v":"x"}', '{"v":{"a":1}}')}, "v", [("1",), ("x",), ('{"a":1}',)]),
        Case("nested", "json", {"a.json": lines('{"n":{"x":1}}', '{"n":{"y":[1,2]}}', '{"n":null}')}, "n",
             [({"x": 1, "y": None},), ({"x": None, "y": [1, 2]},), (None,)]),
        Case("truncated gzip", "json", {"a.json": lines('{"id":1}'), "b.json.gz": gzip.compress(lines('{"id":2}'))[:15]}, "id", [(1,)],
             skipped=("b.json.gz",)),
    ]  # fmt: skip


def columnar() -> list[Case]:
    """Parquet and ORC."""
    ids = pa.array([1, 2], pa.int64())
    at = pa.array([datetime(2024, 10, 27, 1, 30, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    kinds = parquet(
        d=pa.array([Decimal("12345678901234567890.123456789")], pa.decimal128(38, 9)), t=at, b=pa.array([b"\x00\xff"]),
        n=pa.array([{"x": [1]}]), m=pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), y=pa.array([date(1, 1, 1)]),
        f=pa.array([float("nan")]), u=pa.array([2**64 - 1], pa.uint64()),
    )  # fmt: skip
    return [
        Case("types", "parquet", {"a.parquet": kinds}, "d t b n m y f u",
             [(Decimal("12345678901234567890.123456789"), datetime(2024, 10, 27, 1, 30), bytearray(b"\x00\xff"), {"x": [1]},
               {"k": 1}, date(1, 1, 1), "nan", Decimal(2**64 - 1))]),
        Case("odd names", "parquet", {"a.parquet": parquet(**{"a.b": ids, "c d": ids, "`": ids})},
             "a_b c_d column_3", [(1, 1, 1), (2, 2, 2)]),
        Case("names that differ by case", "parquet", {"a.parquet": parquet(a=ids, A=ids)}, error="caseSensitive"),
        Case("nanoseconds", "parquet", {"a.parquet": parquet(t=pa.array([1], pa.timestamp("ns")))}, "t",
             error="coerce_timestamps"),
        Case("wider and narrower integers", "parquet",
             {"a.parquet": parquet(id=ids), "b.parquet": parquet(id=pa.array([3], pa.int32()))}, "id", [(1,), (2,), (3,)]),
        Case("of other types, fail", "parquet", {"a.parquet": parquet(id=ids), "b.parquet": parquet(id=["x"])},
             error="id is string, it was bigint"),
        Case("of other types, evolve", "parquet", {"a.parquet": parquet(id=ids), "b.parquet": parquet(id=["x"])},
             error="id is string, it was bigint", drift="evolve"),
        Case("of other types, rescue", "parquet", {"a.parquet": parquet(id=ids), "b.parquet": parquet(id=["3", "x", None])},
             "id _rescued", [(1, None), (2, None), (3, None), (None, '{"id":"x"}'), (None, None)], drift="rescue"),
        Case("of other columns, evolve", "parquet",
             {"a.parquet": parquet(id=ids, n=pa.array([{"x": 1}, None])), "b.parquet": parquet(n=pa.array([{"y": 2}]), w=["z"])}, "id n w",
             [(1, {"x": 1, "y": None}, None), (2, None, None), (None, {"x": None, "y": 2}, "z")], drift="evolve"),
        Case("truncated", "parquet", {"a.parquet": parquet(id=ids), "b.parquet": parquet(id=ids)[:100]}, error="footer"),
        Case("truncated, empty, damaged, skipped", "parquet",
             {"a.parquet": parquet(id=ids), "b.parquet": parquet(id=ids)[:100], "c.parquet": b"", "d.parquet": b"PAR1",
              "e.parquet": damaged(parquet(id=list(range(5_000))))}, "id", [(1,), (2,)],
             skipped=("b.parquet", "c.parquet", "d.parquet", "e.parquet")),
        Case("of 0 bytes", "parquet", {"a.parquet": parquet(id=ids), "b.parquet": b""}, error="0 bytes"),
        Case("no rows", "parquet", {"a.parquet": parquet(id=pa.array([], pa.int64()))}, "id", []),
        Case("folders by date", "parquet", {"day=1/a.parquet": parquet(id=ids), "day=2/a.parquet": parquet(id=ids)}, "id day",
             [(1, "1"), (1, "2"), (2, "1"), (2, "2")]),
        Case("ORC", "orc", {"a.orc": orc_file(id=ids), "b.orc": orc_file(id=ids)[:60]}, "id", [(1,), (2,)], skipped=("b.orc",)),
        Case("ORC of other columns", "orc", {"a.orc": orc_file(id=ids), "b.orc": orc_file(v=["x"])}, "id v",
             [(1, None), (2, None), (None, "x")], drift="evolve"),
    ]  # fmt: skip


CASES: tuple[Callable[[], list[Case]], ...] = (texts, records, columnar)
