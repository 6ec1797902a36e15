"""Names that stand twice in a mapping, once in lower and once in upper case: one of the two would be lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from headrace.config.file.document import Document, Loc
from headrace.errors import Mistake

_NAMED = (
    ("tables",), ("tables", "*", "columns"), ("tables", "*", "types"), ("tables", "*", "describe"),
    ("feature_tables",), ("feature_tables", "*", "describe"), ("training_set", "row_features"), ("metrics",),
)  # fmt: skip
"""Mappings whose keys are names, which are the same in lower and upper case."""


def twice(document: Document) -> Iterator[Mistake]:
    """Names that differ in case only: SQL cannot tell them apart."""
    for loc, names in _named(document.data, (), _NAMED):
        seen: dict[str, str] = {}
        for name in names:
            if name.lower() in seen:
                message = (
                    f"{name!r} stands twice: it differs from {seen[name.lower()]!r} in case only, which SQL does not see; "
                    "rename one, or leave it out"
                )
                yield document.mistake((*loc, name), message, key=True)
            seen.setdefault(name.lower(), name)


def _named(data: Any, loc: Loc, paths: Iterable[tuple[str, ...]]) -> Iterator[tuple[Loc, dict[str, Any]]]:
    """The mappings at paths in which `*` stands for any key."""
    if not isinstance(data, dict):
        return
    if () in paths:
        yield loc, data
    for key, item in data.items():
        yield from _named(item, (*loc, key), [path[1:] for path in paths if path[:1] in (("*",), (key,))])
