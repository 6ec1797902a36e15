"""Stages that make features, and those that come after a model, as nodes; see `compiled.stages`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.models.compiled import texts
from headrace.models.exporting.graphs.graph import Cell, Frame, Graph, NotExported, Vector, plain
from headrace.models.exporting.graphs.logic import double, spread
from headrace.models.exporting.graphs.sql import evaluate

Params = Mapping[str, Any]
Arrays = Mapping[str, Any]
ROWS = "__rows"
"""In a frame: the shape (rows, 1)."""


def sql(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Columns of one level of a statement."""
    found = {name: evaluate(graph, node, frame) for name, node in params["make"].items()}
    frame |= {name: spread(graph, one, frame[ROWS]) if isinstance(one, Cell) else one for name, one in found.items()}


def index(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """The place of a text among those that were kept; of all others, and of null, one more."""
    labels, of = list(params["labels"]), frame[params["input"]]
    if of.kind not in ("text", "joined"):
        raise NotExported(f"StringIndexer of {of.kind}")
    made = _joined(graph, labels, of.values) if of.kind == "joined" else place(graph, labels, of)
    frame[params["output"]] = Cell(made, None, "int")


def place(graph: Graph, labels: list[str], of: Cell) -> str:
    """Of each text, an integer."""
    told: str = graph.whole(len(labels))
    if labels:
        first = {label: at for at, label in reversed(list(enumerate(labels)))}  # of two that are the same the first
        words = [plain(label) for label in first]
        told = graph.op(
            "LabelEncoder", of.values, domain="ai.onnx.ml", keys_strings=words, values_int64s=list(first.values()),
            default_int64=len(labels),
        )  # fmt: skip
        return told if of.nulls is None else graph.op("Where", of.nulls, graph.whole(len(labels)), told)
    return graph.op(
        "Add", graph.op("Mul", graph.cast(graph.op("Equal", of.values, of.values), "int"), told), graph.whole(0)
    )


def _joined(graph: Graph, labels: list[str], cells: tuple[Cell, ...]) -> str:
    """Of texts of several columns, as JSON's array in a label: a number of the places of each is looked up."""
    rows = [json.loads(label) if label.startswith("[") else None for label in labels]
    known = {at: row for at, row in enumerate(rows) if row is not None and len(row) == len(cells)}
    code: str | None = None
    codes, size = dict.fromkeys(known, 0), 1
    for column, cell in enumerate(cells):
        words = sorted({row[column] for row in known.values() if row[column] is not None})
        told = place(graph, words, Cell(cell.values))
        if cell.nulls is not None:
            told = graph.op("Where", cell.nulls, graph.whole(len(words) + 1), told)
        spot = {word: at for at, word in enumerate(words)} | {None: len(words) + 1}
        codes = {at: codes[at] * (len(words) + 2) + spot[row[column]] for at, row in known.items()}
        code = told if code is None else graph.op("Add", graph.op("Mul", code, graph.whole(len(words) + 2)), told)
        size *= len(words) + 2
    if size >= 2**62 or code is None or not known:
        raise NotExported("an interaction of categories with no pair that is known, or with too many")
    return graph.op(
        "LabelEncoder", code, domain="ai.onnx.ml", keys_int64s=list(codes.values()), values_int64s=list(codes),
        default_int64=len(labels),
    )  # fmt: skip


def hot(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """A 1 at the place of each index."""
    for source, target, width in zip(params["inputs"], params["outputs"], params["sizes"], strict=True):
        cell = frame[source]
        places = cell.values if cell.kind == "int" else graph.cast(cell.values, "int")
        found = graph.op("Equal", places, graph.constant(np.arange(width, dtype=np.int64)[None, :]))
        frame[target] = Vector(graph.cast(found, "double"), width)


def assemble(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Numbers and vectors side by side; what is missing is NaN, also where Spark refuses the row."""
    parts, width = [], 0
    for name in params["inputs"]:
        found = frame[name]
        if isinstance(found, Vector):
            parts.append(found.name)
            width += found.width
            continue
        if found.kind == "text":
            raise NotExported(f"VectorAssembler of the text {name}")
        values = double(graph, found)
        if found.nulls is not None:
            values = graph.op("Where", found.nulls, graph.number(np.nan), values)
        parts.append(spread(graph, Cell(values), frame[ROWS]).values)
        width += 1
    frame[params["output"]] = Vector(graph.side_by_side(*parts), width)


def picked(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Some of a vector's numbers."""
    frame[params["output"]] = Vector(graph.picked(frame[params["input"]].name, params["places"]), len(params["places"]))


def components(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Principal components."""
    weights = arrays["weights"]
    frame[params["output"]] = Vector(graph.matrix(frame[params["input"]].name, weights), len(weights))


def times(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Each number times its own factor."""
    of = frame[params["input"]]
    frame[params["output"]] = Vector(graph.op("Mul", of.name, graph.constant(arrays["factors"][None, :])), of.width)


def normal(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Vectors of length 1 by the norm `p`; of nothing nothing."""
    of, power = frame[params["input"]], float(params["p"])
    sizes = graph.op("Abs", of.name)
    if power == 1:
        length = graph.sum(sizes)
    else:
        length = graph.sum(graph.op("Pow", sizes, graph.number(power)))
        length = graph.op("Pow", length, graph.number(1 / power))
    zero = graph.op("Equal", length, graph.number(0.0))
    factor = graph.op("Div", graph.number(1.0), graph.op("Where", zero, graph.number(1.0), length))
    frame[params["output"]] = Vector(graph.op("Mul", of.name, factor), of.width)


def spread_out(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """To 0 to 1 by the least and greatest of the training rows; what was always the same to a half."""
    of, low, width = frame[params["input"]], arrays["low"], arrays["high"] - arrays["low"]
    factor = np.divide(1.0, width, out=np.zeros_like(width), where=width != 0)
    moved = graph.op("Mul", graph.op("Sub", of.name, graph.constant(low[None, :])), graph.constant(factor[None, :]))
    known = graph.op("Not", graph.op("IsNaN", of.name))
    same = graph.op("And", graph.constant((width == 0)[None, :]), known)
    frame[params["output"]] = Vector(graph.op("Where", same, graph.number(0.5), moved), of.width)


def rising(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """An isotonic regression of one number of a vector: its steps, linear in between."""
    x, y = arrays["boundaries"], arrays["predictions"]
    of = graph.picked(frame[params["input"]].name, [params["place"]])
    if len(x) > 1:
        below = graph.sum(graph.cast(graph.op("Less", graph.constant(x[None, :]), of), "int"))
        right = graph.op("Min", graph.op("Max", below, graph.whole(1)), graph.whole(len(x) - 1))
        left = graph.op("Sub", right, graph.whole(1))
    else:
        left = right = graph.cast(graph.op("Mul", of, graph.number(0.0)), "int")
        left = right = graph.op("Mul", left, graph.whole(0))
    ends = [graph.op("Gather", graph.constant(one), at, axis=0) for one in (x, y) for at in (left, right)]
    x_left, x_right, y_left, y_right = ends
    wide = graph.op("Greater", x_right, x_left)
    width = graph.op("Where", wide, graph.op("Sub", x_right, x_left), graph.number(1.0))
    rise = graph.op("Mul", graph.op("Sub", y_right, y_left), graph.op("Sub", of, x_left))
    found = graph.op("Add", y_left, graph.op("Div", rise, width))
    steps = (
        ("Equal", x_left, y_left), ("Equal", x_right, y_right), ("GreaterOrEqual", graph.number(x[-1]), graph.number(y[-1])),
        ("LessOrEqual", graph.number(x[0]), graph.number(y[0])),
    )  # fmt: skip
    for compare, against, value in steps:
        found = graph.op("Where", graph.op(compare, of, against), value, found)
    found = graph.op("Where", graph.op("IsNaN", of), graph.number(y[-1]), found)
    frame[params["output"]] = Cell(found)


def text_of(labels: Any) -> list[str]:
    """Labels as Spark casts them to text."""
    return [str(one) for one in texts.as_text(labels).to_pylist()]
