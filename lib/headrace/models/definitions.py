"""What the columns that a model learned from mean: the SQL, windows, clocks and Python that they are made of.

Names and types of columns say nothing of that: a mean over a day in place of a week has the same name, if somebody
calls it so, and the same type. So a version carries its definitions, and rows of others are refused.

They are read from what made the rows, the commits of the tables, and not from the YAML as it is now: who changes the
SQL of a cleaned column and trains before cleaning again has trained on the old one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from headrace.config.learning import UNLABELLED
from headrace.config.names import aggregate_column
from headrace.config.secrets import redacted
from headrace.config.sql import aggregates
from headrace.config.sql.expressions import columns
from headrace.models.made import CODE, Made


def definitions(rows: Made, features: Iterable[str]) -> dict[str, str]:
    """What some columns are made of, and the label where there is one: by their paths in the YAML.

    Args:
        rows: How the rows were made.
        features: Columns of the training set.
    """
    found = _Found(rows)
    training = rows.training
    spine = spine_of(training)
    for key in ("label", "censored", "rating", "implicit", "predict_at"):
        found.say(f"training_set.{key}", training.get(key))
        if isinstance(training.get(key), Mapping):
            found.later(training[key])
        else:
            for column in read(training.get(key)):
                found.column(rows.tables, spine, column)
    found.say("training_set.from", spine)
    found.say("training_set.task", training.get("task") if training.get("task") in UNLABELLED else None)
    if not training.get("predict_at"):
        clock = rows.tables[spine].get("event_time")
        found.say(f"tables.{spine}.event_time", clock)
        if clock:
            found.column(rows.tables, spine, clock)
    if training.get("transform"):
        found.say("training_set.transform", training["transform"])
        found.code(rows.code)
    for name in features:
        found.feature(name)
    return {key: " | ".join(sorted(texts)) for key, texts in sorted(found.told.items())}


def spine_of(training: Mapping[str, Any]) -> str:
    """The table whose rows, or entities, are predicted; at which times entities are makes no column another."""
    found = training["from"]
    return str(found["entities"] if isinstance(found, Mapping) else found)


def every_feature(rows: Made) -> tuple[str, ...]:
    """All columns that a transform may have used to make another: joined ones, row features."""
    joined = [
        f"{name}__{column}"
        for name in rows.training.get("features") or ()
        for column in _columns_of(rows.feature_tables.get(name, {}))
    ]
    return (*joined, *(rows.training.get("row_features") or {}))


def whole(rows: Made, features: Iterable[str]) -> dict[str, str]:
    """The definitions that a version is registered with: those of its features, and of all that a transform gets."""
    more = every_feature(rows) if rows.training.get("transform") else ()
    return definitions(rows, (*features, *more))


def changed(trained: Mapping[str, str], rows: Made, features: Iterable[str]) -> list[str]:
    """Lines that say which definitions of a model's features are others now; what it does not use does not count.

    Args:
        trained: Those that the version was registered with.
        rows: How the rows are made now.
        features: Of the model.
    """
    there, own = whole(rows, features), definitions(rows, features)
    return difference(trained, {key: there[key] for key in {*trained, *own} if key in there})


def digest(found: Mapping[str, str]) -> str:
    """A short name for definitions."""
    return hashlib.sha256(json.dumps(dict(found), sort_keys=True).encode()).hexdigest()[:16]


def difference(trained: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Lines that say what differs: `-` as the model learned it, `+` as it is now."""
    lines = []
    for key in sorted({*trained, *now}):
        if trained.get(key) != now.get(key):
            lines += [f"  - {key}: {trained[key]}"] if key in trained else []
            lines += [f"  + {key}: {now[key]}"] if key in now else []
    return lines


