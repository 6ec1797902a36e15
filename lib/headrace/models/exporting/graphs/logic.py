"""Cells that are compared, chosen among and joined by `and` and `or`: null by null, as SQL does it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from headrace.models.exporting.graphs.graph import Cell, Graph, NotExported

_NUMBERS = ("double", "whole", "int", "bool")
WHOLE = ("int", "date", "timestamp")


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


def alike(graph: Graph, one: Cell, other: Cell) -> tuple[Cell, Cell, str]:
    """Two cells of one kind, which comes last; a null takes that of the other."""
    kinds = {one.kind, other.kind} - {"none"}
    if len(kinds) <= 1:
        kind = kinds.pop() if kinds else "double"
    elif kinds <= {*_NUMBERS, *WHOLE}:
        kind = "int" if kinds <= set(WHOLE) else "whole" if kinds <= {*WHOLE, "whole"} else "double"
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
        else (graph.whole(0) if kind in WHOLE else graph.number(0.0))
    )


def less(graph: Graph, one: str, other: str, kind: str) -> str:
    """NaN is the greatest of all numbers, and equal to itself."""
    found = graph.op("Less", one, other)
    if kind not in ("double", "whole"):
        return found
    odd = graph.op("And", graph.op("IsNaN", other), graph.op("Not", graph.op("IsNaN", one)))
    return graph.op("Or", found, odd)


def compared(swapped: bool, negated: bool) -> Callable[..., Cell]:
    """A comparison: of the two the other way round, or what it is not."""

    def of(graph: Graph, one: Cell, other: Cell) -> Cell:
        a, b, kind = alike(graph, one, other)
        if kind in ("text", "bool"):
            raise NotExported(f"SQL that puts {kind} in order")
        found = less(graph, *((b.values, a.values) if swapped else (a.values, b.values)), kind)
        return Cell(graph.op("Not", found) if negated else found, graph.both(a.nulls, b.nulls), "bool")

    return of


def equal(graph: Graph, one: Cell, other: Cell) -> Cell:
    """Equality; NaN is equal to itself."""
    a, b, kind = alike(graph, one, other)
    found = graph.op("Equal", a.values, b.values)
    if kind in ("double", "whole"):
        odd = graph.op("And", graph.op("IsNaN", a.values), graph.op("IsNaN", b.values))
        found = graph.op("Or", found, odd)
    return Cell(found, graph.both(a.nulls, b.nulls), "bool")


def true(graph: Graph, one: Cell) -> str:
    """Where a mark is there and true."""
    return one.values if one.nulls is None else graph.op("And", one.values, graph.op("Not", one.nulls))


def negation(graph: Graph, one: Cell) -> Cell:
    """`not`."""
    return Cell(graph.op("Not", one.values), one.nulls, "bool")


def conjunction(graph: Graph, one: Cell, other: Cell) -> Cell:
    """`and`: false of false, null of null."""
    both = graph.op("And", true(graph, one), true(graph, other))
    if one.nulls is None and other.nulls is None:
        return Cell(both, None, "bool")
    false = graph.op("Or", true(graph, negation(graph, one)), true(graph, negation(graph, other)))
    return Cell(both, graph.op("Not", graph.op("Or", both, false)), "bool")


def disjunction(graph: Graph, one: Cell, other: Cell) -> Cell:
    """`or`."""
    return negation(graph, conjunction(graph, negation(graph, one), negation(graph, other)))


def _either(graph: Graph, met: str, then: str | None, other: str | None) -> str | None:
    """Marks of two cells, by a condition."""
    found = None if then is None else graph.op("And", met, then)
    return graph.both(found, None if other is None else graph.op("And", graph.op("Not", met), other))


def chosen(graph: Graph, condition: Cell, then: Cell, other: Cell) -> Cell:
    """One or the other of two, by a condition; a null one is not met."""
    met = true(graph, condition)
    a, b, kind = alike(graph, then, other)
    nulls = _either(graph, met, a.nulls, b.nulls)
    if kind == "bool":
        no = graph.constant(np.array([[False]]))
        return Cell(_either(graph, met, a.values, b.values) or no, nulls, kind)
    return Cell(graph.op("Where", met, a.values, b.values), nulls, kind)


def first_met(graph: Graph, *parts: Cell) -> Cell:
    """Condition, value, ..., value of all else."""
    found = parts[-1]
    for place in range(len(parts) - 3, -1, -2):
        found = chosen(graph, parts[place], parts[place + 1], found)
    return found


def first_there(graph: Graph, *cells: Cell) -> Cell:
    """The first that is not null."""
    found = cells[0]
    for other in cells[1:]:
        if found.nulls is None:
            break
        found = chosen(
            graph, Cell(graph.op("Not", found.nulls), None, "bool"), Cell(*found[:1], None, found.kind), other
        )
    return found


def extreme(sign: int) -> Callable[..., Cell]:
    """The least or the greatest of those that are not null; NaN is the greatest."""

    def of(graph: Graph, *cells: Cell) -> Cell:
        found = cells[0]
        for other in cells[1:]:
            a, b, kind = alike(graph, found, other)
            takes = less(graph, *((b.values, a.values) if sign < 0 else (a.values, b.values)), kind)
            if b.nulls is not None:
                takes = graph.op("And", takes, graph.op("Not", b.nulls))
            takes = graph.both(takes, a.nulls) or takes
            nulls = None if a.nulls is None or b.nulls is None else graph.op("And", a.nulls, b.nulls)
            found = Cell(graph.op("Where", takes, b.values, a.values), nulls, kind)
        return found

    return of


def is_null(graph: Graph, one: Cell) -> Cell:
    """Whether there is none."""
    return Cell(one.nulls or graph.constant(np.array([[False]])), None, "bool")
