"""How rows were made, as the commits of the tables tell it: what the definitions of a model's columns are read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.runtime.carried import unpacked

Note = Callable[[str, int], Mapping[str, Any]]
"""What the commit of a table at a version carries."""
CODE = "code"
"""Among the facts of a commit: hashes of the user's modules that made its rows."""


@dataclass(frozen=True)
class Made:
    """How rows were made, as commits tell it.

    Attributes:
        training: The section `training_set`.
        feature_tables: The feature tables that it joins, by name.
        tables: Cleaned tables: the clocks, `columns`, `types`, `transform`, and `code`; by name.
        through: The same of the tables that a looked-up feature table was made from, by feature table.
        code: Module -> hash of what `training_set.transform` runs.
    """

    training: Mapping[str, Any]
    feature_tables: Mapping[str, Any]
    tables: Mapping[str, Mapping[str, Any]]
    through: Mapping[str, Mapping[str, Mapping[str, Any]]]
    code: Mapping[str, str]


def made(config: Mapping[str, Any], inputs: Mapping[str, int], note: Note, code: Mapping[str, str]) -> Made:
    """Gather how the rows of a training set were made, or those to be scored.

    Args:
        config: What of the configuration decides the training set, as its step has it.
        inputs: The tables that the rows are made of, with their versions.
        note: Gives what commits carry.
        code: Module -> hash of what `training_set.transform` runs.
    """
    tables = {name: dict(found) for name, found in config["tables"].items()}
    feature_tables = dict(config["feature_tables"])
    through = {}
    for name, version in inputs.items():
        told = note(name, version)
        if name in feature_tables and name not in tables:
            found = unpacked(told.get("config")) or {}
            feature_tables[name] = found.get("feature_tables", {}).get(name, feature_tables[name])
            own = {n: dict(t) for n, t in found.get("tables", {}).items()}
            for source, at in (told.get("inputs") or {}).items():
                own[source] = {**own.get(source, {}), **_cleaned(source, note(source, at))}
            through[name] = own
        else:
            tables[name] = {**tables.get(name, {}), **_cleaned(name, told)}
    return Made(config["training_set"], feature_tables, tables, through, code)


def _cleaned(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """What a commit of a cleaned table says of its columns; nothing where others than Headrace wrote it."""
    found = (unpacked(told.get("config")) or {}).get("tables", {}).get(name, {})
    chosen = {key: found[key] for key in ("columns", "types", "transform") if key in found}
    return {**chosen, CODE: (told.get("facts") or {}).get(CODE) or {}}
