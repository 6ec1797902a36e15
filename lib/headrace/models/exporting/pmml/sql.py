"""The SQL of a model's own stages as expressions of PMML, as `compiled.expressions` computes it; NaN is missing here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from headrace.models.exporting.graphs.graph import NotExported
from headrace.models.exporting.pmml.calendar import Days, down
from headrace.models.exporting.pmml.logic import (
    WHOLE,
    chosen,
    compared,
    conjunction,
    disjunction,
    equal,
    first_met,
    first_there,
    is_null,
    literal,
    negation,
    number,
)
from headrace.models.exporting.pmml.sheet import Cell, Frame, Sheet, apply, constant, looked_up, written


def evaluate(sheet: Sheet, node: list[Any], frame: Frame) -> Any:
    """A cell, or vector, of a node of `compiled.expressions`.

    Raises:
        NotExported: If a function is not known to PMML.
    """
    name, *parts = node
    special = _SPECIAL.get(name)
    if special:
        return special(sheet, parts, frame)
    if name not in _FUNCTIONS:
        raise NotExported(f"SQL with {name}")
    return _FUNCTIONS[name](sheet, *[evaluate(sheet, part, frame) for part in parts])


def _arithmetic(symbol: str) -> Callable[..., Cell]:
    def of(sheet: Sheet, one: Cell, other: Cell) -> Cell:
        whole = symbol != "/" and {one.kind, other.kind} <= {*WHOLE}
        return Cell(apply(symbol, number(one), number(other)), "whole" if whole else "double")

    return of


def _function(name: str) -> Callable[..., Cell]:
    return lambda sheet, one: Cell(apply(name, number(one)))


def _extreme(name: str) -> Callable[..., Cell]:
    """The least or greatest of those that are there."""
    return lambda sheet, *cells: Cell(apply(name, *[number(one) for one in cells if one.kind != "none"]))


def _divided(sheet: Sheet, one: Cell, other: Cell) -> Cell:
    """Without a rest, towards 0."""
    _whole(one, other)
    found = sheet.named(apply("/", number(one), number(other)))
    below = apply("lessThan", found, constant(0.0), missing="false")
    return Cell(apply("if", below, apply("ceil", found), apply("floor", found)), "whole")


def _rest(sheet: Sheet, one: Cell, other: Cell) -> Cell:
    _whole(one, other)
    a, b = (sheet.named(number(cell)) for cell in (one, other))
    return Cell(apply("-", a, apply("*", apply("floor", apply("/", a, b)), b)), "whole")


def _whole(*cells: Cell) -> None:
    if any(one.kind not in WHOLE for one in cells):
        raise NotExported("SQL that divides other numbers than integers without a rest")


def _sign(sheet: Sheet, one: Cell) -> Cell:
    of, zero = sheet.named(number(one)), constant(0.0)
    below = apply("if", apply("lessThan", of, zero, missing="false"), constant(-1.0), of)
    return Cell(apply("if", apply("greaterThan", of, zero, missing="false"), constant(1.0), below))


def _logarithm(sheet: Sheet, one: Cell) -> Cell:
    of = sheet.named(number(one))
    return Cell(apply("if", apply("greaterThan", of, constant(0.0), missing="false"), apply("ln", of)))


def _is_nan(sheet: Sheet, one: Cell) -> Cell:
    """What is NaN is missing here: no value is."""
    return Cell((constant(False), constant(True)), "bool")


def _part(name: str) -> Callable[..., Cell]:
    return lambda sheet, one: Cell(getattr(Days(sheet, sheet.named(_days(one))), name), "whole")


def _days(one: Cell) -> Element:
    return down(one.values, 86_400_000) if one.kind == "timestamp" else number(one)


def _weekday(sheet: Sheet, one: Cell) -> Cell:
    shifted = Cell(apply("+", _days(one), constant(3.0)), "whole")
    return _rest(sheet, shifted, Cell(constant(7.0), "whole"))


def _micros(sheet: Sheet, one: Cell) -> Cell:
    if one.kind != "timestamp":
        raise NotExported(f"a part of the day, of a {one.kind}")
    return Cell(apply("*", one.values, constant(1000.0)), "whole")


def _at(sheet: Sheet, values: Cell, place: Cell) -> Cell:
    """The number at a place of a list."""
    field = sheet.field(number(place), wanted="__place").get("field") or ""
    rows = [((written(at + 1),), written(one)) for at, one in enumerate(values.values)]
    return Cell(looked_up([field], rows, None))


def _cast(sheet: Sheet, parts: Sequence[Any], frame: Frame) -> Cell:
    kind, of = parts[0], evaluate(sheet, parts[1], frame)
    if kind == "string":
        return _as_text(sheet, of)
    if of.kind in ("text", "joined"):
        raise NotExported(f"text that is read as {kind}")
    if kind == "double":
        return Cell(number(of))
    if kind in ("int", "bigint"):
        return Cell(of.values, "whole") if of.kind in WHOLE else _cut(sheet, of)
    if kind == of.kind == "timestamp":
        return of
    if kind == "date" and of.kind in ("date", "timestamp"):
        return Cell(_days(of), "date")
    raise NotExported(f"SQL with cast({of.kind} as {kind})")


def _cut(sheet: Sheet, of: Cell) -> Cell:
    found = Cell(sheet.named(number(of)), "whole")
    return _divided(sheet, found, Cell(constant(1.0), "whole"))


def _as_text(sheet: Sheet, of: Cell) -> Cell:
    if of.kind in ("text", "joined", "none"):
        return of
    if of.kind == "bool":
        yes, no = of.values
        return Cell(apply("if", yes, constant("true"), apply("if", no, constant("false"))), "text")
    if of.kind == "whole":
        return Cell(sheet.field(sheet.field(of.values, "integer", "__whole"), "string", "__text"), "text")
    told = {"double": "a number with a fraction", "date": "a date"}.get(of.kind, of.kind)
    raise NotExported(f"{told} that is taken for a category")


def _literal(sheet: Sheet, parts: Sequence[Any], frame: Frame) -> Cell:
    value = parts[0]
    if isinstance(value, str):
        return literal(value)
    if value is None:
        return Cell(None, "none")
    if isinstance(value, bool):
        return Cell((constant(value), constant(not value)), "bool")
    return Cell(constant(float(value)), "whole" if isinstance(value, int) else "double")


def _struct(sheet: Sheet, parts: Sequence[Any], frame: Frame) -> Cell:
    return Cell({n: evaluate(sheet, of, frame) for n, of in zip(parts[::2], parts[1::2], strict=True)}, "struct")


def _column(sheet: Sheet, parts: Sequence[Any], frame: Frame) -> Any:
    return frame[parts[0]]


_SPECIAL: dict[str, Callable[[Sheet, Sequence[Any], Frame], Any]] = {
    "col": _column,
    "lit": _literal,
    "list": lambda sheet, parts, frame: Cell(np.asarray(parts[0], dtype=np.float64), "list"),
    "cast": _cast,
    "field": lambda sheet, parts, frame: evaluate(sheet, parts[0], frame).values[parts[1]],
    "struct": _struct,
}
_FUNCTIONS: dict[str, Callable[..., Cell]] = {
    "+": _arithmetic("+"), "-": _arithmetic("-"), "*": _arithmetic("*"), "/": _arithmetic("/"), "div": _divided,
    "pmod": _rest, "neg": lambda sheet, one: Cell(apply("*", number(one), constant(-1.0)), one.kind),
    "<": compared("lessThan", "greaterOrEqual"), ">": compared("greaterThan", "lessOrEqual"),
    "<=": compared("lessOrEqual", "greaterThan"), ">=": compared("greaterOrEqual", "lessThan"), "=": equal,
    "and": conjunction, "or": disjunction, "not": negation, "is null": is_null, "isnan": _is_nan, "coalesce": first_there,
    "case": first_met, "if": chosen, "least": _extreme("min"), "greatest": _extreme("max"), "abs": _function("abs"),
    "sign": _sign, "sqrt": _function("sqrt"), "exp": _function("exp"), "expm1": _function("expm1"),
    "log1p": _function("ln1p"), "ln": _logarithm, "sin": _function("sin"), "cos": _function("cos"),
    "pi": lambda sheet: Cell(constant(np.pi)), "unix_micros": _micros,
    "unix_date": lambda sheet, one: Cell(_days(one), "whole"),
    "date_from_unix_date": lambda sheet, one: Cell(one.values, "date"), "weekday": _weekday,
    "year": _part("year"), "month": _part("month"), "quarter": _part("quarter"), "day": _part("day"), "element_at": _at,
    "json": lambda sheet, *cells: Cell(cells, "joined"),
}  # fmt: skip
"""Those of `compiled.expressions`."""
