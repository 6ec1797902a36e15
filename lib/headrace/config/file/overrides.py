"""`--set a.b=value`: values of the command line in place of those in the file."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

from headrace.config import secrets
from headrace.config.file.document import Document, Loc, Place, dotted, shown
from headrace.config.file.yamlfile import parse
from headrace.errors import ConfigError, Mistake

_PART = re.compile(r"""(?:^|\.)(?:"([^"]+)"|([^.\[\]"=]+))|\[(\d+)\]|\["([^"]+)"\]""")
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
    return tuple(loc), document.data


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
