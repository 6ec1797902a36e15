"""What differs between two configurations, in the YAML's own paths and words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

WIDTH = 160
"""Characters of a value that are shown."""

_PLAIN = re.compile(r"[A-Za-z_][\w .:/+-]*")


@dataclass(frozen=True)
class Change:
    """A value that is another one now.

    Attributes:
        path: As in the YAML: `search.max_evals`, `tables.flights.rules[1].check`.
        before: As YAML in one line, empty where there was none.
        after: The same of now.
    """

    path: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"{self.path}: {self.after} (new)"
        return f"{self.path}: {self.before} -> {self.after}" if self.after else f"{self.path}: {self.before} (gone)"


def changes(before: Any, after: Any) -> tuple[Change, ...]:
    """Everything that differs, in the order of the configuration of now; what is gone comes last.

    >>> [str(c) for c in changes({"search": {"max_evals": 12}}, {"search": {"max_evals": 20}})]
    ['search.max_evals: 12 -> 20']
    """
    return tuple(_between("", before, after))


def _between(path: str, before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*after, *(k for k in before if k not in after)]:
            here = f"{path}.{key}" if path else str(key)
            yield from _between(here, before.get(key), after.get(key))
    elif _sections(before) and _sections(after):
        yield from _lists(path, before, after)
    else:
        yield Change(path, *pair(value_text(before), value_text(after)))


def _sections(value: Any) -> bool:
    """Whether a value is a list of sections, as rules and aggregates are."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _lists(path: str, before: list[Any], after: list[Any]) -> Iterator[Change]:
    """Sections with names are compared by name; others one by one where none came or went."""
    old, new = _named(before), _named(after)
    if old and new:
        if list(old) != list(new) and set(old) == set(new):
            yield Change(path, value_text(list(old)), value_text(list(new)))  # their order
        for name in [*new, *(n for n in old if n not in new)]:
            yield from _between(f"{path}[{name}]", old.get(name), new.get(name))
    elif len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _between(f"{path}[{number}]", one, other)
    else:
        for number, item in enumerate(before):
            if item not in after:
                yield Change(f"{path}[{number}]", *pair(value_text(item), ""))
        for number, item in enumerate(after):
            if item not in before:
                yield Change(f"{path}[{number}]", *pair("", value_text(item)))


def _named(items: list[Any]) -> dict[str, Any]:
    names = {str(item.get("name")): item for item in items if item.get("name")}
    return names if len(names) == len(items) else {}


def pair(before: str, after: str) -> tuple[str, str]:
    """Two texts, cut to where they differ when one of them is very long.

    >>> pair("a" * 500 + "b", "a" * 500 + "c") == ("... " + "a" * 40 + "b", "... " + "a" * 40 + "c")
    True
    """
    if max(len(before), len(after)) <= WIDTH:
        return before, after
    same = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )
    start = max(0, same - 40) if before and after else 0
    left, right = ("... " if start and t else "" for t in (before, after))
    return left + _cut(before[start:]), right + _cut(after[start:])


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[:WIDTH]} ..."


def value_text(value: Any) -> str:
    """A value as YAML in one line, as people write it: without what is empty.

    >>> value_text({"column": "x", "functions": ["mean"], "where": None})
    '{column: x, functions: [mean]}'
    """
    if value is None:
        return ""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{k}: {value_text(v)}" for k, v in value.items() if v is not None and v not in ([], {}))
            + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(value_text(v) if v is not None else "null" for v in value) + "]"
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value == value.strip() else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
