"""Types of text columns, from all their values in one pass over the data.

A type is taken only where every value casts and would come back as it was: leading zeros, 19 digits and more, and
lone `NaN` stay text. Marks of missing values (`NA`, `?`) and thousands separators are told, never taken silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.clean.kinds import KINDS
from headrace.clean.sketch import MARKERS, Sketch
from headrace.clean.survey import survey

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = [
    "MARKERS",
    "ColumnProfile",
    "TextProfile",
    "added",
    "column_profile",
    "counts_of",
    "infer_types",
    "profile",
    "type_of",
    "types_without_markers",
]


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
        distinct: How many values there are: exact below 2,048, else an estimate (2 %).
        shortest: Length of the shortest value.
        longest: Length of the longest value.
        least: Least number, or moment in microseconds since 1970.
        greatest: Greatest number, or moment in microseconds since 1970.
        words: yes, no, y, n, t, f, true, false in any case: what Spark casts to boolean.
        forms: Pattern of Spark -> how many values it reads as days or times, the least and the greatest moment.
        values: The most frequent values with their counts; all of them if `complete`.
        complete: `values` has all there are.
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
    words: int = 0
    forms: dict[str, tuple[int, float, float]] = field(default_factory=dict)
    values: tuple[tuple[str, int], ...] = ()
    complete: bool = True

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


Counts = Mapping[str, int]
"""What decides the type of a column's values: how many there are, and of which kinds. Counts of two sets of rows add up."""

_COUNTED = ("filled", "booleans", "integers", "decimals", "specials", "dates", "timestamps")


def counts_of(profile: TextProfile) -> dict[str, dict[str, int]]:
    """What decides the type of each column; kinds without values are left out."""
    each = {name: {kind: getattr(column, kind) for kind in _COUNTED} for name, column in profile.columns.items()}
    return {name: {kind: n for kind, n in counts.items() if n} for name, counts in each.items()}


def added(one: Counts, other: Counts) -> dict[str, int]:
    """Counts over two sets of rows."""
    return {kind: n for kind in _COUNTED if (n := one.get(kind, 0) + other.get(kind, 0))}


def type_of(counts: Counts) -> str:
    """SQL type of values that were counted.

    >>> type_of({"filled": 3, "integers": 2, "decimals": 1}), type_of({})
    ('double', 'string')
    """
    filled, *kinds = (counts.get(kind, 0) for kind in _COUNTED)
    column = ColumnProfile("", 0, filled, **dict(zip(_COUNTED[1:], kinds, strict=True)))  # type: ignore[arg-type]
    return _type(column, filled)


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
    """Look at all values of all columns once: one Spark job, whatever the number of columns.

    Args:
        frame: Columns of type string.

    Returns:
        A profile of bounded size.
    """
    if not frame.columns:
        return TextProfile(frame.count())
    found = survey(frame)
    return TextProfile(found.rows, {name: column_profile(name, sketch) for name, sketch in found.columns.items()})


def column_profile(name: str, sketch: Sketch) -> ColumnProfile:
    """What a sketch says, in plain values."""
    marks = {mark for mark, _ in sketch.marks}
    return ColumnProfile(
        name=name,
        rows=sketch.rows,
        filled=sketch.filled,
        **{kind: int(count) for kind, count in zip(KINDS, sketch.kinds, strict=True)},
        marked=sum(sketch.marks.values()),
        markers=tuple(mark for mark in MARKERS if mark in marks),
        padded=sketch.padded,
        distinct=sketch.distinct,
        shortest=sketch.shortest or 0,
        longest=sketch.longest,
        least=sketch.least if sketch.least <= sketch.greatest else None,
        greatest=sketch.greatest if sketch.least <= sketch.greatest else None,
        words=sketch.words,
        forms=dict(sketch.forms),
        values=tuple(sorted(sketch.values.items(), key=lambda item: (-item[1], item[0]))),
        complete=not sketch.many,
    )
