"""A profile as people and programs read it: text, Markdown, JSON."""

from __future__ import annotations

import json
from typing import Any

from headrace.cli.drafting.suggestions import shown
from headrace.cli.profiling.facts import ColumnFacts, DataFacts, Request
from headrace.cli.profiling.leaking import is_number
from headrace.cli.profiling.personal import personal

HEADINGS = ("column", "type", "missing", "distinct", "min", "max", "examples", "remarks")
_WIDEST = 40


def remarks(column: ColumnFacts, facts: DataFacts) -> list[str]:
    """What to beware of in a column."""
    profile, found = column.profile, []
    if column.name != column.written:
        found.append(f"{column.written!r} in the source")
    if column.name in facts.key:
        found.append("key")
    if column.name == facts.event_time:
        found.append("event time")
    if kind := personal(column):
        found.append(f"{kind}? then declare it sensitive")
    if column.name in facts.leaks:
        found.append(f"LEAK? {facts.leaks[column.name]}")
    if column.type == "other":
        found.append(f"{column.source}: no plain value")
    elif not profile.filled:
        found.append("no value at all")
    elif profile.distinct == 1:
        found.append("constant")
    elif profile.distinct > 0.9 * profile.filled and profile.filled > 20 and column.type == "string":
        found.append("free text" if profile.longest > _WIDEST else "almost every row has a value of its own")
    if profile.marked:
        found.append(f"{profile.marked:,} marked {' '.join(profile.markers)}")
    if profile.thousands:
        found.append("separators of thousands")
    if profile.zero_led:
        found.append("leading zeros")
    if profile.long_integers:
        found.append("too many digits for a number")
    if profile.specials:
        found.append(f"{profile.specials:,} NaN or infinite")
    if profile.padded:
        found.append("blanks around values")
    if column.ambiguous:
        found.append(f"could be {column.ambiguous} as well")
    return found


def as_dict(facts: DataFacts, request: Request) -> dict[str, Any]:
    """The profile as plain values."""
    return {
        "data": request.told,
        "format": facts.read.format,
        "rows": facts.rows,
        "key": list(facts.key),
        "event_time": facts.event_time,
        "columns": [_column(column, facts) for column in facts.columns],
    }


def _column(column: ColumnFacts, facts: DataFacts) -> dict[str, Any]:
    profile = column.profile
    least, greatest = _ends(column)
    return {
        "column": column.name,
        "type": column.type,
        "missing": column.missing if column.type != "other" else None,
        "distinct": profile.distinct if column.type != "other" else None,
        "min": least,
        "max": greatest,
        "examples": list(column.examples),
        "remarks": remarks(column, facts),
    }


def _ends(column: ColumnFacts) -> tuple[str | None, str | None]:
    profile = column.profile
    read = [form for form in profile.forms.values() if form[0] == profile.filled - profile.marked]
    least, greatest = read[0][1:] if read and column.repair else (profile.least, profile.greatest)
    if least is None or greatest is None or not (is_number(column.type) or column.type in ("date", "timestamp")):
        return None, None
    return shown(column, least), shown(column, greatest)


def as_json(facts: DataFacts, request: Request) -> str:
    """One JSON object."""
    return json.dumps(as_dict(facts, request), indent=2, ensure_ascii=False) + "\n"


def _heading(facts: DataFacts, request: Request) -> str:
    key = f"key {', '.join(facts.key)}" if facts.key else "no key found"
    time = f", event time {facts.event_time}" if facts.event_time else ""
    return f"{request.told}: {facts.rows:,} rows, {len(facts.columns)} columns, {key}{time}"


def _rows(facts: DataFacts) -> list[list[str]]:
    rows = []
    for column in facts.columns:
        told = _column(column, facts)
        about = "~" if column.profile.distinct >= 2_048 else ""  # from there on an estimate
        told["distinct"] = None if told["distinct"] is None else f"{about}{told['distinct']:,}"
        told["missing"] = None if told["missing"] is None else f"{told['missing']:,}"
        told["examples"] = ", ".join(_short(example) for example in told["examples"])
        told["remarks"] = "; ".join(told["remarks"])
        rows.append(["" if told[heading] is None else str(told[heading]) for heading in HEADINGS])
    return rows


def _short(text: str) -> str:
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= 20 else text[:19] + "…"


def as_markdown(facts: DataFacts, request: Request) -> str:
    """A heading and a table."""
    lines = [_heading(facts, request), "", f"| {' | '.join(HEADINGS)} |", "|" + " --- |" * len(HEADINGS)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in _rows(facts)]
    return "\n".join(lines) + "\n"


def as_text(facts: DataFacts, request: Request) -> str:
    """Columns under each other; the last two as wide as they are."""
    rows = [list(HEADINGS), *_rows(facts)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    right = {"missing", "distinct", "min", "max"}
    lines = [_heading(facts, request), ""]
    for row in rows:
        cells = [
            cell.rjust(width) if heading in right else cell.ljust(width)
            for cell, width, heading in zip(row, widths, HEADINGS, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"
