"""The YAML that `headrace init` writes: short, commented, ready to train."""

from __future__ import annotations

import json
import re

from headrace.cli.drafting.choices import Choices
from headrace.cli.profiling.facts import ColumnFacts, DataFacts, Request
from headrace.cli.profiling.personal import personal
from headrace.config import secrets
from headrace.config.schema import SCHEMA

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
        f"# yaml-language-server: $schema={SCHEMA}",
        f"# Made by `headrace init` from {_line(request.told)}: {facts.rows:,} rows, {len(facts.columns)} columns.",
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
        *_indented(4, _rules(choices)),
        *_indented(4, _sensitive(facts)),
        "",
        "training_set:",
        f"  from: {choices.name}",
        *([f"  label: {yaml(choices.label)}  # {_line(choices.label_reason)}"] if choices.label else []),
        f"  task: {choices.task}",
        *[f"  {key}: {yaml(value)}" for key, value in choices.asks.items()],
        *([f"  texts: [{', '.join(map(yaml, choices.texts))}]  # topics are of their words"] if choices.texts else []),
        *_indented(2, _exclude(choices)),
        *_indented(2, _split(choices)),
        "",
        *([f"# {_line(choices.balance)}"] if choices.balance else []),
        "search:",
        *([f"  metric: {choices.metric}"] if choices.metric else []),
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
    return json_text(text)


def json_text(text: str) -> str:
    """A text in double quotes."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\x7f").replace("${", "$${")


def _line(text: str) -> str:
    """What can stand in a comment: one line without control characters."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= 2 * _COMMENTED else text[: 2 * _COMMENTED] + "..."


def _indented(spaces: int, lines: list[str]) -> list[str]:
    return [" " * spaces + line for line in lines]


_OF_JDBC = {"url": "url", "dbtable": "table", "query": "query", "user": "user", "password": "password"}
"""Options of Spark's reader of databases that the YAML has as keys."""


def _source(facts: DataFacts, request: Request) -> list[str]:
    name, options = facts.read.format, dict(facts.read.options)
    lines = ["source:", f"  format: {name}"]
    if name == "jdbc":
        own = {_OF_JDBC[key.lower()]: key for key in options if key.lower() in _OF_JDBC}
        lines += [f"  {key}: {_option(written, options.pop(written))}" for key, written in own.items()]
        lines += ["  # watermark: COLUMN  # one that grows with every new or changed row: then only those are read"]
    elif request.data:
        lines.append(f"  {'table' if name == 'table' else 'path'}: {yaml(request.data)}")
    if options:
        lines.append("  options:")
        lines += [f"    {yaml(key)}: {_option(key, value)}{_why(key, facts)}" for key, value in options.items()]
    return lines


def _option(key: str, value: str) -> str:
    """A value as YAML; a secret only by its name."""
    if secrets.plain_text(key, value):
        return json.dumps(f"${{secret:{re.sub(r'[^A-Z0-9]+', '_', key.upper()).strip('_')}}}")
    return json.dumps(value, ensure_ascii=False) if secrets.names(value) else yaml(value)


def _why(key: str, facts: DataFacts) -> str:
    reason = facts.read.reasons.get(key)
    return f"  # {_line(reason)}" if reason else ""


def _types(facts: DataFacts) -> list[str]:
    text = facts.read.format == "csv"
    lines = [
        f"# What all {facts.rows:,} rows allow. A row with a value that does not fit is set aside in quarantine."
        if text
        else "# The columns:"
    ]
    for column in facts.columns:
        kind = "string" if column.repair else column.type
        written = text or (column.source == "string" and kind != "string")
        name = yaml(column.name) if written else column.name
        lines.append(f"{'  ' if written else '#   '}{name}: {kind}{_notes(column)}")
    if any(line.startswith("  ") for line in lines):
        lines.insert(1, "types:")
    return lines


def _notes(column: ColumnFacts) -> str:
    notes = [f"{column.written!r} in the file"] if column.written != column.name else []
    profile = column.profile
    if column.missing:
        notes.append(f"{column.missing:,} missing")
    if profile.marked:
        notes.append(f"{profile.marked:,} marked {' '.join(profile.markers)}")
    if profile.zero_led:
        notes.append("leading zeros")
    if profile.long_integers:
        notes.append("too many digits for a number")
    if column.type == "boolean" and profile.words > profile.booleans:
        notes.append(f"written {', '.join(column.examples)}")
    if column.type == "string" and column.profile.filled:
        about = "about " if profile.distinct > 50 else ""
        notes.append(f"{about}{profile.distinct:,} value{'s' * (profile.distinct != 1)}")
    return f"  # {_line(', '.join(notes))}" if notes else ""


def _columns(facts: DataFacts) -> list[str]:
    made = [column for column in facts.columns if column.repair]
    if not made:
        return []
    lines = ["# SQL in place of how the values are written.", "columns:"]
    for column in made:
        doubt = f"  # all values could be {column.ambiguous} as well: make sure" if column.ambiguous else ""
        lines.append(f"  {yaml(column.name)}: {yaml(column.repair or '')}{doubt}")
    return lines


def _rules(choices: Choices) -> list[str]:
    if not choices.rules:
        return []
    lines = [
        "# All rows keep these rules. warn: a row that breaks one is counted; quarantine: it is set aside.",
        "rules:",
    ]
    for rule in choices.rules:
        fields = f"name: {yaml(rule.name)}, check: {json_text(rule.check)}, on_fail: {rule.on_fail}"
        lines.append(f"  - {{{fields}}}  # {_line(rule.seen)}")
    return lines


def _sensitive(facts: DataFacts) -> list[str]:
    found = {column.name: kind for column in facts.columns if (kind := personal(column))}
    if not found:
        return []
    told = _line(", ".join(f"{name} ({kind})" for name, kind in found.items()))
    names = ", ".join(f"{yaml(name)}: hash" for name in found)
    return [
        f"# Looks like persons' data: {told}. To keep it from all tables (hash, mask or drop; docs/privacy.md),",
        "# before the first run, with a key in HEADRACE_PRIVACY_KEY:",
        f"# sensitive: {{{names}}}",
    ]


def _key(facts: DataFacts) -> list[str]:
    if not facts.key:
        return ["# key: none was found; give one, so that a row is recognised when it comes again (newest wins)."]
    lines = [f"# {facts.duplicates:,} rows share their key with another; the newest stays."] if facts.duplicates else []
    why = "" if facts.duplicates else "  # stands for one row each"
    return [*lines, f"key: [{', '.join(map(yaml, facts.key))}]{why}"]


def _event_time(facts: DataFacts) -> list[str]:
    if not facts.event_time or not facts.times:
        if not facts.other_times:
            return []
        return [f"# event_time: one of {', '.join(facts.other_times)}, if a row came to be then; init --event-time COL"]
    return [
        f"event_time: {yaml(facts.event_time)}",
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
