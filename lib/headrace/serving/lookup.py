"""Features of rows: those that a request gives, and those that are looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.models.entities import micros
from headrace.serving.form import Form, Row
from headrace.serving.online.store import Found, OnlineStore, OnlineTable, Publish
from headrace.serving.typed import restored


@dataclass(frozen=True)
class Looked:
    """What was looked up for a row.

    Attributes:
        values: Feature -> value, by the names that the training set has.
        stale: Feature tables of which windows have moved on since their values were published.
        missing: Feature tables that do not know the entity.
    """

    values: dict[str, Any]
    stale: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Lookup:
    """Looks features up, as the join of training would find them.

    Args:
        form: Says what is looked up.
        publish: What there is.
    """

    def __init__(self, form: Form, publish: Publish) -> None:
        self.number, self._as_of = publish.number, micros(publish.as_of)
        self._tables = {
            name: [
                (f"{name}__{column}", restored(kind), publish.tables[name].without.get(column),
                 publish.tables[name].moving.get(column))
                for column, kind in publish.tables[name].columns
            ]
            for name in form.tables
        }  # fmt: skip
        self._kinds: Mapping[str, OnlineTable] = publish.tables

    def looked(self, row: Row, found: Mapping[tuple[str, str], Found]) -> Looked:
        """Features of a row.

        An entity without a row has what one without events has: counts are 0, all else is null; one with a null in its
        key has nulls alone. A row of `latest` that holds no more is none; windows that have moved on give what they gave
        when they were published.
        """
        at, values, stale, missing = micros(row.at), dict[str, Any](), list[str](), list[str]()
        for name, columns in self._tables.items():
            if name not in row.keys:
                continue
            key = row.keys[name]
            stored = found.get((name, key)) if key is not None else None
            gone = stored is not None and stored.holds_until is not None and stored.holds_until <= at
            if gone and self._kinds[name].kind == "latest":
                stored = None
            elif gone:
                stale.append(name)
            elif stored is None and key is not None:
                missing.append(name)
            if stored is None:
                values.update((feature, None if key is None else without) for feature, _, without, _ in columns)
                continue
            for (feature, back, _, window), value in zip(columns, stored.values, strict=True):
                if value is not None and window is not None:
                    value = self._moved(value, window, at)
                values[feature] = back(value) if back and value is not None else value
        return Looked(values, tuple(stale), tuple(missing))

    def _moved(self, seconds: float, window: int, at: int) -> float | None:
        """`since_last` grows with time, until the event leaves the window."""
        now = seconds + (at - self._as_of) / 1_000_000
        return now if now * 1_000_000 < window else None


def fetch(store: OnlineStore, rows: Sequence[Row]) -> tuple[Publish, Mapping[tuple[str, str], Found]]:
    """All that rows look up, of one publish."""
    keys = dict.fromkeys((table, key) for row in rows for table, key in row.keys.items() if key is not None)
    return store.fetch(list(keys))
