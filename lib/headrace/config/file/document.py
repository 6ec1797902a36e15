"""A configuration as plain values, with the place of every key and value, for messages."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from headrace.errors import Mistake

Loc = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Place:
    """Where something stands: one-based line and column of a file, or a flag (no line)."""

    file: str
    line: int | None = None
    column: int | None = None


@dataclass
class Document:
    """A file's content.

    Attributes:
        data: Plain dicts, lists, strings, numbers, booleans and None. Dates stay text.
        values: Place of each value, by its path.
        keys: Place of each key, by the path of its value.
        texts: Numbers, booleans and dates as they were written.
        mistakes: What is wrong with the YAML itself though it can be read (duplicate keys, tags).
    """

    file: str
    data: Any = None
    values: dict[Loc, Place] = field(default_factory=dict)
    keys: dict[Loc, Place] = field(default_factory=dict)
    texts: dict[Loc, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def place(self, loc: Loc, *, key: bool = False) -> Place:
        """The place of a value (or of its key), or of the nearest part of the file around it."""
        for length in range(len(loc), -1, -1):
            part = loc[:length]
            if (key or length < len(loc)) and part in self.keys:
                return self.keys[part]
            if part in self.values:
                return self.values[part]
        return Place(self.file, 1, 1)

    def mistake(self, loc: Loc, message: str, *, key: bool = False) -> Mistake:
        """A mistake at its place."""
        place = self.place(loc, key=key)
        return Mistake(dotted(loc), message, place.file, place.line, place.column)

    def locate(self, where: str) -> Loc:
        """The path in the file of what is written `tables.flights.rules[1]`; names without regard to case."""
        wanted = where.lower()
        best: Loc = ()
        for loc in self.values:
            text = dotted(loc).lower()
            if text == wanted:
                return loc
            if wanted.startswith(text) and wanted[len(text) :][:1] in (".", "[") and len(loc) > len(best):
                best = loc
        return best


def dotted(loc: Loc) -> str:
    """A path as people read it.

    >>> dotted(("tables", "flights", "rules", 1, "on_fail"))
    'tables.flights.rules[1].on_fail'
    """
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def shown(value: object, limit: int = 60) -> str:
    """A value as it stands in a message."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
