"""What is touched, computed from the events within reach alone, is as in the whole; without Spark."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.engine import published, refreshed
from headrace.engine.aggregates import Aggregate
from headrace.engine.grid import MONDAY
from headrace.engine.published import Published
from headrace.engine.windows import EventColumns

LONGEST = 20
ASKED = [
    Aggregate("n", "*", "count", 5, None),
    Aggregate("n_long", "*", "count", LONGEST, None),
    Aggregate("sum", "x", "sum", LONGEST, None),
    Aggregate("last", "x", "last", 5, None),
    Aggregate("p50", "x", "p50", LONGEST, None),
]
COLUMNS = EventColumns(("k",), (pa.int64(),), True, {("x", False): "v"})
UTC = pa.timestamp("us", tz="UTC")

events = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 80), st.sampled_from([0, 0, 1, 7, 30]), st.sampled_from([None, 1.5, 1e15])
    ),
    max_size=14,
)


def table(rows: list[Any]) -> pa.Table:
    columns: dict[str, Any] = {
        "k": pa.array([r[0] for r in rows], pa.int64()),
        "__headrace_event_time": pa.array([MONDAY + r[1] for r in rows], pa.int64()).cast(UTC),
        "__headrace_available_at": pa.array([MONDAY + r[1] + r[2] for r in rows], pa.int64()).cast(UTC),
        "v": pa.array([r[3] for r in rows], pa.float64()),
    }
    return pa.table(columns)


def whole(rows: list[Any], of: Published) -> dict[tuple[int, int], Any]:
    """Published rows by entity and time, counted from a Monday."""
    return keyed(published._bucket_function(["k"], COLUMNS, ASKED, of)(table(rows)))


def keyed(found: pa.Table) -> dict[tuple[int, int], Any]:
    times = [found[c].cast(pa.int64()).to_pylist() for c in ("valid_from", "valid_until")]
    values = zip(*(found[a.name].to_pylist() for a in ASKED), strict=True)
    rows = zip(found["k"].to_pylist(), *times, values, strict=True)
    made = [((k, at - MONDAY), (None if until is None else until - MONDAY, v)) for k, at, until, v in rows]
    assert len(dict(made)) == len(made)
    return dict(made)


@settings(max_examples=600, deadline=None)
@example([(0, 0, 30, 1.5), (0, 31, 0, 1.5)], [], {1}, 4, (60, 60))
@example([(0, 7, 30, 1.5)], [], set(), 4, (38, 70))
@given(
    events,
    events,
    st.sets(st.integers(0, 13)),
    st.sampled_from([None, 4, 7]),
    st.sampled_from([(60, 60), (40, 70), (38, 71), (41, 43), (99, 99)]),
)
def test_touched_rows_from_events_within_reach_are_those_of_the_whole(
    old: list[Any], more: list[Any], gone: set[int], every: int | None, ends: tuple[int, int]
) -> None:
    def known(rows: list[Any], until: int) -> list[Any]:
        return [r for r in rows if r[1] + r[2] <= until]

    of = [Published(["k"], "s", {}, "a", every, MONDAY + end) for end in ends]
    before = known(old, ends[0])
    after = known([r for i, r in enumerate(old) if i not in gone] + more, ends[1])
    stands, anew = whole(before, of[0]), whole(after, of[1])
    step = every or 0
    since: dict[int, int] = {}
    for rows, others in ((before, after), (after, before)):
        for row in set(rows):
            if rows.count(row) != others.count(row):
                since[row[0]] = min(since.get(row[0], 999), row[1] + row[2])
    if every and ends[1] > ends[0]:
        first = (ends[0] // every + 1) * every
        for row in after:
            if max(row[1] + LONGEST, row[1] + row[2]) + every > ends[0]:
                since[row[0]] = min(since.get(row[0], 999), first)
    if not since:
        assert stands == anew
        return
    held = {(k, at) for (k, at), (until, _) in stands.items() if k in since and (until is None or until >= since[k])}
    previous = [[MONDAY + at for k, at in sorted(held) if k == entity and at < since[entity]] for entity in since]
    near = [
        r
        for r in after
        if r[0] in since and (r[1] >= since[r[0]] - LONGEST - step or r[1] + r[2] > since[r[0]] - max(step, 1))
    ]
    left = pa.table(
        {
            "k": pa.array(list(since), pa.int64()),
            refreshed.SINCE: pa.array([MONDAY + t for t in since.values()], pa.int64()).cast(UTC),
            refreshed.UNTIL: pa.nulls(len(since), UTC),
            refreshed.PREVIOUS: pa.array(previous, pa.list_(pa.int64())).cast(pa.list_(UTC)),
        }
    )
    fresh = keyed(refreshed._bucket_function(["k"], COLUMNS, ASKED, of[1])(left, table(near)))
    kept = {(k, at): r for (k, at), r in stands.items() if k not in since or (at < since[k] and (k, at) not in held)}
    assert not kept.keys() & fresh.keys()
    assert {**kept, **fresh} == anew
