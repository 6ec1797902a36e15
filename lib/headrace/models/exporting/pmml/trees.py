"""Trees as `TreeModel`, forests and boosted ones as `MiningModel` of these.

A node's first child asks, its second takes all others: a number that is missing goes there, as NaN does in Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from headrace.models.exporting.graphs.graph import NotExported
from headrace.models.exporting.pmml.learners import give, index, model, odds, shares, sides, told
from headrace.models.exporting.pmml.sheet import (
    Arrays,
    Cell,
    Frame,
    Params,
    Sheet,
    Vector,
    apply,
    constant,
    ref,
    written,
)
from headrace.models.exporting.pmml.stages import numbers

NODES = 200_000
"""Of all trees together: beyond, the document is no longer one that can be read."""
Leaf = Callable[[Element, int], None]
"""Writes what a leaf says into its node."""


class Trees:
    """Nodes of all trees, tree by tree, each tree's root first; as `compiled.trees.Forest` has them.

    Args:
        sheet: It is written to.
        arrays: `tree`, `feature` (-1: a leaf), `threshold`, `left`, `right` (within the tree).
        vector: The features.
    """

    def __init__(self, sheet: Sheet, arrays: Arrays, vector: Vector) -> None:
        self._sheet, self._arrays, self._names = sheet, arrays, dict[int, str]()
        if len(arrays["tree"]) > NODES:
            raise NotExported(f"trees of {len(arrays['tree']):,} nodes")
        self.starts = np.flatnonzero(np.diff(arrays["tree"], prepend=-1))
        every = numbers(sheet, vector)
        for place in sorted({*arrays["feature"][arrays["feature"] >= 0].tolist()}):
            self._names[place] = _name(sheet, every[place])

    def root(self, start: int, leaf: Leaf) -> Element:
        """A tree's nodes, one in the other."""
        made = Element("Node")
        SubElement(made, "True")
        self._fill(made, start, 0, leaf)
        return made

    def _fill(self, made: Element, start: int, node: int, leaf: Leaf) -> None:
        at = start + node
        feature = int(self._arrays["feature"][at])
        if feature < 0:
            leaf(made, at)
            return
        sides = [SubElement(made, "Node"), SubElement(made, "Node")]
        told = {"field": self._names[feature], **self._asks(at)}
        SubElement(sides[0], "SimplePredicate", told)
        SubElement(sides[1], "True")
        for side, one in zip(self._order(at), sides, strict=True):
            self._fill(one, start, int(self._arrays[side][at]), leaf)

    def _asks(self, at: int) -> dict[str, str]:
        return {"operator": "lessOrEqual", "value": written(self._arrays["threshold"][at])}

    def _order(self, at: int) -> tuple[str, str]:
        return "left", "right"


def _name(sheet: Sheet, one: Element) -> str:
    """The field of a feature."""
    plain = one.tag == "FieldRef" and "mapMissingTo" not in one.attrib
    return (one if plain else sheet.field(one, wanted="__feature", first=True)).attrib["field"]


def _several(sheet: Sheet, trees: Sequence[Element], method: str, function: str, target: str | None) -> Element:
    """Trees that are asked together; of a single one itself."""
    if len(trees) == 1:
        return trees[0]
    made = model(sheet, "MiningModel", function, {}, target)
    segments = SubElement(made, "Segmentation", {"multipleModelMethod": method})
    for number, tree in enumerate(trees):
        segment = SubElement(segments, "Segment", {"id": str(number + 1)})
        SubElement(segment, "True")
        segment.append(tree)
    return made


def _tree(sheet: Sheet, trees: Trees, start: int, leaf: Leaf, function: str, target: str | None) -> Element:
    more = {"splitCharacteristic": "binarySplit", "missingValueStrategy": "none"}
    made = model(sheet, "TreeModel", function, more, target)
    made.append(trees.root(start, leaf))
    return made


def forest(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """A tree or a forest that classifies: `value` are the shares of the classes in a leaf."""
    labels, target = params["classes"], params["target"]
    trees = Trees(sheet, arrays, frame[params["input"]])
    total = arrays["value"].sum(axis=1, keepdims=True)
    share = arrays["value"] / np.where(total == 0, 1.0, total)
    total = total[arrays["feature"] < 0]

    def leaf(made: Element, at: int) -> None:
        made.set("score", labels[int(share[at].argmax())])
        for label, count, part in zip(labels, arrays["value"][at], share[at], strict=True):
            told = {"value": label, "recordCount": written(count), "probability": written(part)}
            SubElement(made, "ScoreDistribution", told)

    if len(trees.starts) > 1 and (len(set(arrays["weights"].tolist())) > 1 or not np.allclose(total, 1)):
        raise NotExported("a forest whose trees, or their leaves, weigh differently")
    every = [_tree(sheet, trees, int(start), leaf, "classification", target) for start in trees.starts]
    made = _several(sheet, every, "average", "classification", target)
    likely = _placed(made, lambda: shares(sheet, made, target, labels))
    prediction = Cell(None, "class")
    if len(labels) == 2:
        prediction = index(apply("greaterThan", likely[1].values, likely[0].values, missing="false"))
    give(sheet, frame, params, None, likely, prediction)


def _placed(made: Element, say: Callable[[], Any]) -> Any:
    """What a model says, its `Output` moved to where the schema of PMML wants it: right after `MiningSchema`."""
    found = say()
    output = made.find("Output")
    if output is not None:
        made.remove(output)
        made.insert(1, output)
    return found


def total(sheet: Sheet, trees: Trees, starts: Any, values: Any, wanted: str, last: bool = True) -> Element:
    """The sum of what trees say, each of which says its leaf's number; a reference to the sum.

    Args:
        sheet: It is written to.
        trees: All of them.
        starts: Where those that are added up start.
        values: Of all nodes.
        wanted: The sum's name.
        last: They are the document's model; otherwise one in a chain.
    """

    def leaf(node: Element, at: int) -> None:
        node.set("score", written(values[at]))

    every = [_tree(sheet, trees, int(start), leaf, "regression", None) for start in starts]
    made = _several(sheet, every, "sum", "regression", None)
    if last:
        found: Element = _placed(made, lambda: told(sheet, made, wanted))
        return found
    output = Element("Output")
    kinds = {"optype": "continuous", "dataType": "double", "feature": "predictedValue"}
    name = sheet.free(wanted)
    SubElement(output, "OutputField", {"name": name, **kinds})
    made.insert(1, output)
    sheet.segments.append(made)
    return ref(name)


def _votes(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> Element:
    trees = Trees(sheet, arrays, frame[params["input"]])
    weights = np.asarray(arrays["weights"])[np.unique(arrays["tree"], return_inverse=True)[1]]
    return total(sheet, trees, trees.starts, arrays["value"][:, 0] * weights, "__votes", params["last"])


def boosted(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Boosted trees of two classes."""
    margin = _votes(sheet, params, arrays, frame)
    above = apply("greaterThan", margin, constant(0.0), missing="false")
    likely = odds(sheet, margin, 2.0) if params.get("probability") else None
    give(sheet, frame, params, sides(margin), likely, index(above))


def values(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """A tree, a forest or boosted trees that give a number."""
    votes = _votes(sheet, params, arrays, frame)
    frame[params["prediction"]] = Cell(apply("/", votes, constant(float(params["count"]))))
