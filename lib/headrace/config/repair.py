"""A file with wrong types, made right enough to look for mistakes between its sections too."""

from __future__ import annotations

import copy
import difflib
from typing import Any

from pydantic import ValidationError

from headrace.config.document import Loc
from headrace.config.types import Pipeline

_ROUNDS = 6


def repaired(data: Any) -> tuple[Pipeline | None, list[Loc]]:
    """Leave out what is wrong, take misspelt keys for what they were meant to be.

    Returns:
        A pipeline to check further, or None where too much is wrong; and the paths of what was left out.
    """
    data = copy.deepcopy(data)
    dropped: list[Loc] = []
    for _ in range(_ROUNDS):
        try:
            return Pipeline.model_validate(data), dropped
        except ValidationError as error:
            problems = [(p["type"], tuple(x for x in p["loc"] if x != "[key]")) for p in error.errors()]
        missing = {loc for kind, loc in problems if kind == "missing"}
        for kind, loc in sorted(problems, key=lambda p: [str(x).zfill(6) for x in p[1]], reverse=True):
            if kind == "extra_forbidden":
                _rename(data, loc, missing)
        for kind, loc in sorted(problems, key=lambda p: [str(x).zfill(6) for x in p[1]], reverse=True):
            if kind == "missing" and loc in missing:
                dropped.append(loc[:-1])
                _drop(data, loc[:-1])
            elif kind != "missing":
                dropped.append(loc)
                _drop(data, loc)
    return None, dropped


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
    if isinstance(section, dict):
        section.pop(last, None)
    elif isinstance(section, list) and isinstance(last, int) and last < len(section):
        del section[last]
