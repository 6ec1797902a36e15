"""Rules about the table as a whole: how fresh it is, and whether as many rows came as usual."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import islice, pairwise
from statistics import median
from typing import Any

from headrace.config.durations import microseconds
from headrace.config.rules import LAST, Rule, share_of
from headrace.config.types import Table

_START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Verdict:
    """What became of a rule.

    Attributes:
        rule: The rule.
        broken: What is wrong; None: the rule holds.
        note: What else people should know.
        expires: When it may be broken though nothing has changed.
    """

    rule: Rule
    broken: str | None = None
    note: str | None = None
    expires: datetime | None = None


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _START) // timedelta(microseconds=1)


def clocks(table: Table) -> tuple[str, ...]:
    """Columns whose newest time a rule asks for."""
    return tuple(dict.fromkeys(_clock(rule, table) for rule in table.rules if rule.freshness))


def _clock(rule: Rule, table: Table) -> str:
    return rule.time or str(table.event_time)


def judged_whole(
    table: Table, newest: Mapping[str, int | None], as_of: datetime, loads: Sequence[int]
) -> tuple[Verdict, ...]:
    """Judge the rules about the table.

    Args:
        table: The table.
        newest: Per clock the newest time, not after `as_of`, of the rows that are kept, in microseconds since 1970.
        as_of: The run's now.
        loads: Rows of this load and of those before it, the newest first.
    """
    fresh = (_fresh(rule, newest[_clock(rule, table)], as_of) for rule in table.rules if rule.freshness)
    counted = (_counted(rule, loads) for rule in table.rules if rule.row_count_within)
    return (*fresh, *counted)


def _fresh(rule: Rule, newest: int | None, as_of: datetime) -> Verdict:
    [name], allowed = rule.parts, microseconds(str(rule.freshness))
    if newest is None:
        return Verdict(rule, f"{name}: no row that is kept has a time up to {as_of:%Y-%m-%d %H:%M:%S} UTC")
    last = _START + timedelta(microseconds=max(newest, micros(datetime.min.replace(tzinfo=UTC))))
    if micros(as_of) - newest <= allowed:
        return Verdict(rule, expires=last + timedelta(microseconds=allowed + 1))
    age = timedelta(seconds=(micros(as_of) - newest) // 1_000_000)
    return Verdict(
        rule, f"{name}: the newest row is of {last:%Y-%m-%d %H:%M:%S} UTC, {age} ago; allowed: {rule.freshness}"
    )


def _counted(rule: Rule, loads: Sequence[int]) -> Verdict:
    [name], share = rule.parts, str(rule.row_count_within)
    before = loads[1 : 1 + (rule.of_last or LAST)]
    if not loads or not before:
        return Verdict(rule, note=f"{name}: there is no earlier load to compare with yet")
    usual = Fraction(median(before))
    if abs(loads[0] - usual) <= share_of(share) * abs(usual):
        return Verdict(rule)
    of = f"the median of the last {len(before)} loads is {float(usual):,.6g}"
    return Verdict(rule, f"{name}: {loads[0]:,} rows came, and {of}; allowed: within {share}")


def loads(
    now: str, rows: int, earlier: Iterable[Mapping[str, Any]], table: Table, *, appended: bool
) -> tuple[int, ...]:
    """Rows of this load and of those before it, the newest first, as many as the rules ask for.

    Validating the same load again is no load of its own. Where rows are appended, a load is what came since the one
    before it; what came first has nothing to be compared with.

    Args:
        now: Names the state of the raw table.
        rows: Its rows.
        earlier: What the commits of earlier validations carry, the newest first.
        table: The table.
        appended: Whether the raw table grows.
    """
    asked = [rule.of_last or LAST for rule in table.rules if rule.row_count_within]
    if not asked:
        return ()
    found = list(islice(_distinct(now, rows, earlier), max(asked) + 1 + appended))
    return tuple(new - old for new, old in pairwise(found)) if appended else tuple(found)


def _distinct(now: str, rows: int, earlier: Iterable[Mapping[str, Any]]) -> Iterator[int]:
    yield rows
    seen = {now}
    for note in earlier:
        load = note.get("facts", {}).get("load")
        if load is not None and load not in seen:
            seen.add(load)
            yield int(note["counts"]["rows_in"])
