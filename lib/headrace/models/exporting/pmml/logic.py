"""Comparisons, conditions and marks as expressions of PMML.

A function of PMML gives nothing where anything is missing, and readers differ in what `and` and `or` make of that. So a mark
is two conditions, each of them never missing: where it is true, and where it is false.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

from headrace.models.exporting.graphs.graph import NotExported
from headrace.models.exporting.pmml.sheet import Cell, Sheet, apply, constant, is_value, plain

WHOLE = ("whole", "date", "timestamp")
_MOST = sys.float_info.max


def number(cell: Cell) -> Element:
    """A cell as a number, missing where there is none.

    Raises:
        NotExported: Of a text.
    """
    if cell.kind == "bool":
        return _marked(cell, constant(1.0), constant(0.0))
    if cell.kind == "none":
        return constant(None)
    if cell.kind not in ("double", *WHOLE):
        raise NotExported(f"a {cell.kind} that is read as a number")
    return cell.values


def _marked(cell: Cell, yes: Element, no: Element) -> Element:
    """One thing or another, by a mark."""
    return apply("if", cell.values[0], yes, apply("if", cell.values[1], no))


def true(cell: Cell) -> Element:
    """Where a mark is true."""
    if cell.kind == "none":
        return constant(False)
    if cell.kind != "bool":
        raise NotExported(f"a {cell.kind} that is read as a condition")
    return cell.values[0]


def missing(cell: Cell) -> Element:
    """Where there is none."""
    if cell.kind == "none":
        return constant(True)
    if cell.kind == "bool":
        return apply("not", apply("or", *cell.values))
    if cell.kind not in ("double", "text", *WHOLE):
        raise NotExported(f"SQL that asks whether a {cell.kind} is null")
    if cell.kind == "text":
        return apply("isMissing", text(cell))
    return apply("isMissing", cell.values)


def kept(sheet: Sheet, cell: Any, wanted: str) -> Any:
    """A cell whose expressions are fields of their own: each is computed once, however often it is used."""
    if not isinstance(cell, Cell) or cell.kind in ("none", "list", "joined", "class"):
        return cell
    if cell.kind == "struct":
        values = {name: kept(sheet, one, f"{wanted}__{name}") for name, one in cell.values.items()}
        return Cell(values, "struct")
    if cell.kind == "bool":
        yes, no = cell.values
        return Cell(
            (sheet.named(yes, "boolean", f"{wanted}__yes"), sheet.named(no, "boolean", f"{wanted}__no")), "bool"
        )
    if cell.kind == "text":
        return cell if cell.values.tag == "Literal" else Cell(sheet.named(cell.values, "string", wanted), "text")
    return cell._replace(values=sheet.named(cell.values, "double", wanted))


def negation(sheet: Sheet, one: Cell) -> Cell:
    """`not`."""
    if one.kind == "none":
        return one
    true(one)
    return Cell(one.values[::-1], "bool")


def conjunction(sheet: Sheet, one: Cell, other: Cell) -> Cell:
    """`and`: false where any is false, whatever the other is."""
    a, b = _mark(one), _mark(other)
    return Cell((apply("and", a[0], b[0]), apply("or", a[1], b[1])), "bool")


def disjunction(sheet: Sheet, one: Cell, other: Cell) -> Cell:
    """`or`."""
    a, b = _mark(one), _mark(other)
    return Cell((apply("or", a[0], b[0]), apply("and", a[1], b[1])), "bool")


def _mark(cell: Cell) -> tuple[Element, Element]:
    if cell.kind == "none":
        return constant(False), constant(False)
    true(cell)
    return cell.values[0], cell.values[1]


def compared(function: str, opposite: str) -> Callable[..., Cell]:
    """A comparison of numbers."""

    def of(sheet: Sheet, one: Cell, other: Cell) -> Cell:
        parts = [sheet.named(number(cell)) for cell in (one, other)]
        return Cell((_compare(function, *parts), _compare(opposite, *parts)), "bool")

    return of


_LOOSE = {"lessThan": "lessOrEqual", "greaterThan": "greaterOrEqual"}
_STRICT = {loose: strict for strict, loose in _LOOSE.items()}


def _compare(function: str, one: Element, other: Element) -> Element:
    """Never missing. Next to infinity is the greatest double: readers differ in how they write what is beyond."""
    if other.text in ("INF", "-INF"):
        function = (_LOOSE if (other.text == "INF") == function.startswith("less") else _STRICT).get(function, function)
        other = constant(_MOST if other.text == "INF" else -_MOST)
    return apply(function, one, other, missing="false")


def equal(sheet: Sheet, one: Cell, other: Cell) -> Cell:
    """`=`."""
    if "none" in (one.kind, other.kind):
        return Cell(None, "none")
    if one.kind == other.kind == "text":
        return _same_text(sheet, one, other)
    if one.kind == other.kind == "bool":
        (a, not_a), (b, not_b) = one.values, other.values
        both, neither = apply("and", a, b), apply("and", not_a, not_b)
        apart = apply("or", apply("and", a, not_b), apply("and", not_a, b))
        return Cell((apply("or", both, neither), apart), "bool")
    a, b = (sheet.named(number(cell)) for cell in (one, other))
    ways = [apply(name, a, b, missing="false") for name in ("lessOrEqual", "greaterOrEqual", "lessThan", "greaterThan")]
    return Cell((apply("and", *ways[:2]), apply("or", *ways[2:])), "bool")


def _same_text(sheet: Sheet, one: Cell, other: Cell) -> Cell:
    if one.values.tag == "Literal":
        one, other = other, one
    if other.values.tag == "Literal":
        field = sheet.named(text(one), "string").get("field")
        if field is None:
            raise NotExported("SQL that compares texts of its own")
        value, half = plain(other.values.text or ""), constant(0.5)
        yes = apply("greaterThan", is_value(field, value), half)
        return Cell((yes, apply("lessThan", is_value(field, value, 1), half)), "bool")
    parts = [sheet.named(text(cell), "string") for cell in (one, other)]
    return Cell(tuple(apply(name, *parts, missing="false") for name in ("equal", "notEqual")), "bool")


def text(cell: Cell) -> Element:
    """A cell of text as an expression: a literal as a constant."""
    if cell.kind == "none":
        return constant(None)
    if cell.kind != "text":
        raise NotExported(f"a {cell.kind} that is read as text")
    return constant(cell.values.text or "") if cell.values.tag == "Literal" else cell.values


def literal(value: str) -> Cell:
    """A text: what it becomes depends on where it stands."""
    made = Element("Literal")
    made.text = value
    return Cell(made, "text")


def is_null(sheet: Sheet, one: Cell) -> Cell:
    """`is null`."""
    gone = missing(one)
    return Cell((gone, apply("not", gone)), "bool")


def first_there(sheet: Sheet, *cells: Cell) -> Cell:
    """`coalesce`."""
    found = cells[-1]
    for one in cells[-2::-1]:
        if one.kind == "none":
            continue
        one = kept(sheet, one, "__maybe")
        found = chosen(sheet, Cell((missing(one), constant(False)), "bool"), found, one)
    return found


def first_met(sheet: Sheet, *parts: Cell) -> Cell:
    """`case`: condition, value, ..., value of all else."""
    found = parts[-1]
    for place in range(len(parts) - 3, -1, -2):
        found = chosen(sheet, parts[place], parts[place + 1], found)
    return found


def chosen(sheet: Sheet, condition: Cell, then: Cell, other: Cell) -> Cell:
    """`if`."""
    kinds = {then.kind, other.kind} - {"none"}
    if not kinds:
        return then
    met = true(condition)
    if kinds == {"bool"}:
        met = sheet.named(met, "boolean")
        sides = zip(_mark(then), _mark(other), strict=True)
        return Cell(tuple(apply("if", met, a, b) for a, b in sides), "bool")
    of = text if "text" in kinds else number
    kind = next(iter(kinds)) if len(kinds) == 1 else "double"
    if kinds == {"text"} or "text" not in kinds:
        parts = [of(then)] if other.kind == "none" else [of(then), of(other)]
        return Cell(apply("if", met, *parts), kind)
    raise NotExported("SQL that gives text or something else")
