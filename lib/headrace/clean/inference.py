"""Types of text columns, from all their values in one pass over the data.

A type is taken only where every value casts and would come back as it was: leading zeros, 19 digits and more, and
lone `NaN` stay text. Marks of missing values (`NA`, `?`) and thousands separators are told, never taken silently.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

MARKERS = (
    *("NA", "na", "N/A", "n/a", "#N/A", "NULL", "null", "Null", "None", "none", "NONE", "nil", "NaN", "nan", "NAN"),
    *("?", "-", "--", ".", "missing", "Missing", "\\N"),
)
"""What people write for a missing value; at most 63."""

_NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?$"
_MOMENT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)? ?(Z|[+-]\d\d:?\d\d)?$"
_KINDS = (
    "integers",
    "long_integers",
    "zero_led",
    "decimals",
    "specials",
    "booleans",
    "dates",
    "timestamps",
    "thousands",
    "texts",
)


@dataclass(frozen=True)
class ColumnProfile:
    """What the values of one column look like; every value that is neither null nor blank is of one kind.

    Attributes:
        name: The column.
        rows: All rows.
        filled: Values neither null nor blank; the kinds below add up to it.
        integers: Up to 18 digits.
        long_integers: 19 digits and more.
        zero_led: Digits after a leading zero, as in `007`.
        decimals: Numbers with a point or an exponent.
        specials: `NaN`, `inf` and the like.
        booleans: `true`, `false`.
        dates: `yyyy-MM-dd`, and such a day exists.
        timestamps: ISO, with or without zone.
        thousands: `1,234,567`.
        texts: All else, marks of missing values among them.
        marked: Marks of missing values.
        markers: Which marks.
        padded: Values with blanks around them.
        distinct: Estimate (5 %) of the number of values.
        shortest: Length of the shortest value.
        longest: Length of the longest value.
        least: Least number, or moment in microseconds since 1970.
        greatest: Greatest number, or moment in microseconds since 1970.
    """

    name: str
    rows: int
    filled: int = 0
    integers: int = 0
    long_integers: int = 0
    zero_led: int = 0
    decimals: int = 0
    specials: int = 0
    booleans: int = 0
    dates: int = 0
    timestamps: int = 0
    thousands: int = 0
    texts: int = 0
    marked: int = 0
    markers: tuple[str, ...] = ()
    padded: int = 0
    distinct: int = 0
    shortest: int = 0
    longest: int = 0
    least: float | None = None
    greatest: float | None = None

    @property
    def missing(self) -> int:
        """Values that are null or blank."""
        return self.rows - self.filled


@dataclass(frozen=True)
class TextProfile:
    """All columns of a frame, in its order."""

    rows: int
    columns: dict[str, ColumnProfile] = field(default_factory=dict)


def infer_types(profile: TextProfile) -> dict[str, str]:
    """SQL type of each column: bigint, double, boolean, date, timestamp or string."""
    return {name: _type(column, column.filled) for name, column in profile.columns.items()}


def types_without_markers(profile: TextProfile) -> dict[str, str]:
    """Types of columns that are text only for their marks of missing values, were these null."""
    found = {}
    for name, column in profile.columns.items():
        unmarked = _type(column, column.filled - column.marked)
        if column.marked and _type(column, column.filled) == "string" != unmarked:
            found[name] = unmarked
    return found


def _type(column: ColumnProfile, filled: int) -> str:
    if filled == 0:
        return "string"
    if column.booleans == filled:
        return "boolean"
    if column.integers == filled:
        return "bigint"
    numbers = column.integers + column.decimals
    if numbers and filled in (numbers, numbers + column.specials):
        return "double"
    if column.dates == filled:
        return "date"
    return "timestamp" if column.dates + column.timestamps == filled else "string"


def profile(frame: DataFrame) -> TextProfile:
    """Look at all values of all columns once: one aggregation, whatever the number of columns.

    Args:
        frame: Columns of type string.

    Returns:
        A profile of bounded size.
    """
    names = frame.columns
    if not names:
        return TextProfile(frame.count())
    found = {row["position"]: row for row in summary(frame).collect()}  # a row per column
    rows = found[0]["rows"] if found else 0
    return TextProfile(rows, {n: _column(n, found[i]) if found else ColumnProfile(n, 0) for i, n in enumerate(names)})


def summary(frame: DataFrame) -> DataFrame:
    """One row per column of the frame: `position` and the counts of `ColumnProfile`.

    Rows are turned into (position, value), so that the plan stays small for wide tables.
    """
    values = F.array(*[F.col(_quoted(name)) for name in frame.columns])
    long = frame.select(F.posexplode(values).alias("position", "text"))
    value = F.when(F.trim("text") != "", F.trim("text"))
    padded = F.length(value) < F.length("text")
    long = long.select("position", value.alias("value"), padded.alias("padded"))
    long = long.select(
        "position", "value", "padded", _kind(F.col("value")).alias("kind"), _marker(F.col("value")).alias("mark")
    )
    kind, text = F.col("kind"), F.col("value")
    number = F.when(kind.isin(_code("integers"), _code("decimals")), text.try_cast("double"))
    moment = F.when(kind.isin(_code("dates"), _code("timestamps")), F.unix_micros(text.try_cast("timestamp")))
    measure = F.coalesce(number, moment.cast("double"))
    return long.groupBy("position").agg(
        F.count("*").alias("rows"),
        F.count(text).alias("filled"),
        *[F.count_if(kind == _code(name)).alias(name) for name in _KINDS],
        F.count("mark").alias("marked"),
        F.bit_or(F.expr("shiftleft(1L, mark)")).alias("mark_bits"),
        F.count_if("padded").alias("padded"),
        F.approx_count_distinct(text).alias("distinct"),
        F.min(F.length(text)).alias("shortest"),
        F.max(F.length(text)).alias("longest"),
        F.min(measure).alias("least"),
        F.max(measure).alias("greatest"),
    )


def _code(kind: str) -> int:
    return _KINDS.index(kind)


def _kind(value: Column) -> Column:
    """The position in `_KINDS`; null for null."""
    digits = F.length(F.regexp_replace(value, r"^[-+]?", ""))
    is_date = value.rlike(r"^\d{4}-\d\d-\d\d$") & value.try_cast("date").isNotNull()
    is_moment = value.rlike(_MOMENT) & value.try_cast("timestamp").isNotNull()
    tests = {
        "zero_led": value.rlike(r"^[-+]?0\d") & value.rlike(_NUMBER),
        "integers": value.rlike(r"^[-+]?\d+$") & (digits <= 18),
        "long_integers": value.rlike(r"^[-+]?\d+$"),
        "decimals": value.rlike(_NUMBER),
        "specials": value.rlike(r"(?i)^([-+]?(inf|infinity)|nan)$"),
        "booleans": value.rlike(r"(?i)^(true|false)$"),
        "dates": is_date,
        "timestamps": is_moment,
        "thousands": value.rlike(r"^[-+]?\d{1,3}(,\d{3})+(\.\d+)?$"),
    }
    chosen = F.when(value.isNull(), F.lit(None).cast("int"))
    chosen = reduce(lambda chain, name: chain.when(tests[name], F.lit(_code(name))), tests, chosen)
    return chosen.otherwise(F.lit(_code("texts")))


def _marker(value: Column) -> Column:
    """The position in `MARKERS`, or null."""
    position = F.array_position(F.array(*map(F.lit, MARKERS)), value)
    return F.when(position > 0, (position - 1).cast("int"))


def _column(name: str, row: Row) -> ColumnProfile:
    bits = row["mark_bits"] or 0
    return ColumnProfile(
        name=name,
        rows=row["rows"],
        filled=row["filled"],
        **{kind: row[kind] for kind in _KINDS},
        marked=row["marked"],
        markers=tuple(mark for i, mark in enumerate(MARKERS) if bits >> i & 1),
        padded=row["padded"],
        distinct=row["distinct"],
        shortest=row["shortest"] or 0,
        longest=row["longest"] or 0,
        least=row["least"],
        greatest=row["greatest"],
    )


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
