"""The SQL of a model's own stages over whole columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.models.compiled.columns import Column, Frame
from headrace.models.compiled.functions import FUNCTIONS, cast

Node = list[Any]
"""Name of a function, and what it is of: other nodes, or of `col`, `lit`, `cast` plain values."""


Evaluated = Callable[[Frame], Any]
"""Gives a column, or vector."""


def ready(node: Node) -> Evaluated:
    """What computes a node."""
    name, *parts = node
    special = _SPECIAL.get(name)
    if special:
        return special(parts)
    function, inner = FUNCTIONS[name], [ready(part) for part in parts]
    return lambda frame: function(*[one(frame) for one in inner])


def names(node: Node) -> set[str]:
    """Columns that a node reads."""
    if node[0] == "col":
        return {node[1]}
    return set().union(*[names(part) for part in node[1:] if isinstance(part, list)])


def filled(found: Column, rows: int) -> Column:
    """A column whose values are there for each row."""
    if found.kind in ("text", "struct", "list") or np.ndim(found.values):
        return found
    nulls = None if found.nulls is None else np.broadcast_to(found.nulls, rows)
    return Column(np.broadcast_to(found.values, rows), nulls, found.kind)


def _cast(parts: Sequence[Any]) -> Evaluated:
    kind, inner = parts[0], ready(parts[1])
    return lambda frame: cast(kind, inner(frame))


def _literal(parts: Sequence[Any]) -> Evaluated:
    value = parts[0]
    if isinstance(value, str):
        found = Column(pa.scalar(value, pa.string()), None, "text")
    else:
        found = Column(np.float64(0), np.True_) if value is None else Column(np.asarray(value)[()])
    return lambda frame: found


def _column(parts: Sequence[Any]) -> Evaluated:
    name = parts[0]
    return lambda frame: frame[name]


def _list(parts: Sequence[Any]) -> Evaluated:
    found = Column(np.asarray(parts[0], dtype=np.float64), None, "list")
    return lambda frame: found


def _field(parts: Sequence[Any]) -> Evaluated:
    struct, name = ready(parts[0]), parts[1]
    return lambda frame: struct(frame).values[name]


def _struct(parts: Sequence[Any]) -> Evaluated:
    made = {name: ready(of) for name, of in zip(parts[::2], parts[1::2], strict=True)}
    return lambda frame: Column({name: of(frame) for name, of in made.items()}, None, "struct")


_SPECIAL: dict[str, Callable[[Sequence[Any]], Evaluated]] = {
    "col": _column,
    "lit": _literal,
    "list": _list,
    "cast": _cast,
    "field": _field,
    "struct": _struct,
}
