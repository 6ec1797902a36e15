"""Of what kind each value of a text column is: on Arrow arrays, without Spark.

A kind says what a cast of Spark's makes of the value: `integers` and `decimals` cast to double, `dates` to date, and
so on. What only looks like it (`2013-02-30`, `007`) is of another kind. Patterns are tried on what is left over by
those before them, so that a column of plain numbers costs one pattern.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

KINDS = (
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
_ZONE = r"(?:Z|[+-](?:0\d|1[0-7]):?[0-5]\d)"
_PATTERNS = (
    ("integers", r"^[-+]?(0|[1-9]\d{0,17})$"),
    ("decimals", r"^[-+]?((0|[1-9]\d*)\.\d*|\.\d+)([eE][-+]?\d{1,3})?$|^[-+]?(0|[1-9]\d*)[eE][-+]?\d{1,3}$"),
    ("zero_led", r"^[-+]?0\d+\.?\d*([eE][-+]?\d{1,3})?$"),
    ("long_integers", r"^[-+]?[1-9]\d{18,}$"),
    ("specials", r"^(?i:[-+]?(inf|infinity)|nan)$"),
    ("booleans", r"^(?i:true|false)$"),
    ("dates", r"^\d{4}-\d\d-\d\d$"),
    ("timestamps", rf"^\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{{1,9}})?)?{_ZONE}?$"),
    ("thousands", r"^[-+]?\d{1,3}(,\d{3})+(\.\d+)?$"),
)
_TIMES = (("", "$"), (" HH:mm", r" \d{1,2}:\d\d$"), (" HH:mm:ss", r" \d{1,2}:\d\d:\d\d$"))
_FORMS = (
    ("dd.MM.yyyy", r"^(\d{1,2})\.(\d{1,2})\.(\d{4})", r"\3-\2-\1"),
    ("MM/dd/yyyy", r"^(\d{1,2})/(\d{1,2})/(\d{4})", r"\3-\1-\2"),
    ("dd/MM/yyyy", r"^(\d{1,2})/(\d{1,2})/(\d{4})", r"\3-\2-\1"),
    ("dd-MM-yyyy", r"^(\d{1,2})-(\d{1,2})-(\d{4})", r"\3-\2-\1"),
    ("MM-dd-yyyy", r"^(\d{1,2})-(\d{1,2})-(\d{4})", r"\3-\1-\2"),
    ("yyyy/MM/dd", r"^(\d{4})/(\d{1,2})/(\d{1,2})", r"\1-\2-\3"),
    ("dd-MMM-yyyy", r"^(\d{1,2})-([A-Z][a-z][a-z])-(\d{4})", r"\3-\2-\1"),
    ("dd MMM yyyy", r"^(\d{1,2}) ([A-Z][a-z][a-z]) (\d{4})", r"\3-\2-\1"),
    ("MMM d, yyyy", r"^([A-Z][a-z][a-z]) (\d{1,2}), (\d{4})", r"\3-\1-\2"),
    ("yyyyMMdd", r"^((?:19|20)\d\d)(\d\d)(\d\d)$", r"\1-\2-\3"),
)
"""Days in other forms than ISO: Spark's pattern, what it looks like, and how it becomes ISO."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FORMS = tuple(day + time for day, _, _ in _FORMS for time, _ in (_TIMES if day != "yyyyMMdd" else _TIMES[:1]))
"""Spark's patterns, the likelier reading first."""

Measures = NDArray[np.float64]


@dataclass
class Told:
    """What is told of some values.

    Attributes:
        kinds: Position in `KINDS` of each value.
        measures: Numbers, or moments in microseconds since 1970; NaN for all else.
        forms: Pattern of Spark -> which values are read by it, and the moments they stand for (NaN elsewhere).
    """

    kinds: NDArray[np.int8]
    measures: Measures
    forms: dict[str, Measures] = field(default_factory=dict)


def tell(values: pa.Array) -> Told:
    """Tell the kind of each value.

    Args:
        values: Strings without nulls, blanks around them already gone, none empty.
    """
    told = Told(np.full(len(values), KINDS.index("texts"), dtype=np.int8), np.full(len(values), np.nan))
    rest = np.arange(len(values))
    for kind, pattern in _PATTERNS:
        if not len(rest):
            break
        those = values if len(rest) == len(values) else values.take(pa.array(rest))
        hit = _matches(those, pattern)
        if hit.any():
            measured = _measured(kind, those if hit.all() else those.filter(pa.array(hit)))
            sure = ~np.isnan(measured) if kind in ("dates", "timestamps") else np.ones(len(measured), dtype=bool)
            found = rest[hit][sure]
            told.kinds[found], told.measures[found] = KINDS.index(kind), measured[sure]
            hit[np.flatnonzero(hit)[~sure]] = False
            rest = rest[~hit]
    _read_forms(values, told)
    return told


