"""The SQL of a model's own stages as nodes: null by null and NaN by NaN as `compiled.expressions` computes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headrace.models.exporting.graphs.calendar import Days
from headrace.models.exporting.graphs.graph import Cell, Frame, Graph, NotExported

NUMBERS = ("double", "whole", "int", "bool")
_WHOLE = ("int", "date", "timestamp")


def evaluate(graph: Graph, node: list[Any], frame: Frame) -> Any:
    """A cell, or vector, of a node of `compiled.expressions`."""
    name, *parts = node
    special = _SPECIAL.get(name)
    if special:
        return special(graph, parts, frame)
    return _FUNCTIONS[name](graph, *[evaluate(graph, part, frame) for part in parts])


def spread(graph: Graph, cell: Cell, rows: str) -> Cell:
    """A cell with a value for each row.

    Args:
        graph: It is written to.
        cell: Of rows, or one for all.
        rows: Name of a shape (rows, 1).
    """
    if not isinstance(cell.values, str):
        return cell
    values, nulls = (
        one if one is None or graph.of_rows(one) else graph.named(graph.op("Expand", one, rows))
        for one in (cell.values, cell.nulls)
    )
    return Cell(values, nulls, cell.kind)


def double(graph: Graph, cell: Cell) -> str:
    """A number's values as doubles."""
    return cell.values if cell.kind in ("double", "whole", "none") else graph.cast(cell.values, "double")


def _alike(graph: Graph, one: Cell, other: Cell) -> tuple[Cell, Cell, str]:
    """Two cells of one kind, which comes last; a null takes that of the other."""
    kinds = {one.kind, other.kind} - {"none"}
    if len(kinds) <= 1:
        kind = kinds.pop() if kinds else "double"
    elif kinds <= {*NUMBERS, *_WHOLE}:
        kind = "int" if kinds <= set(_WHOLE) else "whole" if kinds <= {*_WHOLE, "whole"} else "double"
    else:
        raise NotExported(f"SQL that puts {' and '.join(sorted(kinds))} together")
    made = []
    for cell in (one, other):
        if cell.kind == "none":
            made.append(Cell(_nothing(graph, kind), cell.nulls, kind))
        elif kind in ("double", "whole"):
            made.append(Cell(double(graph, cell), cell.nulls, kind))
        else:
            made.append(Cell(cell.values, cell.nulls, kind))
    return made[0], made[1], kind


def _nothing(graph: Graph, kind: str) -> str:
    if kind == "text":
        return graph.constant(np.array([[""]], dtype=object))
    return (
        graph.constant(np.array([[False]]))
        if kind == "bool"
        else (graph.whole(0) if kind in _WHOLE else graph.number(0.0))
    )


def _arithmetic(op: str) -> Callable[..., Cell]:
    def of(graph: Graph, one: Cell, other: Cell) -> Cell:
        a, b, kind = _alike(graph, one, other)
        kind = "int" if kind in _WHOLE else "double"
        return Cell(graph.op(op, a.values, b.values), graph.both(a.nulls, b.nulls), kind)

    return of


def _over(graph: Graph, one: Cell, other: Cell) -> Cell:
    return Cell(graph.op("Div", double(graph, one), double(graph, other)), graph.both(one.nulls, other.nulls))


def _integers(op: str) -> Callable[..., Cell]:
    def of(graph: Graph, one: Cell, other: Cell) -> Cell:
        if one.kind not in _WHOLE or other.kind not in _WHOLE:
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


def less(graph: Graph, one: str, other: str, kind: str) -> str:
    """NaN is the greatest of all numbers, and equal to itself."""
    found = graph.op("Less", one, other)
    if kind not in ("double", "whole"):
        return found
    odd = graph.op("And", graph.op("IsNaN", other), graph.op("Not", graph.op("IsNaN", one)))
    return graph.op("Or", found, odd)


def _compared(swapped: bool, negated: bool) -> Callable[..., Cell]:
    def of(graph: Graph, one: Cell, other: Cell) -> Cell:
        a, b, kind = _alike(graph, one, other)
        if kind in ("text", "bool"):
            raise NotExported(f"SQL that puts {kind} in order")
        found = less(graph, *((b.values, a.values) if swapped else (a.values, b.values)), kind)
        return Cell(graph.op("Not", found) if negated else found, graph.both(a.nulls, b.nulls), "bool")

    return of


def _equal(graph: Graph, one: Cell, other: Cell) -> Cell:
    a, b, kind = _alike(graph, one, other)
    found = graph.op("Equal", a.values, b.values)
    if kind in ("double", "whole"):
        odd = graph.op("And", graph.op("IsNaN", a.values), graph.op("IsNaN", b.values))
        found = graph.op("Or", found, odd)
    return Cell(found, graph.both(a.nulls, b.nulls), "bool")


