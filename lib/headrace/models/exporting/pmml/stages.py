"""Stages that make features, and those that come after a model, as expressions of PMML; see `compiled.stages`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from headrace.models.exporting.graphs.graph import NotExported
from headrace.models.exporting.pmml.logic import kept, number, text
from headrace.models.exporting.pmml.sheet import (
    OTHER_TEXT,
    Arrays,
    Cell,
    Frame,
    Hot,
    Params,
    Sheet,
    Vector,
    apply,
    constant,
    is_value,
    looked_up,
    plain,
    ref,
    sum_of,
    written,
)
from headrace.models.exporting.pmml.sql import evaluate

BENDS = 2_000
"""Of an isotonic regression: beyond, the document is no longer one that can be read."""


def sql(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Columns of one level of a statement."""
    found = {name: evaluate(sheet, node, frame) for name, node in params["make"].items()}
    frame |= {name: kept(sheet, one, name) for name, one in found.items()}


def index(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """The place of a text among those that were kept; of all others, and of null, one more."""
    labels, of = list(dict.fromkeys(map(plain, params["labels"]))), frame[params["input"]]
    if len(labels) != len(params["labels"]):
        raise NotExported("StringIndexer with a value that comes twice")
    if of.kind == "joined":
        of = Cell(_joined(sheet, params["labels"], of.values, params["input"]), "text")
    if of.kind not in ("text", "none"):
        raise NotExported(f"StringIndexer of {of.kind}")
    field = sheet.named(text(of), "string", params["input"]).get("field")
    if field is None:
        raise NotExported("StringIndexer of a text that is always the same")
    rows = [((label,), written(at)) for at, label in enumerate(labels)]
    place = sheet.field(looked_up([field], rows, written(len(labels))), wanted=params["output"])
    frame[params["output"]] = Cell(place, "whole", Hot(field, tuple(labels), place.attrib["field"]))


def _joined(sheet: Sheet, labels: Sequence[str], cells: Sequence[Cell], name: str) -> Element:
    """Of texts of several columns, as JSON's array in a label, the label; of one that is not known nothing."""
    rows = {label: json.loads(label) for label in labels if label.startswith("[")}
    known = {label: row for label, row in rows.items() if len(row) == len(cells)}
    if not known:
        raise NotExported("an interaction of categories with no pair that is known")
    fields = []
    for cell in cells:
        of = sheet.named(text(cell), "string", f"__{name}").get("field") or ""
        fields.append(sheet.field(ref(of, OTHER_TEXT), "string", f"__{name}").attrib["field"])
    table = [([OTHER_TEXT if one is None else plain(one) for one in row], plain(label)) for label, row in known.items()]
    return sheet.field(looked_up(fields, table, None, "string"), "string", name)


def hot(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """A 1 at the place of each index."""
    for source, target, width in zip(params["inputs"], params["outputs"], params["sizes"], strict=True):
        one = frame[source].hot
        if one is None or width != len(one.labels) + 1:
            raise NotExported("OneHotEncoder of a number")
        frame[target] = [one]


def assemble(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Numbers and vectors side by side."""
    made: Vector = []
    for name in params["inputs"]:
        found = frame[name]
        made += found if isinstance(found, list) else [Cell(sheet.named(number(found), wanted=name))]
    frame[params["output"]] = made


def numbers(sheet: Sheet, vector: Vector) -> list[Element]:
    """Each number of a vector."""
    found: list[Element] = []
    for part in vector:
        found += [part.values] if isinstance(part, Cell) else _ones(part)
    return found


def _ones(of: Hot) -> list[Element]:
    last = apply("greaterOrEqual", ref(of.place), constant(float(len(of.labels))))
    return [*(is_value(of.field, label) for label in of.labels), apply("if", last, constant(1.0), constant(0.0))]


def width(vector: Vector) -> int:
    """How many numbers it has."""
    return sum(1 if isinstance(part, Cell) else len(part.labels) + 1 for part in vector)


def weighed(vector: Vector, weights: Any, intercept: float) -> Element:
    """The sum of a vector's numbers, each times its weight."""
    terms, at = [constant(float(intercept))], 0
    for part in vector:
        if isinstance(part, Hot):
            rows = [((label,), written(weights[at + place])) for place, label in enumerate(part.labels)]
            terms.append(looked_up([part.field], rows, written(weights[at + len(rows)])))
            at += len(rows) + 1
        else:
            terms.append(apply("*", part.values, constant(float(weights[at]))))
            at += 1
    return sum_of(terms)


def _vector(sheet: Sheet, parts: Sequence[Element], name: str) -> Vector:
    return [Cell(sheet.named(part, wanted=f"{name}__{place}")) for place, part in enumerate(parts)]


def picked(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Some of a vector's numbers."""
    every = numbers(sheet, frame[params["input"]])
    frame[params["output"]] = _vector(sheet, [every[place] for place in params["places"]], params["output"])


def components(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Principal components."""
    parts = [weighed(frame[params["input"]], weights, 0.0) for weights in arrays["weights"]]
    frame[params["output"]] = _vector(sheet, parts, params["output"])


def times(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Each number times its own factor."""
    every = zip(numbers(sheet, frame[params["input"]]), arrays["factors"], strict=True)
    made = [apply("*", one, constant(float(factor))) for one, factor in every]
    frame[params["output"]] = _vector(sheet, made, params["output"])


def normal(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Vectors of length 1 by the norm `p`; of nothing nothing."""
    of, power = _vector(sheet, numbers(sheet, frame[params["input"]]), params["input"]), float(params["p"])
    sizes = [apply("abs", one.values) for one in of]
    if power == 1:
        total = sum_of(sizes)
    else:
        total = apply("pow", sum_of([apply("pow", one, constant(power)) for one in sizes]), constant(1 / power))
    length = sheet.named(total, wanted="__length")
    zero = apply("equal", length, constant(0.0), missing="false")
    factor = sheet.named(apply("if", zero, constant(1.0), apply("/", constant(1.0), length)), wanted="__factor")
    frame[params["output"]] = _vector(sheet, [apply("*", one.values, factor) for one in of], params["output"])


def spread(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """To 0 to 1 by the least and greatest of the training rows; what was always the same to a half."""
    made = []
    for one, low, high in zip(numbers(sheet, frame[params["input"]]), arrays["low"], arrays["high"], strict=True):
        if low == high:
            made.append(apply("if", apply("isNotMissing", one), constant(0.5)))
        else:
            moved = apply("-", one, constant(float(low)))
            made.append(apply("*", moved, constant(float(1 / (high - low)))))
    frame[params["output"]] = _vector(sheet, made, params["output"])


def rising(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """An isotonic regression of one number of a vector: straight from bend to bend, beyond the ends as at the ends."""
    x, y = arrays["boundaries"], arrays["predictions"]
    if len(x) > BENDS:
        raise NotExported(f"an isotonic regression of {len(x):,} bends")
    of = sheet.named(numbers(sheet, frame[params["input"]])[params["place"]], wanted="__risen")
    inside = _between(of, x, y, 0, len(x) - 1)
    found = _at_most(of, x[0], constant(float(y[0])), _at_most(of, x[-1], inside, constant(float(y[-1]))))
    frame[params["output"]] = Cell(sheet.named(found, wanted=params["output"]))


def _at_most(of: Element, bend: float, then: Element, other: Element) -> Element:
    """What is missing is as the greatest."""
    return apply("if", apply("lessOrEqual", of, constant(float(bend)), missing="false"), then, other)


def _between(of: Element, x: Any, y: Any, first: int, last: int) -> Element:
    """Of a number above the bend `first`, and at most at the bend `last`."""
    if last - first > 1:
        middle = (first + last) // 2
        return _at_most(of, x[middle], _between(of, x, y, first, middle), _between(of, x, y, middle, last))
    if x[last] == x[first] or y[last] == y[first]:
        return constant(float(y[last]))
    far = apply("-", of, constant(float(x[first])))
    rise = apply("*", constant(float((y[last] - y[first]) / (x[last] - x[first]))), far)
    return apply("+", constant(float(y[first])), rise)


def predictors(sheet: Sheet, table: Element, vector: Vector, weights: Any, intercept: float) -> None:
    """What a regression is of, within its table: of a category each weight is told from that of all others."""
    at, start, numeric, categories = 0, float(intercept), [], []
    for part in vector:
        if isinstance(part, Hot):
            rest = float(weights[at + len(part.labels)])
            start += rest
            for place, label in enumerate(part.labels):
                told = {"name": part.field, "value": label, "coefficient": written(weights[at + place] - rest)}
                categories.append(told)
            at += len(part.labels) + 1
        else:
            name = part.values.get("field") or sheet.field(part.values).attrib["field"]
            numeric.append({"name": name, "coefficient": written(weights[at])})
            at += 1
    table.set("intercept", written(start))
    for told in numeric:
        SubElement(table, "NumericPredictor", told)
    for told in categories:
        SubElement(table, "CategoricalPredictor", told)


def ends(family: tuple[float, float], of: Element) -> Element:
    """Within two numbers; what is missing stays."""
    low, high = family
    if not np.isfinite(high):
        return of
    inside = apply("max", constant(low), apply("min", constant(high), of))
    return apply("if", apply("isNotMissing", of), inside)
