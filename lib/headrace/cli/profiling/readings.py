"""What type a column is read as, and the SQL that gets it there: dates in text, marks of missing values, separators."""

from __future__ import annotations

import re

from headrace.clean.inference import ColumnProfile, TextProfile, infer_types, types_without_markers
from headrace.clean.kinds import FORMS, narrow
from headrace.cli.profiling.facts import quoted

PATTERNS = tuple(dict.fromkeys(p for form in FORMS for p in (form, narrow(form))))
COMPACT = "yyyyMMdd"
TIME_LIKE = re.compile(r"(^|_)(date|day|dt|time|ts|timestamp|datetime|when|at|on)(_|$)|date$|time$")
"""Names of columns that hold days or times."""


def type_of(profile: ColumnProfile, text_source: bool, keep_words: bool) -> tuple[str, bool]:
    """The SQL type of a text column, and whether that takes more than a cast.

    Args:
        profile: Its values.
        text_source: All columns come as text; else text was a choice, and plain integers stay what they are.
        keep_words: Leave yes and no as they are.

    Returns:
        The type; whether marks of missing values, separators or a form of dates stand in the way of a cast.
    """
    one = TextProfile(profile.rows, {profile.name: profile})
    kind = infer_types(one)[profile.name]
    if kind != "string":
        return (kind, False) if text_source or kind not in ("bigint",) else ("string", False)
    values = profile.filled - profile.marked
    if values <= 0:
        return "string", False
    unmarked = types_without_markers(one).get(profile.name)
    if unmarked:
        return unmarked, True
    if profile.words == values and not keep_words:
        return "boolean", profile.marked > 0
    if profile.thousands and profile.thousands + profile.integers + profile.decimals == values:
        return "double", True
    pattern = pattern_of(profile)
    if pattern and pattern != COMPACT:
        return ("timestamp" if "HH" in pattern or "H:" in pattern else "date"), True
    return "string", False


def pattern_of(profile: ColumnProfile) -> str | None:
    """The form, other than ISO, in which all values are days or times; the likelier one, if several."""
    values = profile.filled - profile.marked
    return next((p for p in PATTERNS if values > 0 and profile.forms.get(p, (0,))[0] == values), None)


def also_read_as(profile: ColumnProfile) -> str | None:
    """Another order of day and month that all values allow as well."""
    values = profile.filled - profile.marked
    fitting = [p for p in PATTERNS if profile.forms.get(p, (0,))[0] == values]
    chosen = fitting[0] if fitting else ""
    return next((p for p in fitting if sorted(p) == sorted(chosen) and p != chosen), None)


def is_compact_day(profile: ColumnProfile, event_time: bool) -> bool:
    """Whether numbers such as 20240105 are days: by their name, or because the user says so."""
    return pattern_of(profile) == COMPACT and (event_time or TIME_LIKE.search(profile.name) is not None)


def repair(profile: ColumnProfile, kind: str) -> str:
    """SQL that reads a column's text as its type."""
    text = f"trim({quoted(profile.name)})" if profile.marked or profile.padded else quoted(profile.name)
    if profile.marked:
        listed = ", ".join("'" + mark.replace("\\", "\\\\") + "'" for mark in profile.markers)
        text = f"case when {text} not in ({listed}) then {text} end"
    pattern = pattern_of(profile) if kind in ("date", "timestamp") else None
    if pattern:
        return f"to_{kind}({text}, '{pattern}')"
    if profile.thousands:
        text = f"replace({text}, ',', '')"
    return f"cast({text} as {kind})"
