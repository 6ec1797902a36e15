"""A file with wrong types, made right enough to look for mistakes between its sections too."""

from __future__ import annotations

import copy
import difflib
import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from headrace.config.file.document import Loc, dotted
from headrace.config.spines import MAPPING, TEXT
from headrace.config.types import Pipeline

_ROUNDS = 12
_STAND_INS = {
    "pipeline": "unnamed", "from": "missing_table", "label": "null", "entities": "missing_table", "every": "1 day",
    "within": "1 day", "aggregate": "count(*)",
}  # fmt: skip
"""For what is missing, so that the rest of its section is looked at; what is said of these is not told."""
_IN_PLACE = {("gates", "at_least"), ("gates", "at_most"), ("tables", "name")}
"""What is replaced, not left out, when it is wrong: without it the entry around it would be none."""
_NO_SOURCE = {"format": "unknown", "path": "unknown"}
_GONE = object()
"""In place of an entry of a list that was left out, so that the others keep their numbers."""
_INDEX = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True)
class Repaired:
    """A file made right enough.

    Attributes:
        pipeline: To check further, or None where too much is wrong.
        dropped: Paths, in the file, of what was left out.
        kept: Of each list that lost entries, in lower case as in `written`: the numbers in the file of those it has.
    """

    pipeline: Pipeline | None
    dropped: list[Loc] = field(default_factory=list)
    kept: dict[str, list[int]] = field(default_factory=dict)

    def written(self, where: str) -> str:
        """A path of the pipeline, as `gates[0].metric`, with the numbers that the entries have in the file."""
        found, end = "", 0
        for match in _INDEX.finditer(where):
            found += where[end : match.start()]
            end, index = match.end(), int(match[1])
            numbers = self.kept.get(found.lower(), [])
            found += f"[{numbers[index] if index < len(numbers) else index}]"
        return found + where[end:]


def repaired(data: Any) -> Repaired:
    """Leave out what is wrong, take misspelt keys for what they were meant to be."""
    data = copy.deepcopy(data)
    dropped: list[Loc] = []
    for _ in range(_ROUNDS):
        kept: dict[Loc, list[int]] = {}
        whole = _without_gone(data, (), kept)
        try:
            pipeline = Pipeline.model_validate(whole)
            return Repaired(pipeline, dropped, {dotted(loc).lower(): numbers for loc, numbers in kept.items()})
        except ValidationError as error:
            places = [tuple(x for x in p["loc"] if x not in ("[key]", TEXT, MAPPING)) for p in error.errors()]
            problems = [(p["type"], _numbered(loc, kept)) for p, loc in zip(error.errors(), places, strict=True)]
        missing = {loc for kind, loc in problems if kind == "missing"}
        for kind, loc in sorted(problems, key=lambda p: [str(x).zfill(6) for x in p[1]], reverse=True):
            if kind == "extra_forbidden":
                _rename(data, loc, missing)
        for kind, loc in sorted(problems, key=lambda p: [str(x).zfill(6) for x in p[1]], reverse=True):
            if kind != "missing":
                dropped.append(loc)
                _drop(data, loc)
            elif loc in missing:
                dropped.append(loc if _stand_in(data, loc) else loc[:-1])
        _without_sources(data, dropped)
    return Repaired(None)


def _without_gone(value: Any, loc: Loc, kept: dict[Loc, list[int]]) -> Any:
    """The same without the entries that were left out; `kept` gets the numbers of those that stay."""
    if isinstance(value, dict):
        return {key: _without_gone(item, (*loc, key), kept) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    numbers = [i for i, item in enumerate(value) if item is not _GONE]
    if len(numbers) < len(value):
        kept[loc] = numbers
    return [_without_gone(value[i], (*loc, i), kept) for i in numbers]


def _numbered(loc: Loc, kept: dict[Loc, list[int]]) -> Loc:
    """A path in what was validated, with the numbers that the entries have in the file."""
    found: Loc = ()
    for part in loc:
        numbers = kept.get(found) if isinstance(part, int) else None
        found = (*found, numbers[int(part)] if numbers else part)
    return found


def _stand_in(data: Any, loc: Loc) -> bool:
    """Put something where a value is missing; where nothing will do, leave the section out."""
    section = _at(data, loc[:-1])
    if isinstance(section, dict) and loc[-1] in _STAND_INS:
        section[loc[-1]] = _STAND_INS[str(loc[-1])]
        return True
    _drop(data, loc[:-1])
    return False


def _without_sources(data: Any, dropped: list[Loc]) -> None:
    """A source with something wrong has columns that nobody knows."""
    for loc in dropped:
        table = _at(data, loc[:2]) if loc[:1] == ("tables",) else None
        if isinstance(table, dict) and loc[2:3] == ("source",):
            table["source"] = dict(_NO_SOURCE)


def touches(message: str, dropped: list[Loc]) -> bool:
    """Whether a mistake may come of what was left out: names that are gone, columns of tables that lack a part."""
    gone = {repr(str(part).lower()) for loc in dropped for part in loc[-1:]}
    sections = (("tables",), ("feature_tables",))
    parts = {str(d[1]).lower() for d in dropped if d[:1] in sections and d[2:3] not in ((), ("rules",))}
    return any(f"is called {name}" in message for name in gone) or any(
        re.search(rf"\btables?[ .]{re.escape(name)}\b", message) for name in parts
    )


def misspelt(data: Any, loc: Loc) -> str | None:
    """The key that was probably meant to be the missing one at this path."""
    section = _at(data, loc[:-1])
    close = difflib.get_close_matches(str(loc[-1]), section if isinstance(section, dict) else [], n=1, cutoff=0.6)
    return close[0] if close else None


def _rename(data: Any, loc: Loc, missing: set[Loc]) -> None:
    section = _at(data, loc[:-1])
    for wanted in sorted(missing, key=str):
        if wanted[:-1] == loc[:-1] and isinstance(section, dict) and misspelt(data, wanted) == loc[-1]:
            section[wanted[-1]] = section.pop(loc[-1])
            missing.discard(wanted)
            return


def _at(data: Any, loc: Loc) -> Any:
    for part in loc:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _drop(data: Any, loc: Loc) -> None:
    if not loc:
        return
    section, last = _at(data, loc[:-1]), loc[-1]
    if isinstance(section, dict) and (loc[0], last) in _IN_PLACE:
        section[last] = f"unnamed_{loc[-2]}" if last == "name" else 0.0
    elif isinstance(section, dict):
        section.pop(last, None)
    elif isinstance(section, list) and isinstance(last, int):
        section[last : last + 1] = [_GONE]
    elif isinstance(last, int) and isinstance(_at(data, loc[:-2]), dict):
        _at(data, loc[:-2])[loc[-2]] = []  # one value in place of a list
    else:
        _drop(data, loc[:-1])
