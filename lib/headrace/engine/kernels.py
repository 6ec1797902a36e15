"""Which events count for which row: positions in sorted orders, for all entities of a bucket at once.

An event that happened at `s` and was known at `k >= s` counts for cut-off `t` and window `w` when `k <= t` and
`s > t - w`. Of the events that ever count (`k < s + w`), those with `s <= t - w` are all known by `t`; so the window
is exactly the prefix `{k <= t}` of the order by knowledge, less the prefix `{s <= t - w}` of the order by event
time. Counts, exact sums and order statistics follow by subtraction, however late an event is. Where events
become known in the order in which they happen (no delay, a fixed delay, daily batches) the two orders are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.engine.exact import Bools, Ints
from headrace.engine.intervals import last_holding
from headrace.engine.timeline import Codes, Ties, Timeline

LONGEST = 1 << 61
"Microseconds; a longer window is cut to it, for it holds all of time anyway."


@dataclass(frozen=True)
class Rows:
    """The rows that ask.

    Attributes:
        entity: Codes; -1 where the key is null.
        cutoff: Microseconds in UTC.
        usable: False where the key or the cut-off is null: all features are null there.
        order: The rows by entity and cut-off: neighbours ask for neighbouring events, which caches like.
    """

    entity: Ints
    cutoff: Ints
    usable: Bools

    @cached_property
    def order(self) -> Ints:
        """The usable rows, by entity and cut-off."""
        order = Codes(self.entity, self.cutoff).order()
        return order[self.usable[order]].astype(np.int64)


class Events:
    """Events of a bucket in their two orders.

    Args:
        entity: Codes.
        happened: Event time in microseconds.
        known: When the event was known, never before `happened`; the same object, if at once.
        ties: What orders events of one entity and time, as in `Codes.order`; default: `known`.
        lines: The two orders, if they are there: by event time and by knowledge.
    """

    def __init__(
        self,
        entity: Ints,
        happened: Ints,
        known: Ints,
        ties: Ties | None = None,
        lines: tuple[Timeline, Timeline] | None = None,
    ) -> None:
        self.entity, self.happened, self.known = entity, happened, known
        self._happening, self._knowing = lines or _lines(entity, happened, known, ties)
        self.by_time = self._happening.rows
        self.in_order = self._knowing is self._happening or self._knowing.in_order(self.by_time)
        self.by_known = self.by_time if self.in_order else self._knowing.rows

    def __len__(self) -> int:
        return len(self.by_time)

    @cached_property
    def place(self) -> Ints:
        """Per row of the columns its place in `by_time`; 0 for rows that are not among these events."""
        place = np.zeros(len(self.entity), np.int64)
        place[self.by_time] = np.arange(len(self.by_time))
        return place

    def known_by(self, entity: Ints, time: Ints) -> Ints:
        """Length of the prefix of `by_known` that is known at these times."""
        return self._knowing.upto(entity, time)

    def happened_by(self, entity: Ints, time: Ints) -> Ints:
        """Length of the prefix of `by_time` that had happened at these times."""
        return self._happening.upto(entity, time)

    def that_ever_count(self, window: int) -> Events:
        """Without the events that are known only when they have left the window."""
        if self.in_order:
            return self
        in_time = self.known - self.happened < window
        if in_time.all():
            return self
        lines = self._happening.only(in_time), self._knowing.only(in_time)
        return Events(self.entity, self.happened, self.known, lines=lines)

    def prefixes(self, values: NDArray[Any]) -> tuple[Ints, Ints]:
        """Prefix sums of integers (one per row of the columns) in both orders; the same object if they are one."""
        plus = _prefix(values[self.by_known])
        return plus, plus if self.in_order else _prefix(values[self.by_time])


def _lines(entity: Ints, happened: Ints, known: Ints, ties: Ties | None) -> tuple[Timeline, Timeline]:
    codes = Codes(entity, happened)
    if known is happened:
        line = Timeline(codes, codes.order(ties))
        return line, line
    by_time = Timeline(codes, codes.order(ties or (lambda rows: [known[rows]])))
    codes = Codes(entity, known)
    alike = Timeline(codes, by_time.rows)
    if alike.in_order(by_time.rows):
        return by_time, alike
    return by_time, Timeline(codes, codes.order(lambda rows: [happened[rows]]))


def _prefix(values: NDArray[Any]) -> Ints:
    out = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, dtype=np.int64, out=out[1:])
    return out


@dataclass(frozen=True)
class Span:
    """The events in the windows of many rows: `by_known[:upto]` less `by_time[:without]`.

    Where the two orders are one this is the range from `without` to `upto`. Rows in ascending order of entity and
    cut-off have both in ascending order.
    """

    events: Events
    upto: Ints
    without: Ints
    cutoff: Ints
    entity: Ints

    def sums(self, prefixes: tuple[Ints, Ints]) -> Ints:
        """Exact sums within each window, modulo 2**64."""
        return prefixes[0][self.upto] - prefixes[1][self.without]

    def part(self, rows: slice) -> Span:
        """The windows of some of the rows."""
        return Span(self.events, self.upto[rows], self.without[rows], self.cutoff[rows], self.entity[rows])


def spans(events: Events, entity: Ints, cutoff: Ints, windows: list[int]) -> dict[int, Span]:
    """The events that count for each row, per window length in microseconds. Subsets of events are shared."""
    subsets: dict[int, Events] = {}
    known: dict[int, Ints] = {}
    out = {}
    for window in windows:
        length = min(window, LONGEST)
        subset = events.that_ever_count(length)
        subset = subsets.setdefault(len(subset), subset)
        if len(subset) not in known:
            known[len(subset)] = subset.known_by(entity, cutoff)
        upto = known[len(subset)]
        without = subset.happened_by(entity, cutoff - length)
        without = np.minimum(without, upto) if subset.in_order else without
        out[window] = Span(subset, upto, without, cutoff, entity)
    return out


def distinct(span: Span, codes: Ints, order: Ints, window: int) -> Ints:
    """How many distinct values there are in each window.

    Args:
        span: The events in each window.
        codes: A code per value, per row of the columns.
        order: The rows that have a value, by entity, code and time of knowledge.
        window: Its length in microseconds.
    """
    begun, ended = np.zeros(len(span.events.entity), np.int64), np.zeros(len(span.events), np.int64)
    begins, ends = stretches(span.events, codes, order, window)
    begun[begins] = 1
    ended[ends] = 1
    return present(span, begun, ended)


def stretches(events: Events, codes: Ints, order: Ints, window: int) -> tuple[Ints, Ints]:
    """When values come into sight and go out of it.

    A value is present while any event that bears it counts, from `known` until `happened + window`. The union of
    these stretches per (entity, value) is a row of disjoint ones: as many values are present as have begun and not
    ended.

    Args:
        events: The events.
        codes: A code per value, per row of the columns.
        order: Rows by entity, code and time of knowledge.
        window: Its length in microseconds.

    Returns:
        The rows with which stretches begin; the places in `by_time` of the events with which they end.
    """
    window = min(window, LONGEST)
    rows = order[events.known[order] - events.happened[order] < window]
    first = np.ones(len(rows), bool)
    first[1:] = (np.diff(events.entity[rows]) != 0) | (np.diff(codes[rows]) != 0)
    group = np.cumsum(first) * len(events)
    last = np.maximum.accumulate(group + events.place[rows]) - group
    end = events.happened[events.by_time[last]] + window
    begins = first.copy()
    begins[1:] |= events.known[rows][1:] > end[:-1]
    ends = np.append(begins[1:], True)[: len(rows)]
    return rows[begins], last[ends]


def present(span: Span, begun: Ints, ended: Ints) -> Ints:
    """Sums of what has begun (per row of the columns) and not ended (per place in `by_time`)."""
    return span.sums((_prefix(begun[span.events.by_known]), _prefix(ended)))


def latest(events: Events, entity: Ints, cutoff: Ints, max_age: int | None = None, until: Ints | None = None) -> Ints:
    """The row of the last event known at each cut-off, or -1.

    Args:
        events: The events; `by_time` breaks ties as the answer shall.
        entity: Codes of the rows that ask.
        cutoff: Their times.
        max_age: The event happened within (cutoff - max_age, cutoff]; None: any time before.
        until: Per row of the columns, from when on it does not hold any more; None: always.
    """
    if not len(events) or not len(entity):
        return np.full(len(entity), -1, np.int64)
    if until is not None:
        rows = events.by_time
        ends = until[rows]
        if max_age is not None:
            ends = np.minimum(ends, events.happened[rows] + min(max_age, LONGEST))
        found = last_holding(events.entity[rows], events.known[rows], ends, entity, cutoff)
        return np.where(found < 0, -1, rows[found])
    upto = events.known_by(entity, cutoff)
    last = np.maximum(upto - 1, 0)
    if not events.in_order:
        last = np.maximum.accumulate(events.place[events.by_known])[last]
    row = events.by_time[last]
    found = (upto > 0) & (events.entity[row] == entity)
    if max_age is not None:
        found &= events.happened[row] > cutoff - min(max_age, LONGEST)
    return np.where(found, row, -1)
