"""`extends: base.yaml`: a file that builds on another one, each value keeping the place where it was written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from headrace.config.file.document import Document, Loc, shown
from headrace.config.file.yamlfile import read
from headrace.errors import ConfigError

KEY = "extends"
LONGEST = 10
"""Files that may build on each other."""


def read_whole(path: str | Path, above: tuple[Path, ...] = ()) -> Document:
    """Read a file and those that it builds on: mappings are merged key by key, all else is replaced.

    Args:
        path: The file. What it extends is named relative to its own folder.
        above: The files that build on it, resolved.

    Returns:
        One document; a key that is null in a file takes the value of its base out.

    Raises:
        ConfigError: If a file cannot be read, is no YAML, or builds on itself.
    """
    document = read(path)
    named = document.data.pop(KEY, None)
    if named is None:
        return document
    base = _base(document, Path(path), named, (*above, Path(path).resolve()))
    return _merged(read_whole(base, (*above, Path(path).resolve())), document)


def is_file(path: str | Path) -> bool:
    """Whether there is such a file; what cannot be the name of one is none."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # too long, or no text
        return False


def _base(document: Document, path: Path, named: Any, above: tuple[Path, ...]) -> str:
    """The path of the base, as messages show it."""

    def wrong(message: str) -> ConfigError:
        return ConfigError([document.mistake((KEY,), message)])

    if not isinstance(named, str) or not named.lower().endswith((".yaml", ".yml")) or "\0" in named:
        raise wrong(f"{shown(named)} came; it must be the path of one YAML file (.yaml, .yml), beside this one")
    base = os.path.normpath(path.parent / named)
    if not is_file(base):
        raise wrong(f"there is no file {base!r}; the path starts in the folder of this file")
    resolved = Path(base).resolve()
    if resolved in above:
        way = " -> ".join(file.name for file in (*above[above.index(resolved) :], resolved))
        raise wrong(f"the files extend each other: {way}; break the circle")
    if len(above) >= LONGEST:
        raise wrong(f"more than {LONGEST} files build on each other; make the chain shorter")
    return base


def _merged(base: Document, top: Document) -> Document:
    """The base with what the file on top of it says; the places of what is replaced are forgotten."""
    data = _merge(base, base.data, top.data, ())
    return Document(
        top.file,
        data,
        base.values | top.values,
        base.keys | top.keys,
        base.texts | top.texts,
        base.mistakes + top.mistakes,
    )


def _merge(base: Document, below: dict[str, Any], above: dict[str, Any], loc: Loc) -> dict[str, Any]:
    found = dict(below)
    for key, value in above.items():
        here, there = (*loc, key), below.get(key)
        if isinstance(there, dict) and isinstance(value, dict):
            found[key] = _merge(base, there, value, here)
            continue
        for places in (base.values, base.keys, base.texts):
            for old in [old for old in places if old[: len(here)] == here]:
                del places[old]
        if value is None and key in below:
            del found[key]
        else:
            found[key] = value
    return found
