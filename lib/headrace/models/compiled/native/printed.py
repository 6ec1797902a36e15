"""Columns of a model's own statements as SQL again, each written out of the columns of the table alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headrace.models.compiled.expressions import Node
from headrace.models.compiled.sql import NotCompiled

MOST = 400
"""Nodes of a column that is written out; one that names others which name others again may grow without end."""
_INFIX = {"+", "-", "*", "/", "%", "div", "<", ">", "<=", ">=", "=", "<>", "and", "or"}


def inlined(node: Node, known: Mapping[str, Node]) -> Node:
    """A node, with what it names written out.

    Args:
        node: Of a statement.
        known: Columns made before it.

    Raises:
        NotCompiled: If it grows too large.
    """
    found = _inlined(node, known)
    if size(found) > MOST:
        raise NotCompiled("columns made of too many others")
    return found


def _inlined(node: Node, known: Mapping[str, Node]) -> Node:
    if node[0] == "col":
        return known.get(node[1], node)
    return [_inlined(part, known) if isinstance(part, list) and node[0] != "list" else part for part in node]


def size(node: Node) -> int:
    """How many nodes there are in it."""
    return 1 + sum(size(part) for part in node[1:] if isinstance(part, list) and node[0] != "list")


def sql(node: Node) -> str:
    """A node as SQL of Spark."""
    name, *parts = node
    special = _SPECIAL.get(name)
    if special:
        return special(parts)
    inner = [sql(part) for part in parts]
    if name in _INFIX:
        return f"({inner[0]} {name} {inner[1]})"
    return f"{name}({', '.join(inner)})"


def number(value: float) -> str:
    """A double as SQL."""
    if not math.isfinite(value):
        return "double('NaN')" if value != value else f"double('{'-' if value < 0 else ''}Infinity')"
    return f"(-{-value!r}D)" if math.copysign(1, value) < 0 else f"{value!r}D"


def text(value: str) -> str:
    """A text as SQL; `${NAME}` in it is no variable of Spark's."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("$", "\\u0024")
    return f"'{escaped}'"


def quoted(name: str) -> str:
    """A column's name as SQL."""
    escaped = name.replace("`", "``")
    return f"`{escaped}`"


def _literal(parts: Sequence[Any]) -> str:
    value = parts[0]
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return text(value) if isinstance(value, str) else number(value) if isinstance(value, float) else str(value)


def _case(parts: Sequence[Any]) -> str:
    told = [f"when {sql(met)} then {sql(then)}" for met, then in zip(parts[:-1:2], parts[1::2], strict=True)]
    return f"case {' '.join(told)} else {sql(parts[-1])} end"


def _struct(parts: Sequence[Any]) -> str:
    return f"named_struct({', '.join(f'{text(n)}, {sql(of)}' for n, of in zip(parts[::2], parts[1::2], strict=True))})"


_SPECIAL: dict[str, Callable[[Sequence[Any]], str]] = {
    "col": lambda parts: quoted(parts[0]),
    "sql": lambda parts: str(parts[0]),
    "lit": _literal,
    "case": _case,
    "struct": _struct,
    "cast": lambda parts: f"try_cast({sql(parts[1])} as {parts[0]})",
    "field": lambda parts: f"{sql(parts[0])}.{quoted(parts[1])}",
    "list": lambda parts: f"array({', '.join(map(number, parts[0]))})",
    "json": lambda parts: f"to_json(array({', '.join(map(sql, parts))}))",
    "neg": lambda parts: f"(-{sql(parts[0])})",
    "not": lambda parts: f"(not {sql(parts[0])})",
    "is null": lambda parts: f"({sql(parts[0])} is null)",
}