def _true(graph: Graph, one: Cell) -> str:
    """Where a mark is there and true."""
    return one.values if one.nulls is None else graph.op("And", one.values, graph.op("Not", one.nulls))


def _not(graph: Graph, one: Cell) -> Cell:
    return Cell(graph.op("Not", one.values), one.nulls, "bool")


def _and(graph: Graph, one: Cell, other: Cell) -> Cell:
    true = graph.op("And", _true(graph, one), _true(graph, other))
    if one.nulls is None and other.nulls is None:
        return Cell(true, None, "bool")
    false = graph.op("Or", _true(graph, _not(graph, one)), _true(graph, _not(graph, other)))
    return Cell(true, graph.op("Not", graph.op("Or", true, false)), "bool")


def _or(graph: Graph, one: Cell, other: Cell) -> Cell:
    return _not(graph, _and(graph, _not(graph, one), _not(graph, other)))


def _either(graph: Graph, met: str, then: str | None, other: str | None) -> str | None:
    """Marks of two cells, by a condition."""
    found = None if then is None else graph.op("And", met, then)
    return graph.both(found, None if other is None else graph.op("And", graph.op("Not", met), other))


def _if(graph: Graph, condition: Cell, then: Cell, other: Cell) -> Cell:
    met = _true(graph, condition)
    a, b, kind = _alike(graph, then, other)
    nulls = _either(graph, met, a.nulls, b.nulls)
    if kind == "bool":
        no = graph.constant(np.array([[False]]))
        return Cell(_either(graph, met, a.values, b.values) or no, nulls, kind)
    return Cell(graph.op("Where", met, a.values, b.values), nulls, kind)


def _case(graph: Graph, *parts: Cell) -> Cell:
    found = parts[-1]
    for place in range(len(parts) - 3, -1, -2):
        found = _if(graph, parts[place], parts[place + 1], found)
    return found


def _coalesce(graph: Graph, *cells: Cell) -> Cell:
    found = cells[0]
    for other in cells[1:]:
        if found.nulls is None:
            break
        found = _if(graph, Cell(graph.op("Not", found.nulls), None, "bool"), Cell(*found[:1], None, found.kind), other)
    return found


def _extreme(sign: int) -> Callable[..., Cell]:
    def of(graph: Graph, *cells: Cell) -> Cell:
        found = cells[0]
        for other in cells[1:]:
            a, b, kind = _alike(graph, found, other)
            takes = less(graph, *((b.values, a.values) if sign < 0 else (a.values, b.values)), kind)
            if b.nulls is not None:
                takes = graph.op("And", takes, graph.op("Not", b.nulls))
            takes = graph.both(takes, a.nulls) or takes
            nulls = None if a.nulls is None or b.nulls is None else graph.op("And", a.nulls, b.nulls)
            found = Cell(graph.op("Where", takes, b.values, a.values), nulls, kind)
        return found

    return of


def _is_null(graph: Graph, one: Cell) -> Cell:
    return Cell(one.nulls or graph.constant(np.array([[False]])), None, "bool")


def _is_nan(graph: Graph, one: Cell) -> Cell:
    return Cell(_true(graph, Cell(graph.op("IsNaN", double(graph, one)), one.nulls, "bool")), None, "bool")


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
        return Cell(of.values if of.kind in _WHOLE else graph.cast(of.values, "int"), of.nulls, "int")
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
    "pmod": _integers("Mod"), "neg": _neg, "<": _compared(False, False), ">": _compared(True, False),
    "<=": _compared(True, True), ">=": _compared(False, True), "=": _equal, "and": _and, "or": _or, "not": _not,
    "is null": _is_null, "isnan": _is_nan, "coalesce": _coalesce, "case": _case, "if": _if, "least": _extreme(-1),
    "greatest": _extreme(1), "abs": _function("Abs"), "sign": _function("Sign"), "sqrt": _function("Sqrt"),
    "exp": _function("Exp"), "expm1": _exp_less_one, "log1p": _log_of_more, "ln": _logarithm,
    "sin": _function("Sin"), "cos": _function("Cos"), "pi": lambda graph: Cell(graph.number(np.pi)),
    "unix_micros": lambda graph, one: Cell(one.values, one.nulls, "int"),
    "unix_date": lambda graph, one: Cell(one.values, one.nulls, "int"),
    "date_from_unix_date": lambda graph, one: Cell(one.values, one.nulls, "date"), "weekday": _weekday,
    "year": _part("year"), "month": _part("month"), "quarter": _part("quarter"), "day": _part("day"),
    "element_at": _at, "json": lambda graph, *cells: Cell(cells, None, "joined"),
}  # fmt: skip
"""Those of `compiled.expressions`."""
