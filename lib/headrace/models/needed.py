"""Which versions of tables the registered models need: what they were trained and judged on, and what that was made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Protocol

from headrace.models.version import Version
from headrace.runtime.commits import Commit


class Log(Protocol):
    """What is asked of a schema's commits."""

    def versions(self, table: str) -> list[int]:
        """Versions whose commit is in the log."""

    def commit(self, table: str, version: int) -> Commit:
        """One commit."""


def tagged(versions: Iterable[Version]) -> set[tuple[str, int]]:
    """Tables and versions that the tags of model versions name, with the training set each was trained on."""
    found: set[tuple[str, int]] = set()
    for version in versions:
        tables = json.loads(version.tags.get("tables") or "{}")
        found |= {(str(table), int(number)) for table, number in tables.items()}
        trained = version.tags.get("training_set_version", "")
        found |= {("training_set", int(trained))} if trained.isdigit() else set()
    return found


def lineage(log: Log, wanted: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    """Tables at versions, and all that they were made of, as far back as the commits tell."""
    found: set[tuple[str, int]] = set()
    todo = list(wanted)
    while todo:
        table, version = todo.pop()
        if (table, version) in found:
            continue
        found.add((table, version))
        if version in log.versions(table):
            todo += [(name, int(number)) for name, number in log.commit(table, version).note.get("inputs", {}).items()]
    return found


def oldest(needed: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    """Of each table the oldest version."""
    least: dict[str, int] = {}
    for table, version in needed:
        least[table] = min(version, least.get(table, version))
    return least
