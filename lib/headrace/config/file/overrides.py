"""`--set a.b=value`: values of the command line in place of those in the file."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

from headrace.config import secrets
from headrace.config.file.complaints import meant
from headrace.config.file.document import Document, Loc, Place, dotted, shown
from headrace.config.file.yamlfile import parse
from headrace.errors import ConfigError, Mistake

_PART = re.compile(r"""(?:^|\.)(?:"([^"]+)"|([^.\[\]"=]+))|\[(\d+)\]|\["([^"]+)"\]""")
_NAMED = ("tables", "feature_tables", "metrics")
_FORM = "write --set section.key=value, lists by index: --set 'tables.x.rules[0].on_fail=warn'"


def override(document: Document, sets: Sequence[str]) -> list[Mistake]:
    """Put the flags' values into the document, and the flags as their places.

    Returns:
        What is wrong with the flags themselves.
    """
    mistakes: list[Mistake] = []
    for text in sets:
        flag = f"--set {secrets.masked(text)}"
        try:
            loc, value = _parse(text)
            changed = copy.deepcopy(document.data)
            _check_name(changed, loc)
            _put(changed, loc, value)
            document.data = changed
        except ConfigError as error:
            mistakes += [Mistake(m.where, m.message, flag) for m in error.mistakes]
            continue
        except ValueError as error:
            mistakes.append(Mistake("", str(error), flag))
            continue
        _forget(document, loc, Place(flag))
        _mark(document, loc, value, Place(flag))
    return mistakes


def _parse(text: str) -> tuple[Loc, Any]:
    loc: list[str | int] = []
    position = 0
    while position < len(text) and text[position] != "=":
        match = _PART.match(text, position)
        if not match:
            raise ValueError(f"{secrets.masked(text)!r} is no setting; {_FORM}")
        quoted, plain, index, bracketed = match.groups()
        loc.append(int(index) if index else (quoted or plain or bracketed).strip())
        position = match.end()
    if not loc or position >= len(text):
        raise ValueError(f"{secrets.masked(text)!r} is no setting; {_FORM}")
    document = parse(text[position + 1 :], "")
    if document.mistakes:
        raise ConfigError(document.mistakes)
    return _settings(tuple(loc)), document.data


def _settings(loc: Loc) -> Loc:
    """Settings of Spark have dots in their names: `spark.spark.sql.ansi.enabled`, `spark.stages.score.spark...`."""
    start = 3 if loc[:2] == ("spark", "stages") else 1
    name = ".".join(map(str, loc[start:]))
    plain = loc[0] == "spark" and name.startswith("spark.") and all(isinstance(part, str) for part in loc)
    return (*loc[:start], name) if plain else loc


def _check_name(data: dict[str, Any], loc: Loc) -> None:
    """A part of what is not there, and is called nearly as what is there, is no new entry but a slip."""
    names = data.get(str(loc[0])) if loc[0] in _NAMED and len(loc) > 2 else None
    if not isinstance(names, dict) or loc[1] in names:
        return
    if close := meant(loc[1], names):
        raise ValueError(
            f"{loc[0]} has no {str(loc[1])!r}{close} (a new one is set as a whole: --set '{loc[0]}.{loc[1]}={{...}}')"
        )


def _put(data: Any, loc: Loc, value: Any) -> None:
    for depth, part in enumerate(loc):
        if not isinstance(data, list if isinstance(part, int) else dict):
            kind = "a list" if isinstance(part, int) else "a mapping"
            raise ValueError(f"{dotted(loc[:depth])} is {shown(data)}, not {kind}; {_FORM}")
        if isinstance(part, int) and part >= len(data) + (depth == len(loc) - 1):
            raise ValueError(f"{dotted(loc[:depth])} has {len(data)} entries, counted from 0; there is no [{part}]")
        if depth == len(loc) - 1:
            if isinstance(data, list) and isinstance(part, int):
                data[part : part + 1] = [value]
            elif isinstance(data, dict):
                data[part] = value
            return
        if isinstance(data, dict) and data.get(part) is None:
            data[part] = [] if isinstance(loc[depth + 1], int) else {}
        data = data[part]


def _forget(document: Document, loc: Loc, place: Place) -> None:
    for kept in (document.values, document.keys, document.texts):
        for old in [old for old in kept if old[: len(loc)] == loc]:
            del kept[old]
    for length in range(1, len(loc)):
        document.values.setdefault(loc[:length], place)


def _mark(document: Document, loc: Loc, value: Any, place: Place) -> None:
    document.values[loc] = document.keys[loc] = place
    if isinstance(value, bool | int | float):
        document.texts[loc] = str(value).lower() if isinstance(value, bool) else str(value)
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        _mark(document, (*loc, key), item, place)