@dataclass
class _Found:
    """Definitions as they are come upon."""

    rows: Made
    told: dict[str, set[str]] = field(default_factory=dict)
    seen: set[tuple[int, str, str]] = field(default_factory=set)

    def say(self, path: str, value: Any) -> None:
        if value not in (None, "", [], {}):
            text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            self.told.setdefault(path, set()).add(redacted(text))

    def code(self, modules: Mapping[str, str]) -> None:
        for module, content in modules.items():
            self.say(f"code of {module}", content)

    def later(self, label: Mapping[str, Any]) -> None:
        """A label over later events."""
        source = label["from"]
        used = aggregates.columns(label["aggregate"]) | {*(label.get("entity") or {}).values()}
        for key in ("event_time", "available_at"):
            clock = self.rows.tables[source].get(key)
            self.say(f"tables.{source}.{key}", clock)
            used |= {clock} if clock else set()
        for name in {one.lower() for one in used} | read(label.get("where")):
            self.column(self.rows.tables, source, name)

    def feature(self, name: str) -> None:
        """A column of the training set."""
        training = self.rows.training
        table, _, column = name.partition("__")
        row_features = training.get("row_features") or {}
        if name in row_features:
            if (0, "", name) not in self.seen:
                self.seen.add((0, "", name))
                self.say(f"training_set.row_features.{name}", row_features[name])
                for other in read(row_features[name]):
                    self.feature(other)
        elif table in self.rows.feature_tables and column in _columns_of(self.rows.feature_tables[table]):
            self._joined(table, column)
        else:
            self.column(self.rows.tables, spine_of(training), name)

    def column(self, tables: Mapping[str, Mapping[str, Any]], table: str, name: str) -> None:
        """A column of a cleaned table, and those of which it is made."""
        if (id(tables), table, name) in self.seen:
            return
        self.seen.add((id(tables), table, name))
        made_by = tables.get(table, {})
        self.say(f"tables.{table}.types.{name}", (made_by.get("types") or {}).get(name))
        sql = (made_by.get("columns") or {}).get(name)
        self.say(f"tables.{table}.columns.{name}", sql)
        for other in read(sql):
            self.column(tables, table, other)
        if made_by.get("transform"):
            self.say(f"tables.{table}.transform", made_by["transform"])
            self.code(made_by.get(CODE) or {})

    def _joined(self, name: str, column: str) -> None:
        found = self.rows.feature_tables[name]
        tables = self.rows.through.get(name, self.rows.tables)
        source, path = found["from"], f"feature_tables.{name}"
        clocks = tables.get(source, {})
        time = None if found.get("lookup") else found.get("time") or clocks.get("event_time")
        for key in ("from", "entity", "until", "max_age"):
            self.say(f"{path}.{key}", found.get(key))
        self.say(f"{path}.time", time)
        self.say(f"tables.{source}.available_at", clocks.get("available_at"))
        used = {*found["entity"], *(one for one in (time, clocks.get("available_at"), found.get("until")) if one)}
        if found.get("aggregates"):
            part, function, window = _parts(found)[column]
            where = f" where {part['where']}" if part.get("where") else ""
            self.say(f"{path}.{column}", f"{function} of {part['column']} over {window}{where}")
            used |= {part["column"]} - {"*"} | read(part.get("where"))
        else:
            self.say(f"{path}.{column}", f"{'latest' if found.get('latest') else 'lookup'} {column}")
            used.add(column)
        for one in used:
            self.column(tables, source, one)


def read(sql: str | None) -> set[str]:
    """Columns that an expression reads, in lower case, as the names in the YAML are."""
    return {name.lower() for name in columns(sql)} if sql else set()


def _parts(found: Mapping[str, Any]) -> dict[str, tuple[Mapping[str, Any], str, str]]:
    """The aggregates of a feature table by the names of their columns."""
    named: dict[str, tuple[Mapping[str, Any], str, str]] = {}
    for part in found.get("aggregates") or ():
        subject: Any = SimpleNamespace(name=part.get("name"), column=part["column"])
        for function in part["functions"]:
            for window in part["windows"]:
                named[aggregate_column(subject, function, window)] = (part, function, window)
    return named


def _columns_of(found: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(found.get("latest") or found.get("lookup") or _parts(found))
