"""Rules that hold on the data a YAML was made from: what a later file breaks is worth a look."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from headrace.cli.profiling.facts import ColumnFacts, DataFacts, quoted
from headrace.cli.profiling.leaking import is_number

MOST_RULES = 40
MOST_IN_SET = 12
ROWS_PER_VALUE = 20
"""A set is suggested where its values come so often, on average, that no new one is to be expected."""


@dataclass(frozen=True)
class Suggestion:
    """A rule.

    Attributes:
        name: Its name.
        check: SQL.
        on_fail: What becomes of a row that breaks it.
        seen: What it follows from.
    """

    name: str
    check: str
    on_fail: str
    seen: str


def rules(facts: DataFacts, names_things: set[str]) -> list[Suggestion]:
    """At most one rule per column: its set of values, its range, or that it has a value.

    Args:
        facts: The data.
        names_things: Columns whose values name rows or say nothing; they get no set and no range.
    """
    found = []
    for column in facts.columns:
        if column.type == "other" or column.profile.filled - column.profile.marked <= 0:
            continue
        bare = column.name in facts.key or column.name in names_things
        rule = None if bare else _values(column) or _range(column)
        if rule is None and not column.missing:
            rule = _known(column, facts.rows, "quarantine" if column.name in facts.key else "warn")
        if rule:
            found.append(rule)
    return _named_apart(found[:MOST_RULES])


def _named_apart(found: list[Suggestion]) -> list[Suggestion]:
    """Names of rules are plain ASCII, though columns need not be."""
    names: dict[str, None] = {}
    for rule in found:
        plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "x" for c in rule.name).strip("_")
        plain = plain if plain[:1].isalpha() else f"c_{plain}"
        names[plain if plain not in names else f"{plain}_{len(names)}"] = None
    return [replace(rule, name=name) for rule, name in zip(found, names, strict=True)]


def _known(column: ColumnFacts, rows: int, on_fail: str) -> Suggestion:
    return Suggestion(
        f"{column.name}_known", f"{quoted(column.name)} is not null", on_fail, f"all {rows:,} rows have one"
    )


def _values(column: ColumnFacts) -> Suggestion | None:
    profile = column.profile
    if (
        column.type in ("bigint", "int")
        and [value for value, _ in sorted(profile.values)] == ["0", "1"]
        and profile.complete
    ):
        return Suggestion(f"{column.name}_among", f"{quoted(column.name)} in (0, 1)", "warn", "no other value")
    few = profile.complete and 2 <= len(profile.values) <= MOST_IN_SET
    if column.type != "string" or not few or profile.filled < ROWS_PER_VALUE * len(profile.values):
        return None
    values = sorted(value for value, _ in profile.values)
    if any(len(value) > 40 or not value.isprintable() for value in values):
        return None
    listed = ", ".join("'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" for value in values)
    return Suggestion(
        f"{column.name}_among", f"{quoted(column.name)} in ({listed})", "warn", f"{len(values)} values, no other"
    )


def _range(column: ColumnFacts) -> Suggestion | None:
    profile = column.profile
    least, greatest = profile.least, profile.greatest
    if profile.specials:  # NaN and infinity are numbers to Spark, greater than all others
        return None
    if not is_number(column.type) or least is None or greatest is None or not math.isfinite(greatest - least):
        return None
    low, high = (0.0 if least >= 0 else -rounded_up(-least)), (0.0 if greatest <= 0 else rounded_up(greatest))
    whole = profile.decimals == 0 and not profile.thousands
    ends = " and ".join(f"{int(end)}" if whole or end.is_integer() else f"{end:.12g}" for end in (low, high))
    check = f"{quoted(column.name)} between {ends}"
    return Suggestion(
        f"{column.name}_range", check, "warn", f"seen: {shown(column, least)} to {shown(column, greatest)}"
    )


def rounded_up(number: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 ... that leaves some room above a positive number.

    >>> [rounded_up(n) for n in (0.7, 1, 6.2, 118, 0.03, 31)]
    [1.0, 2.0, 10.0, 200.0, 0.05, 50.0]
    """
    power = 10.0 ** math.floor(math.log10(number))
    for step in (1, 2, 5, 10, 20):
        if step * power > number * 1.1:
            return float(f"{step * power:.6g}")
    return 50 * power


def shown(column: ColumnFacts, measure: float) -> str:
    """A least or greatest value as people write it."""
    if column.type in ("date", "timestamp"):
        moment = datetime.fromtimestamp(measure / 1e6, UTC)
        return f"{moment:%Y-%m-%d}" if column.type == "date" else f"{moment:%Y-%m-%d %H:%M:%S}"
    return f"{int(measure)}" if float(measure).is_integer() and abs(measure) < 1e15 else f"{measure:.6g}"
