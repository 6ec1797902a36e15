"""The SQL of a model's own stages as nodes: null by null and NaN by NaN as `compiled.expressions` computes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headrace.models.exporting.graphs.calendar import Days
from headrace.models.exporting.graphs.graph import Cell, Frame, Graph, NotExported
from headrace.models.exporting.graphs.logic import (
    WHOLE,
    alike,
    chosen,
    compared,
    conjunction,
    disjunction,
    double,
    equal,
    extreme,
    first_met,
    first_there,
    is_null,
    negation,
    true,
)  # fmt: skip


def evaluate(graph: Graph, node: list[Any], frame: Frame) -> Any:
    """A cell, or vector, of a node of `compiled.expressions`."""
    name, *parts = node
    special = _SPECIAL.get(name)
    if special:
        return special(graph, parts, frame)
    if name not in _FUNCTIONS:
        raise NotExported(f"SQL with {name}")
    return _FUNCTIONS[name](graph, *[evaluate(graph, part, frame) for part in parts])


def _arithmetic(op: str) -> Callable[..., Cell]:
    def of(graph: Graph, one: Cell, other: Cell) -> Cell:
        a, b, kind = alike(graph, one, other)
        kind = "int" if kind in WHOLE else "double"
        return Cell(graph.op(op, a.values, b.values), graph.both(a.nulls, b.nulls), kind)

    return of


def _over(graph: Graph, one: Cell, other: Cell) -> Cell:
    return Cell(graph.op("Div", double(graph, one), double(graph, other)), graph.both(one.nulls, other.nulls))


def _integers(op: str) -> Callable[..., Cell]:
    def of(graph: Graph, one: Cell, other: Cell) -> Cell:
        if one.kind not in WHOLE or other.kind not in WHOLE:
            raise NotExported("SQL that divides other numbers than integers without a rest")
        return Cell(graph.op(op, one.values, other.values), graph.both(one.nulls, other.nulls), "int")

    return of


def _function(op: str) -> Callable[..., Cell]:
    return lambda graph, one: Cell(graph.op(op, double(graph, one)), one.nulls)


def _neg(graph: Graph, one: Cell) -> Cell:
    return Cell(graph.op("Neg", one.values), one.nulls, one.kind)


def _logarithm(graph: Graph, one: Cell) -> Cell:
    values = double(graph, one)
    nothing = graph.op("LessOrEqual", values, graph.number(0.0))
    return Cell(graph.op("Log", values), graph.both(nothing, one.nulls))


def _is_nan(graph: Graph, one: Cell) -> Cell:
    return Cell(true(graph, Cell(graph.op("IsNaN", double(graph, one)), one.nulls, "bool")), None, "bool")


def _part(name: str) -> Callable[..., Cell]:
    return lambda graph, one: Cell(getattr(Days(graph, one.values), name), one.nulls, "int")


def _weekday(graph: Graph, one: Cell) -> Cell:
    shifted = graph.op("Add", one.values, graph.whole(3))
    return Cell(graph.op("Mod", shifted, graph.whole(7)), one.nulls, "int")


def _exp_less_one(graph: Graph, one: Cell) -> Cell:
    return Cell(graph.op("Sub", graph.op("Exp", double(graph, one)), graph.number(1.0)), one.nulls)


def _log_of_more(graph: Graph, one: Cell) -> Cell:
    return Cell(graph.op("Log", graph.op("Add", double(graph, one), graph.number(1.0))), one.nulls)


def _at(graph: Graph, values: Cell, place: Cell) -> Cell:
    whole = place.values if place.kind == "int" else graph.cast(place.values, "int")
    if place.nulls is not None:
        whole = graph.op("Where", place.nulls, graph.whole(1), whole)
    found = graph.op("Gather", graph.constant(values.values), graph.op("Sub", whole, graph.whole(1)), axis=0)
    return Cell(found, place.nulls)


def _cast(graph: Graph, parts: Sequence[Any], frame: Frame) -> Cell:
    kind, of = parts[0], evaluate(graph, parts[1], frame)
    if kind == "string":
        return _as_text(graph, of)
    if of.kind in ("text", "joined"):
        raise NotExported(f"text that is read as {kind}")
    if kind == "double":
        return Cell(double(graph, of), of.nulls)
    if kind in ("int", "bigint"):
        return Cell(of.values if of.kind in WHOLE else graph.cast(of.values, "int"), of.nulls, "int")
    if kind == of.kind == "timestamp":
        return of
    raise NotExported(f"SQL with cast({of.kind} as {kind})")


def _as_text(graph: Graph, of: Cell) -> Cell:
    if of.kind in ("text", "joined"):
        return of
    if of.kind == "bool":
        yes, no = (graph.constant(np.array([[word]], dtype=object)) for word in ("true", "false"))
        return Cell(graph.op("Where", of.values, yes, no), of.nulls, "text")
    if of.kind in ("whole", "int"):
        return Cell(graph.cast(graph.cast(of.values, "int"), "text"), of.nulls, "text")
    told = {"double": "a number with a fraction", "date": "a date"}.get(of.kind, of.kind)
    raise NotExported(f"{told} that is taken for a category")


def _literal(graph: Graph, parts: Sequence[Any], frame: Frame) -> Cell:
    value = parts[0]
    if isinstance(value, str):
        return Cell(graph.constant(np.array([[value]], dtype=object)), None, "text")
    if value is None:
        return Cell(graph.number(0.0), graph.constant(np.array([[True]])), "none")
    if isinstance(value, bool):
        return Cell(graph.constant(np.array([[value]])), None, "bool")
    return Cell(graph.whole(value), None, "int") if isinstance(value, int) else Cell(graph.number(value))


def _struct(graph: Graph, parts: Sequence[Any], frame: Frame) -> Cell:
    return Cell({n: evaluate(graph, of, frame) for n, of in zip(parts[::2], parts[1::2], strict=True)}, None, "struct")


_SPECIAL: dict[str, Callable[[Graph, Sequence[Any], Frame], Any]] = {
    "col": lambda graph, parts, frame: frame[parts[0]],
    "lit": _literal,
    "list": lambda graph, parts, frame: Cell(np.asarray(parts[0], dtype=np.float64), None, "list"),
    "cast": _cast,
    "field": lambda graph, parts, frame: evaluate(graph, parts[0], frame).values[parts[1]],
    "struct": _struct,
}
_FUNCTIONS: dict[str, Callable[..., Cell]] = {
    "+": _arithmetic("Add"), "-": _arithmetic("Sub"), "*": _arithmetic("Mul"), "/": _over, "div": _integers("Div"),
    "pmod": _integers("Mod"), "neg": _neg, "<": compared(False, False), ">": compared(True, False),
    "<=": compared(True, True), ">=": compared(False, True), "=": equal, "and": conjunction, "or": disjunction, "not": negation,
    "is null": is_null, "isnan": _is_nan, "coalesce": first_there, "case": first_met, "if": chosen, "least": extreme(-1),
    "greatest": extreme(1), "abs": _function("Abs"), "sign": _function("Sign"), "sqrt": _function("Sqrt"),
    "exp": _function("Exp"), "expm1": _exp_less_one, "log1p": _log_of_more, "ln": _logarithm,
    "sin": _function("Sin"), "cos": _function("Cos"), "pi": lambda graph: Cell(graph.number(np.pi)),
    "unix_micros": lambda graph, one: Cell(one.values, one.nulls, "int"),
    "unix_date": lambda graph, one: Cell(one.values, one.nulls, "int"),
    "date_from_unix_date": lambda graph, one: Cell(one.values, one.nulls, "date"), "weekday": _weekday,
    "year": _part("year"), "month": _part("month"), "quarter": _part("quarter"), "day": _part("day"),
    "element_at": _at, "json": lambda graph, *cells: Cell(cells, None, "joined"),
}  # fmt: skip
"""Those of `compiled.expressions`."""
