"""Trees as `TreeEnsembleRegressor`, with the very numbers that Spark gives.

Each tree tells the number of its leaf, an integer that any float holds: what the leaf says is looked up and added up in
doubles afterwards, for the operator gives floats of 32 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.models.exporting.graphs.graph import Cell, Frame, Graph, Vector
from headrace.models.exporting.graphs.learners import both, give, shares, sides
from headrace.models.exporting.graphs.stages import Arrays, Params


@dataclass(frozen=True)
class Trees:
    """Nodes of all trees, tree by tree, each tree's root first.

    Attributes:
        tree: Which tree.
        feature: That decides; -1: a leaf.
        threshold: Of the feature.
        left: Where it goes if it meets `mode`, within the tree.
        right: Where else.
        value: (nodes, outputs), of the leaves.
        mode: `BRANCH_LEQ` or `BRANCH_LT`.
        missing_left: Where NaN goes left.
    """

    tree: Any
    feature: Any
    threshold: Any
    left: Any
    right: Any
    value: Any
    mode: str = "BRANCH_LEQ"
    missing_left: Any = None

    def told(self, graph: Graph, features: str) -> str:
        """What each tree's leaf says of each row: (rows, trees, outputs)."""
        from onnx import numpy_helper

        starts = np.flatnonzero(np.diff(self.tree, prepend=-1))
        number = np.repeat(np.arange(len(starts)), np.diff([*starts, len(self.tree)]))
        within, leaf = np.arange(len(self.tree)) - starts[number], self.feature < 0
        of_leaf = np.cumsum(leaf) - 1
        first = np.array([of_leaf[one] + (not leaf[one]) for one in starts])  # the first leaf of each tree
        missing = np.zeros(len(leaf), np.int64) if self.missing_left is None else self.missing_left.astype(np.int64)
        places = graph.op(
            "TreeEnsembleRegressor", features, domain="ai.onnx.ml", n_targets=len(starts), aggregate_function="SUM",
            nodes_treeids=number, nodes_nodeids=within, nodes_featureids=np.where(leaf, 0, self.feature),
            nodes_modes=[("LEAF" if one else self.mode) for one in leaf],
            nodes_truenodeids=np.where(leaf, 0, self.left), nodes_falsenodeids=np.where(leaf, 0, self.right),
            nodes_missing_value_tracks_true=np.where(leaf, 0, missing), target_treeids=number[leaf],
            target_nodeids=within[leaf], target_ids=number[leaf],
            **self._numbers(numpy_helper.from_array, leaf, (of_leaf - first[number])[leaf]),
        )  # fmt: skip
        whole = graph.op("Add", graph.cast(places, "int"), graph.constant(first[None, :]))
        return graph.op("Gather", graph.constant(self.value[leaf].astype(np.float64)), whole, axis=0)

    def _numbers(self, tensor: Any, leaf: Any, places: Any) -> dict[str, Any]:
        if self.threshold.dtype == np.float32:
            thresholds = np.where(leaf, np.float32(0), self.threshold)
            return {"nodes_values": thresholds, "target_weights": places.astype(np.float32)}
        thresholds = tensor(np.where(leaf, 0.0, self.threshold), "thresholds")
        return {
            "nodes_values_as_tensor": thresholds,
            "target_weights_as_tensor": tensor(places.astype(float), "places"),
        }


def _votes(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> str:
    """The sum over all trees of their leaves' values, each times the tree's weight: (rows, outputs)."""
    weights = np.asarray(arrays["weights"])[np.unique(arrays["tree"], return_inverse=True)[1]]
    nodes: dict[str, Any] = {
        name: np.asarray(arrays[name]) for name in ("tree", "feature", "threshold", "left", "right")
    }
    trees = Trees(**nodes, value=arrays["value"] * weights[:, None])
    return graph.sum(trees.told(graph, frame[params["input"]].name), 1, keep=False)


def forest(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """A tree or a forest that classifies: `value` are the shares of the classes in a leaf."""
    votes = _votes(graph, params, arrays, frame)
    give(graph, frame, params, Vector(votes, arrays["value"].shape[1]), shares(graph, votes), graph.best(votes))


def boosted(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Boosted trees of two classes."""
    margin = _votes(graph, params, arrays, frame)
    above = graph.op("Greater", margin, graph.number(0.0))
    give(graph, frame, params, sides(graph, margin), both(graph, margin, 2.0), above)


def values(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """A tree, a forest or boosted trees that give a number."""
    votes = _votes(graph, params, arrays, frame)
    frame[params["prediction"]] = Cell(graph.op("Div", votes, graph.number(float(params["count"]))))
