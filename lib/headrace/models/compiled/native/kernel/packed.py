"""Trees as the bytes that `Trees.java` reads.

Four trees are walked abreast, each step by step, so that none waits for the other's memory: they are as many as a multiple
of four, and a leaf leads to itself. Siblings stand side by side.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.models.compiled.trees import by_level

ABREAST = 4


@dataclass(frozen=True)
class Forest:
    """Trees that are added up.

    Attributes:
        nodes: Of all trees, tree by tree, each tree's root first: `tree`, `feature` (-1: a leaf), `threshold` (at or below
            it goes left), `left`, `right` (within the tree).
        value: What each node adds if it is a leaf, times its tree's weight.
        features: How many a row has.
        second: What it adds to another sum, of which the first is taken away then; None: there is no other.
        refuses: Whether a row of which one is missing has no answer.
        single: Whether features are floats of 32 bits, and sums as well. Missing ones go left where a split's feature is
            `features` more than it is.
        missing: A number that stands for a missing one; NaN: none.
        base: What is there before the first tree.
    """

    nodes: dict[str, Any]
    value: Any
    features: int
    second: Any = None
    refuses: bool = False
    single: bool = False
    missing: float = float("nan")
    base: float = 0.0

    @property
    def two(self) -> bool:
        """Whether there are two sums."""
        return self.second is not None


def packed(forest: Forest) -> bytes:
    """The bytes: big-endian, as Java reads them."""
    trees = _trees(forest)
    leaf_alone = {"feature": [0], "child": [-1], "threshold": [np.nan], "value": [0.0], "second": [0.0], "depth": 0}
    trees += [leaf_alone] * (-len(trees) % ABREAST)
    starts = np.cumsum([0, *(len(tree["feature"]) for tree in trees)])
    depths = np.array([tree["depth"] for tree in trees]).reshape(-1, ABREAST).max(axis=1)
    child = [start + np.asarray(tree["child"]) for start, tree in zip(starts, trees, strict=False)]
    integers = [starts[:-1], depths, _joined(trees, "feature"), np.concatenate(child)]
    doubles = [_joined(trees, name) for name in ("threshold", "value", *(["second"] if forest.two else []))]
    flags = forest.single * 1 + forest.refuses * 2 + forest.two * 4
    head = struct.pack(">4i2d", flags, forest.features, len(trees), int(starts[-1]), forest.base, forest.missing)
    written = [one.astype(">i4").tobytes() for one in integers] + [one.astype(">f8").tobytes() for one in doubles]
    return b"".join([head, *written])


def _joined(trees: list[dict[str, Any]], name: str) -> Any:
    return np.concatenate([np.asarray(tree[name]) for tree in trees])


def _trees(forest: Forest) -> list[dict[str, Any]]:
    """Each tree from the root down."""
    ends = np.flatnonzero(np.diff(forest.nodes["tree"], append=-1)) + 1
    return [_tree(forest, slice(start, end)) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _tree(forest: Forest, part: slice) -> dict[str, Any]:
    nodes = {name: forest.nodes[name][part] for name in ("feature", "threshold", "left", "right")}
    order = by_level(nodes["left"], nodes["right"])
    at = np.zeros(len(nodes["left"]), np.int64)  # some nodes may belong to no tree any more
    at[order] = np.arange(len(order))
    leaf = nodes["feature"][order] < 0
    made = {
        "feature": np.where(leaf, 0, nodes["feature"][order]),
        "child": np.where(leaf, np.arange(len(order)) - 1, at[nodes["left"][order]]),
        "threshold": np.where(leaf, np.nan, nodes["threshold"][order]),
        "value": np.where(leaf, forest.value[part][order], 0.0),
        "depth": _depth(nodes, order),
    }
    return made | ({"second": np.where(leaf, forest.second[part][order], 0.0)} if forest.two else {})


def _depth(nodes: dict[str, Any], order: Any) -> int:
    level = np.zeros(len(nodes["left"]), np.int64)
    for node in order:
        if nodes["feature"][node] >= 0:
            level[[nodes["left"][node], nodes["right"][node]]] = level[node] + 1
    return int(level.max())
