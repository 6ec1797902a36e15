"""The YAML that `headrace init` writes: short, commented, ready to train."""

from __future__ import annotations

import json
import re

from headrace.cli.choices import Choices
from headrace.cli.facts import ColumnFacts, DataFacts, Request, quoted

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = ("true", "false", "null", "none", "nan", "inf", "yes", "no", "on", "off", "y", "n")
_COMMENTED = 100


def draft(facts: DataFacts, choices: Choices, request: Request, out: str) -> str:
    """The text.

    Args:
        facts: What the data are like.
        choices: What follows from that.
        request: What the user asked for.
        out: Where the file will be, for its first lines.
    """
    lines = [
        f"# Made by `headrace init` from {_line(request.data)}: {facts.rows:,} rows, {len(facts.columns)} columns.",
        "# A start, to be read and mended. Then:",
        f"#   headrace validate {out}",
        f"#   ./spark-submit.sh jobs/pipeline.py --config {out}",
        f"pipeline: {choices.name}",
        "",
        "tables:",
        f"  {choices.name}:",
        *_indented(4, _source(facts, request)),
        *_indented(4, _types(facts)),
        *_indented(4, _columns(facts)),
        *_indented(4, _key(facts)),
        *_indented(4, _event_time(facts)),
        "",
        "training_set:",
        f"  from: {choices.name}",
        f"  label: {yaml(choices.label)}  # {_line(choices.label_reason)}",
        f"  task: {choices.task}",
        *_indented(2, _exclude(choices)),
        *_indented(2, _split(choices)),
        "",
        "search:",
        "  max_evals: 20  # models tried at most",
        "  timeout: 3 minutes",
        "",
    ]
    return "\n".join(lines)


def yaml(text: str) -> str:
    """A text as YAML, quoted where it must be.

    >>> yaml("churn"), yaml("no"), yaml("a = 'x'")
    ('churn', '"no"', '"a = \\'x\\'"')
    """
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\x7f").replace("${", "$${")


def _line(text: str) -> str:
    """What can stand in a comment: one line without control characters."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= 2 * _COMMENTED else text[: 2 * _COMMENTED] + "..."


def _indented(spaces: int, lines: list[str]) -> list[str]:
    return [" " * spaces + line for line in lines]


def _source(facts: DataFacts, request: Request) -> list[str]:
    lines = ["source:", f"  format: {facts.read.format}", f"  path: {yaml(request.data)}"]
    if facts.read.options:
        lines.append("  options:")
        lines += [f"    {key}: {yaml(value)}{_option(key, value)}" for key, value in facts.read.options.items()]
    return lines


def _option(key: str, value: str) -> str:
    if key == "nullValue":
        return f"  # {_line(value)} means missing; in columns of text, too"
    return "  # some values have blanks around them" if key == "ignoreLeadingWhiteSpace" else ""


def _types(facts: DataFacts) -> list[str]:
    if facts.read.format != "csv":
        listed = [f"#   {column.name}: {column.type}{_notes(column)}" for column in facts.columns]
        return ["# The columns:", *listed]
    lines = [
        f"# What all {facts.rows:,} rows allow. A row with a value that does not fit is set aside in quarantine.",
        "types:",
    ]
    for column in facts.columns:
        kind = "string" if column.repair else column.type
        lines.append(f"  {yaml(column.name)}: {kind}{_notes(column)}")
    return lines


def _notes(column: ColumnFacts) -> str:
    notes = [f"{column.written!r} in the file"] if column.written != column.name else []
    profile = column.profile
    gaps = profile.missing + (profile.marked if column.type != "string" else 0)
    if gaps:
        notes.append(f"{gaps:,} missing")
    if profile.marked:
        notes.append(f"{profile.marked:,} marked {' '.join(profile.markers)}")
    if profile.zero_led:
        notes.append("leading zeros")
    if profile.long_integers:
        notes.append("too many digits for a number")
    if column.type == "string" and column.profile.filled:
        about = "about " if profile.distinct > 50 else ""
        notes.append(f"{about}{profile.distinct:,} value{'s' * (profile.distinct != 1)}")
    return f"  # {_line(', '.join(notes))}" if notes else ""


def _columns(facts: DataFacts) -> list[str]:
    made = {c.name: c.repair for c in facts.columns if c.repair}
    if facts.times and facts.times.pattern and facts.event_time:
        made[f"{facts.event_time}_time"] = (
            f"to_timestamp(cast({quoted(facts.event_time)} as string), '{facts.times.pattern}')"
        )
    if not made:
        return []
    return ["# SQL in place of how the values are written.", "columns:"] + [
        f"  {yaml(name)}: {yaml(sql)}" for name, sql in made.items()
    ]


def _key(facts: DataFacts) -> list[str]:
    if not facts.key:
        return ["# key: none was found; give one, so that a row is recognised when it comes again (newest wins)."]
    lines = [f"# {facts.duplicates:,} rows share their key with another; the newest stays."] if facts.duplicates else []
    why = "" if facts.duplicates else "  # stands for one row each"
    return [*lines, f"key: [{', '.join(map(yaml, facts.key))}]{why}"]


def _event_time(facts: DataFacts) -> list[str]:
    if not facts.event_time or not facts.times:
        return []
    name = f"{facts.event_time}_time" if facts.times.pattern else facts.event_time
    return [
        f"event_time: {yaml(name)}",
        "# If columns are known only later than the prediction is made, say when, and which are known early:",
        "# available_at: <column>",
        "# known_early: [<columns>]",
    ]


def _exclude(choices: Choices) -> list[str]:
    if not choices.excluded:
        return []
    return ["exclude:"] + [f"  - {yaml(name)}  # {_line(why)}" for name, why in choices.excluded.items()]


def _split(choices: Choices) -> list[str]:
    if choices.split is None:
        return [f"# {choices.split_reason}", "split: {by: hash}"]
    cuts = ", ".join(f'{key}: "{value}"' for key, value in choices.split.items())
    return [f"# {choices.split_reason}", f"split: {{by: time, {cuts}}}"]
