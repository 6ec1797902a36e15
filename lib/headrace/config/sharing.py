"""`{shared: other.yaml}`: tables and feature tables that another pipeline makes, and this one only reads.

What such a table is (key, times, columns, aggregates) is said once, in the owner's file, and taken from there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from headrace.config.file.complaints import meant
from headrace.config.file.document import Document, Loc, shown
from headrace.config.file.extending import is_file, read_whole
from headrace.errors import ConfigError, Mistake

T = TypeVar("T")

KEY = "shared"
SECTIONS = ("tables", "feature_tables")
_MAKING = ("source", "rules", "transform")
"""What only the owner needs to know of a table."""


def resolve(document: Document) -> None:
    """Put the owners' definitions where the file names their files.

    Raises:
        ConfigError: With all that is wrong with shared tables.
    """
    mistakes: list[Mistake] = []
    owners: dict[str, Document] = {}
    for loc in _shared(document):
        try:
            _take(document, loc, owners)
        except ConfigError as error:
            mistakes += error.mistakes or [document.mistake((*loc, KEY), error.message)]
    if not mistakes:
        mistakes = [m for loc in _shared(document) if (m := _unfed(document, loc))]
    if mistakes:
        raise ConfigError(mistakes)


def _shared(document: Document) -> list[Loc]:
    found: list[Loc] = []
    for section in SECTIONS:
        tables = document.data.get(section)
        for name, table in tables.items() if isinstance(tables, dict) else ():
            if isinstance(table, dict) and KEY in table:
                found.append((section, name))
    return found


def _take(document: Document, loc: Loc, owners: dict[str, Document]) -> None:
    section, name = loc
    given = document.data[section][name]
    more = [key for key in given if key != KEY]
    if more:
        raise ConfigError(f"a shared table is what its owner says; leave out {', '.join(more)}")
    file = _file(document, loc, given[KEY])
    owner = owners.setdefault(file, read_whole(file))
    tables = owner.data.get(section)
    names = {str(key).lower(): str(key) for key in tables} if isinstance(tables, dict) else {}
    written = str(names.get(str(name).lower()))
    made = tables.get(written) if isinstance(tables, dict) else None
    pipeline = owner.data.get("pipeline")
    if not isinstance(made, dict) or not isinstance(pipeline, str):
        kind = "table" if section == "tables" else "feature table"
        raise ConfigError(f"{file} has no {kind} {name!r}; it has: {', '.join(names) or 'none'}{meant(name, names)}")
    if KEY in made:
        raise ConfigError(f"{file} does not make {name!r} itself, it shares it from {shown(made[KEY])}; name that file")
    if pipeline == document.data.get("pipeline"):
        raise ConfigError(f"{file} is this pipeline too ({pipeline}); its tables are there without being shared")
    taken = {key: value for key, value in made.items() if section != "tables" or key not in _MAKING}
    if section == "tables":
        taken["source"] = {"format": KEY, "path": f"{pipeline}.{written}"}
    document.data[section][name] = {**taken, KEY: pipeline}
    _take_places(document.values, owner.values, loc, written)
    _take_places(document.keys, owner.keys, loc, written)
    _take_places(document.texts, owner.texts, loc, written)


def _take_places(mine: dict[Loc, T], theirs: Mapping[Loc, T], loc: Loc, written: str) -> None:
    """What stands in the owner's file is told there."""
    for place in theirs:
        if place[:2] == (loc[0], written) and len(place) > 2 and place[2] != KEY:
            mine[(*loc, *place[2:])] = theirs[place]


def _file(document: Document, loc: Loc, named: Any) -> str:
    """The owner's file, named relative to the file in which it is named."""
    if not isinstance(named, str) or not named.lower().endswith((".yaml", ".yml")) or "\0" in named:
        raise ConfigError(f"{shown(named)} came; it must be the path of the owner's YAML file, as other.yaml")
    written = document.place((*loc, KEY)).file  # a file, or a flag
    folder = Path(written if is_file(written) else document.file).parent
    file = os.path.normpath(folder / named)
    if not is_file(file):
        raise ConfigError(f"there is no file {file!r}; the path starts in the folder of this file")
    return file


def _unfed(document: Document, loc: Loc) -> Mistake | None:
    """A feature table without the table that it is made from: training computes windows from its events."""
    if loc[0] != "feature_tables":
        return None
    feature = document.data[loc[0]][loc[1]]
    tables = document.data.get("tables")
    there = {str(name).lower(): table for name, table in tables.items()} if isinstance(tables, dict) else {}
    table = there.get(str(feature.get("from")).lower())
    if isinstance(table, dict) and table.get(KEY) == feature[KEY]:
        return None
    advice = f"share that as well: tables: {{{feature.get('from')}: {{shared: ...}}}}"
    return document.mistake(
        (*loc, KEY), f"it is made from the table {feature.get('from')!r} of {feature[KEY]}; {advice}"
    )
