"""A graph of ONNX as it is written, and what its values stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

OPSET, ML_OPSET, IR = 20, 3, 10
"""Of `ai.onnx` (from 19 on texts can be compared) and `ai.onnx.ml` (from 3 on trees compare doubles); and of the file."""
OWN = "headrace:"
"""Before the names of all values that are no column."""
MISSING = "\u2400"
"""The text that stands for null: ONNX has none, and an empty text is a value of its own."""
NO_MOMENT = np.iinfo(np.int64).min
"""The number that stands for no date and no time: as pandas has it in NaT."""


def plain(text: str) -> str:
    """A text as the graph has it: constants end at a NUL, which stands for an empty category in Spark's list of them."""
    return text.replace("\0", "\ue000")


class NotExported(Exception):
    """What a format cannot express; the text says which part of the model it is."""


class Cell(NamedTuple):
    """A column, (rows, 1) or (1, 1): as `compiled.columns.Column`, with names of values of the graph.

    Attributes:
        values: Of kind `double`, `whole` (doubles without a fraction), `int`, `date` and `timestamp` (integers of 64 bits),
            `bool`, `text` or `none` a name; of `struct` cells by name; of `list` the doubles; of `joined` the text cells.
        nulls: Name of where there is none; None: nowhere.
        kind: What the values are.
    """

    values: Any
    nulls: str | None = None
    kind: str = "double"


class Vector(NamedTuple):
    """Vectors of all rows, doubles (rows, width)."""

    name: str
    width: int


Frame = dict[str, Any]
"""Cells and vectors by name."""


class Graph:
    """Nodes and constants, in the order in which they are written."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[tuple[Any, ...], tuple[str, Any]] = {}
        self._of_rows: set[str] = set()
        self._count = 0

    def named(self, name: str) -> str:
        """Take a name from outside as a value that has rows."""
        self._of_rows.add(name)
        return name

    def of_rows(self, name: str) -> bool:
        """Whether a value has a row for each row that is scored, and not one for all."""
        return name in self._of_rows

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node with one output, whose name is returned."""
        from onnx import helper

        self._count += 1
        name = f"{OWN}{kind}_{self._count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, domain=domain, **attributes))
        if any(one in self._of_rows for one in inputs):
            self._of_rows.add(name)
        return name

    def constant(self, values: Any) -> str:
        """A constant; one that is there already is taken again."""
        from onnx import helper, numpy_helper

        array = np.asarray(values)
        text = array.dtype.kind in "OU"
        key = (array.shape, "text" if text else array.dtype.str, tuple(array.ravel()) if text else array.tobytes())
        if key not in self.constants:
            name = f"{OWN}constant_{len(self.constants)}"
            if text:
                content: Any = [plain(str(one)).encode() for one in array.ravel()]
                made = helper.make_tensor(name, 8, array.shape, content)  # 8: TensorProto.STRING
            else:
                made = numpy_helper.from_array(array, name)
            self.constants[key] = (name, made)
        return self.constants[key][0]

    def number(self, value: float) -> str:
        """One double, for all rows."""
        return self.constant(np.full((1, 1), value, np.float64))

    def whole(self, value: int) -> str:
        """One integer of 64 bits, for all rows."""
        return self.constant(np.full((1, 1), value, np.int64))

    def cast(self, name: str, kind: str) -> str:
        """To `double`, `float`, `int`, `bool` or `text`."""
        return self.op("Cast", name, to=_TYPES[kind])

    def both(self, one: str | None, other: str | None) -> str | None:
        """Where any of two is true; None is nowhere."""
        if one is None or other is None or one == other:
            return one or other
        return self.op("Or", one, other)

    def matrix(self, vector: str, weights: Any) -> str:
        """Vectors times weights (outputs, width)."""
        return self.op("MatMul", vector, self.constant(np.ascontiguousarray(np.asarray(weights, np.float64).T)))

    def side_by_side(self, *names: str) -> str:
        """Columns in one matrix."""
        return names[0] if len(names) == 1 else self.op("Concat", *names, axis=1)

    def sum(self, name: str, axis: int = 1, keep: bool = True) -> str:
        """Over an axis."""
        return self.op("ReduceSum", name, self.constant(np.array([axis])), keepdims=int(keep))

    def most(self, name: str) -> str:
        """The greatest of each row."""
        return self.op("ReduceMax", name, self.constant(np.array([1])), keepdims=1)

    def best(self, name: str) -> str:
        """The place of the greatest of each row, an integer (rows, 1)."""
        return self.op("ArgMax", name, axis=1, keepdims=1)

    def picked(self, name: str, places: Any) -> str:
        """Some columns of a matrix."""
        return self.op("Gather", name, self.constant(np.asarray(places, np.int64)), axis=1)


_TYPES: Mapping[str, int] = {"double": 11, "float": 1, "int": 7, "bool": 9, "text": 8}
"""As `TensorProto` numbers them."""
