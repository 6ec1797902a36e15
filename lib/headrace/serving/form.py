"""What a request must hold: each field by the model's own types, all mistakes at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from headrace.config.file.complaints import meant
from headrace.models.entities import entity_text
from headrace.serving.body import BadRequestError, mistake, shown
from headrace.serving.derived import Derived
from headrace.serving.models import Served
from headrace.serving.online.store import Publish
from headrace.serving.typed import converter, json_schema, moment

SHOWN = 20
"""Mistakes that are told of one request."""
PREDICT_AT = "predict_at"
SEPARATOR = "__"


@dataclass
class Row:
    """A row of a request, understood.

    Attributes:
        at: The time that it is predicted at.
        given: Features that it holds, and columns that others are computed of.
        keys: Per looked-up feature table the text of its entity; None: a part of it is null.
        entity: Columns that say who or what is meant, for the strategy and the log.
    """

    at: datetime
    given: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, str | None] = field(default_factory=dict)
    entity: dict[str, Any] = field(default_factory=dict)


class Form:
    """Understands rows.

    Args:
        main: The version whose features must be there.
        others: Versions of the strategy, whose features may be there.
        publish: What can be looked up; None: nothing.
        entity: Columns by which a strategy assigns; must be there.
        key: Columns that may be there, for the log.
    """

    def __init__(
        self,
        main: Served,
        others: Sequence[Served] = (),
        publish: Publish | None = None,
        entity: Sequence[str] = (),
        key: Sequence[str] = (),
    ) -> None:
        self.publish, self.entity = publish, tuple(entity)
        tables = publish.tables if publish else {}
        online = {f"{t}{SEPARATOR}{c}": (t, kind) for t, one in tables.items() for c, kind in one.columns}
        self.derived = Derived(publish.row_features if publish else ())
        wanted = [name for one in (main, *others) for name, _ in one.features]
        self.computed = {one.name: one.sql for one in (publish.row_features if publish else ()) if one.name in wanted}
        self.leaves = {name: self._leaves(name) for name, _ in main.features}
        """Per feature of the main version what it is made of: itself, or what it is computed of."""
        every = dict.fromkeys(leaf for name in wanted for leaf in self._leaves(name))
        self.kinds: dict[str, str] = {name: kind for one in (*others, main) for name, kind in one.features}
        self.kinds |= {leaf: self._kind(leaf, online) for leaf in every if leaf not in self.kinds}
        self.looked_up = {name: online[name][0] for name in every if name in online}
        self.tables = {t: tables[t].entity for t in dict.fromkeys(self.looked_up.values())}
        self.named = tuple(dict.fromkeys((*entity, *key, *(c for pairs in self.tables.values() for c, _ in pairs))))
        kinds = {**(publish.columns if publish else {}), **{c: k for one in self.tables.values() for c, k in one}}
        self._takes = {name: converter(kind) for name, kind in self.kinds.items()}
        self._keys = {t: [(c, converter(kind)) for c, kind in pairs] for t, pairs in self.tables.items()}
        self._named = {c: converter(kinds[c]) if c in kinds else self._takes.get(c, _scalar) for c in self.named}
        self._fields = {
            *self.kinds,
            *self.named,
            PREDICT_AT,
            *(publish.columns if publish else ()),
        }  # whole rows may be sent

    def _leaves(self, name: str) -> tuple[str, ...]:
        return self.derived.leaves.get(name, (name,))

    def _kind(self, leaf: str, online: Mapping[str, tuple[str, str]]) -> str:
        """Of what a row feature is computed of: looked up, or a column of the spine."""
        assert self.publish is not None  # else there are no row features
        return online[leaf][1] if leaf in online else self.publish.columns[leaf]

    def rows(self, given: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Understand the rows of a request.

        Raises:
            BadRequestError: With all mistakes, up to twenty.
        """
        now, wrong, rows = datetime.now(UTC), list[dict[str, Any]](), list[Row]()
        for number, one in enumerate(given):
            if not isinstance(one, dict):
                wrong.append(
                    mistake(["rows", number], f"{shown(one)} is no row; write {{field: value, ...}}", came=one)
                )
            else:
                rows.append(self._row(one, number, now, wrong))
            if len(wrong) >= SHOWN:
                break
        if wrong:
            raise BadRequestError(wrong[:SHOWN])
        return rows

    def _row(self, given: Mapping[str, Any], number: int, now: datetime, wrong: list[dict[str, Any]]) -> Row:
        told: set[str] = set()

        def tell(name: str, msg: str, **more: Any) -> None:
            if name not in told:
                wrong.append(mistake(["rows", number, name], msg, **more))
                told.add(name)

        def taken(name: str, convert: Callable[[Any], Any]) -> Any:
            value = given[name]
            try:
                return None if value is None else convert(value)
            except ValueError as error:
                tell(name, f"{name}: {shown(value)} came; allowed: {error}, or null", came=value, allowed=str(error))
            return None

        row = Row(now)
        if given.get(PREDICT_AT) is not None:
            row.at = taken(PREDICT_AT, moment) or now
        for name in given:
            convert = self._takes.get(name)
            if convert is not None:
                row.given[name] = taken(name, convert)
            elif name not in self._fields:
                tell(name, f"{name} is no field{meant(name, sorted(self._fields))}", allowed=sorted(self._fields))
        needed = self._needed(given, tell)
        for name in self.named:
            if name in given:
                row.entity[name] = taken(name, self._named[name])
        for name in self.entity:
            if name not in given:
                tell(name, f"{name} is missing: the strategy assigns by it who answers")
        self._keys_of(row, given, needed, tell)
        return row

    def _needed(self, given: Mapping[str, Any], tell: Callable[..., None]) -> dict[str, str]:
        """Feature tables that a row has looked up, and a feature that is made of each; what is missing is told."""
        needed: dict[str, str] = {}
        for name, leaves in self.leaves.items():
            if name in given:
                continue
            for leaf in leaves:
                if leaf in given:
                    continue
                if leaf in self.looked_up:
                    needed.setdefault(self.looked_up[leaf], leaf)
                else:
                    tell(leaf, self._missing(leaf, name), allowed=self.kinds[leaf])
        return needed

    def _keys_of(
        self, row: Row, given: Mapping[str, Any], needed: Mapping[str, str], tell: Callable[..., None]
    ) -> None:
        for table, converts in self._keys.items():
            absent = [column for column, _ in converts if column not in given]
            if absent:
                for column in absent if table in needed else ():
                    tell(column, f"{column} is missing: {needed[table]} is looked up by it in {table}")
                continue
            try:
                values = [None if given[c] is None else convert(given[c]) for c, convert in converts]
            except ValueError:
                for column, convert in converts:
                    _again(column, given[column], convert, tell)
                continue
            row.keys[table] = None if None in values else entity_text(values)

    def _missing(self, leaf: str, name: str) -> str:
        if leaf != name:
            return f"{leaf} is missing: {name} is computed of it; {self.kinds[leaf]}, or null"
        table = name.partition(SEPARATOR)[0] if SEPARATOR in name else ""
        hint = f"; or have {table} looked up: fill the online store with headrace publish" if table else ""
        return f"{name} is missing; the model takes {self.kinds[name]}, or null{hint}"

    def schema(self) -> dict[str, Any]:
        """JSON schema of a row, for OpenAPI."""
        properties: dict[str, Any] = {}
        for name, kind in self.kinds.items():
            told = f"{'feature' if name in self.leaves else 'column'}, {kind}"
            told += f"; looked up in {self.looked_up[name]}" if name in self.looked_up else ""
            told += f"; computed: {self.computed[name]}" if name in self.computed else ""
            properties[name] = json_schema(kind) | {"description": told}
        for table, pairs in self.tables.items():
            for column, kind in pairs:
                told = f"key of {table}"
                if column in properties:
                    properties[column]["description"] += f"; {told}"
                else:
                    properties[column] = json_schema(kind) | {"description": told}
        for column in self.named:
            properties.setdefault(column, {"description": "says who or what is meant; goes into the log"})
        at = "the time that features are looked up for; default: now"
        properties[PREDICT_AT] = {"type": ["string", "null"], "format": "date-time", "description": at}
        leaves = [leaf for one in self.leaves.values() for leaf in one]
        keys = [c for leaf in leaves if leaf in self.looked_up for c, _ in self.tables[self.looked_up[leaf]]]
        required = [leaf for leaf in leaves if leaf not in self.looked_up]
        required = list(dict.fromkeys([*required, *self.entity, *keys]))
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _again(column: str, value: Any, convert: Callable[[Any], Any], tell: Callable[..., None]) -> None:
    try:
        if value is not None:
            convert(value)
    except ValueError as error:
        tell(column, f"{column}: {shown(value)} came; allowed: {error}, or null", came=value, allowed=str(error))


def _scalar(value: Any) -> Any:
    """A value of a column of which no type is known."""
    if type(value) in (str, int, bool):
        return value
    raise ValueError("a text, a whole number, true or false")
