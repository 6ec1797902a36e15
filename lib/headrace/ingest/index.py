"""Which files have landed, as the commits of a raw table tell: a night's work must not look through all rows for it.

Each commit carries the whole list, or what is new since the last whole list and where that one is. So a commit stays
small, and two of them tell all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.runtime.step import Run

SHARE = 4
"""The whole list is written anew when more than one in so many of its entries would differ."""


@dataclass(frozen=True)
class Index:
    """Files that have landed, also those that held no row.

    Attributes:
        files: Newest version by path.
        whole: The last whole list.
        at: Version of the commit that carries it; None: there is none.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    whole: Mapping[str, str] = field(default_factory=dict)
    at: int | None = None


def index_of(run: Run, raw: str, first: int, mode: str) -> Index | None:
    """What the commits of a raw table tell; None where they do not.

    That is where others have changed its rows, where the files were read in another mode or the source was none of
    files in between, and where the log ends too early.

    Args:
        run: The run.
        raw: The table; it is there.
        first: The first batch that counts.
        mode: How the files are read now.
    """
    note = run.facts(raw)
    facts = note.get("facts", {})
    told = facts.get("landed")
    if not told or not note.get("hashes") or int(facts.get("from", 1)) != first or facts.get("mode") != mode:
        return None
    if told["at"] is None:
        return Index(told["files"], told["files"], run.version(raw))
    whole = run.facts(raw, int(told["at"])).get("facts", {}).get("landed") or {}
    if whole.get("at", "unknown") is not None:
        return None
    return Index({**whole["files"], **told["files"]}, whole["files"], int(told["at"]))


def carried(files: Mapping[str, str], before: Index | None) -> dict[str, Any]:
    """What a commit says of the files that have landed with it, and what the ones before it told.

    >>> carried({"a": "2", "b": "1", "c": "1", "d": "1"}, Index(whole={"a": "1", "b": "1", "c": "1", "d": "1"}, at=3))
    {'files': {'a': '2'}, 'at': 3}
    >>> carried({"a": "2"}, None)
    {'files': {'a': '2'}, 'at': None}
    """
    if before is None or before.at is None:
        return {"files": dict(files), "at": None}
    new = {path: version for path, version in files.items() if before.whole.get(path) != version}
    if len(new) * SHARE > len(before.whole) or before.whole.keys() - files.keys():
        return {"files": dict(files), "at": None}
    return {"files": new, "at": before.at}