def numbers(values: pa.Array) -> Measures:
    """Numbers of texts that are numbers, a leading plus and separators of thousands allowed."""
    if len(values) and pc.any(pc.starts_with(values, "+")).as_py():
        values = pc.replace_substring_regex(values, r"^\+", "")
    return np.asarray(pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def moments(values: pa.Array, pattern: str | None = None) -> Measures:
    """Microseconds since 1970 (UTC) of days and times; NaN where there is none.

    Args:
        values: Texts in ISO, or in a form of `FORMS`.
        pattern: That form.
    """
    if pattern is not None:
        return _in_form(values, pattern)
    zoned = _matches(values, _ZONE + "$") & _matches(values, ":")
    found = np.full(len(values), np.nan)
    found[~zoned] = _iso(values.filter(pa.array(~zoned)), pa.timestamp("us"))
    found[zoned] = _iso(values.filter(pa.array(zoned)), pa.timestamp("us", "UTC"))
    return found


def _matches(values: pa.Array, pattern: str) -> NDArray[np.bool_]:
    return np.array(pc.match_substring_regex(values, pattern).to_numpy(zero_copy_only=False), dtype=bool)


def _measured(kind: str, values: pa.Array) -> Measures:
    if kind in ("integers", "decimals"):
        return numbers(values)
    if kind == "thousands":
        return numbers(pc.replace_substring(values, ",", ""))
    return moments(values) if kind in ("dates", "timestamps") else np.full(len(values), np.nan)


def _iso(values: pa.Array, kind: Any) -> Measures:
    """Arrow reads all at once or fails at the first that is none; then one by one."""
    if not len(values):
        return np.empty(0)
    try:
        short = pc.replace_substring_regex(values, r"(\.\d{6})\d+", r"\1")
        return np.asarray(pc.cast(short, kind).cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    except pa.ArrowInvalid:
        return np.array([_moment(text) for text in values.to_pylist()], dtype=np.float64)


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return float("nan")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6


def _read_forms(values: pa.Array, told: Told) -> None:
    """Days in other forms, among texts and integers."""
    for kind, patterns in (("texts", FORMS[:-1]), ("integers", FORMS[-1:])):
        there = np.flatnonzero(told.kinds == KINDS.index(kind))
        hint = r"^\d{1,4}[-./ ]\S+[-./ ]\d|^[A-Z][a-z][a-z] \d" if kind == "texts" else r"^(19|20)\d{6}$"
        if len(there):
            there = there[_matches(values.take(pa.array(there)), hint)]
        if not len(there):
            continue
        those = values.take(pa.array(there))
        for pattern in patterns:
            found = _in_form(those, pattern)
            if not np.isnan(found).all():
                every = np.full(len(values), np.nan)
                every[there] = found
                told.forms[pattern] = every


def _in_form(values: pa.Array, pattern: str) -> Measures:
    day, shape, iso = next(form for form in _FORMS if pattern.startswith(form[0]))
    time = dict(_TIMES)[pattern.removeprefix(day)] if day != "yyyyMMdd" else ""
    found = np.full(len(values), np.nan)
    hit = _matches(values, shape + time)
    if not hit.any():
        return found
    those = pc.replace_substring_regex(values.filter(pa.array(hit)), shape, iso)
    if "MMM" in day:
        for number, month in enumerate(_MONTHS, 1):
            those = pc.replace_substring(those, f"-{month}", f"-{number:02d}")
    padded = pc.replace_substring_regex(pc.replace_substring_regex(those, r"\b(\d)\b", r"0\1"), r"\.\d+$", "")
    found[hit] = _iso(padded, pa.timestamp("us"))
    return found


def narrow(pattern: str) -> str:
    """The pattern that takes one digit as well as two.

    >>> narrow("dd.MM.yyyy HH:mm")
    'd.M.yyyy H:mm'
    """
    for wide, one in (("dd", "d"), ("HH", "H")):
        pattern = pattern.replace(wide, one)
    return pattern if "MMM" in pattern else pattern.replace("MM", "M")
