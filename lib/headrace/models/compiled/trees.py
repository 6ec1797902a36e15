"""Trees of Spark ML, by the kernel of XGBoost, and with the very numbers that Spark gives.

XGBoost compares and adds floats of 32 bits, Spark's trees doubles. So a feature is given to it as its rank among the
thresholds that the trees have for it: a small whole number, compared exactly. And each tree tells the number of its leaf, not
its value: the values are looked up and added up here, as doubles, in Spark's order.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.models.compiled.columns import Column, Floats, Frame, Vector
from headrace.models.compiled.learners import both, give, shares, sides
from headrace.models.compiled.ranks import Ranks
from headrace.models.compiled.stages import Arrays, Params, Step

if TYPE_CHECKING:
    from xgboost import Booster

_NO_PARENT = 2**31 - 1


class Forest:
    """Trees, all of them at once.

    Args:
        arrays: Of all nodes, tree by tree, each tree's root first: `tree`, `feature` (-1: a leaf), `threshold`
            (at or below it goes left), `left`, `right` (within the tree), `value` (nodes, outputs); and `weights` of trees.
    """

    def __init__(self, arrays: Arrays) -> None:
        self.weights: Floats = arrays["weights"]
        decides = arrays["feature"] >= 0
        self.ranks = Ranks.of(arrays["feature"][decides], arrays["threshold"][decides])
        starts = np.flatnonzero(np.diff(arrays["tree"], prepend=-1))
        trees = [slice(a, b) for a, b in zip(starts, [*starts[1:], len(decides)], strict=True)]
        self.values = [arrays["value"][one][arrays["feature"][one] < 0] for one in trees]
        made = [self._tree(number, {name: arrays[name][one] for name in _NODES}) for number, one in enumerate(trees)]
        self.booster = _booster(made, max(1, len(self.ranks.places)))

    def _tree(self, number: int, nodes: dict[str, Any]) -> dict[str, Any]:
        """A tree as XGBoost has it: it compares ranks, and its leaves say their number. Siblings stand side by side."""
        order = by_level(nodes["left"], nodes["right"])
        at = np.empty(len(order), np.int64)
        at[order] = np.arange(len(order))
        feature, leaf = nodes["feature"][order], nodes["feature"][order] < 0
        sides = {name: np.where(leaf, -1, at[nodes[name][order]]) for name in ("left", "right")}
        features = np.where(leaf, 0, np.searchsorted(self.ranks.places, feature))
        cuts = (np.cumsum(nodes["feature"] < 0) - 1.0)[order]
        for place in np.flatnonzero(~leaf):
            known = self.ranks.cuts[features[place]].thresholds
            cuts[place] = np.searchsorted(known, nodes["threshold"][order[place]]) + 0.5
        parents = np.full(len(leaf), _NO_PARENT)
        for side in sides.values():
            parents[side[~leaf]] = np.flatnonzero(~leaf)
        size = len(leaf)
        return {
            "id": number, "left_children": sides["left"].tolist(), "right_children": sides["right"].tolist(),
            "parents": parents.tolist(), "split_indices": features.tolist(), "split_conditions": cuts.tolist(),
            "default_left": [0] * size, "split_type": [0] * size, "base_weights": [0.0] * size,
            "loss_changes": [0.0] * size, "sum_hessian": [1.0] * size, "categories": [], "categories_nodes": [],
            "categories_segments": [], "categories_sizes": [],
            "tree_param": {
                "num_deleted": "0", "num_feature": str(max(1, len(self.ranks.places))), "num_nodes": str(size),
                "size_leaf_vector": "1",
            },
        }  # fmt: skip

    def leaves(self, vector: Vector) -> npt.NDArray[np.int32]:
        """The number of each row's leaf in each tree: (trees, rows)."""
        columns = vector.picked(self.ranks.places)
        ranks = self.ranks(columns, len(vector)) if columns else np.zeros((len(vector), 1), np.float32)
        told = np.asarray(self.booster.inplace_predict(ranks, predict_type="margin"))
        return np.ascontiguousarray(told.reshape(len(vector), len(self.values)).T, dtype=np.int32)

    def votes(self, vector: Vector) -> Floats:
        """The sum over all trees of their leaves' values, each times the tree's weight: (rows, outputs)."""
        total = np.zeros((self.values[0].shape[1], len(vector)))
        for leaf, values, weight in zip(self.leaves(vector), self.values, self.weights, strict=True):
            for sums, value in zip(total, (values * weight).T, strict=True):
                sums += value.take(leaf)
        return total.T


_NODES = ("feature", "threshold", "left", "right")


def by_level(left: Any, right: Any) -> Any:
    """Nodes from the root down, siblings side by side: XGBoost takes the right one to follow the left."""
    order = [0]
    for node in order:
        order += [int(left[node]), int(right[node])] if left[node] >= 0 else []
    return np.array(order)


def _booster(trees: list[dict[str, Any]], features: int) -> Booster:
    """One output per tree, so that each tells its own leaf."""
    import xgboost

    count = len(trees)
    several = count > 1
    learner = {
        "attributes": {}, "feature_names": [], "feature_types": [],
        "gradient_booster": {
            "name": "gbtree",
            "model": {
                "gbtree_model_param": {"num_trees": str(count), "num_parallel_tree": "1"}, "trees": trees,
                "tree_info": list(range(count)), "iteration_indptr": [0, count],
            },
        },
        "learner_model_param": {
            "base_score": "0E0", "boost_from_average": "0", "num_class": str(count if several else 0),
            "num_feature": str(features), "num_target": "1",
        },
        "objective": {"name": "multi:softmax", "softmax_multiclass_param": {"num_class": str(count)}}
        if several
        else {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}},
    }  # fmt: skip
    made = xgboost.Booster({"nthread": 1})
    made.load_model(bytearray(json.dumps({"version": [3, 0, 0], "learner": learner}).encode()))
    made.set_param({"nthread": 1})
    return made


def forest(params: Params, arrays: Arrays) -> Step:
    """A tree or a forest that classifies: `value` are the shares of the classes in a leaf."""
    trees = Forest(arrays)

    def run(frame: Frame, rows: int) -> None:
        votes = trees.votes(frame[params["input"]])
        give(frame, params, votes, shares(votes), votes.argmax(axis=1))

    return run


def boosted(params: Params, arrays: Arrays) -> Step:
    """Boosted trees of two classes."""
    trees = Forest(arrays)

    def run(frame: Frame, rows: int) -> None:
        margins = trees.votes(frame[params["input"]])[:, 0]
        raw = sides(margins)
        give(frame, params, raw, both(raw[:, 0], 2.0), margins > 0)

    return run


def values(params: Params, arrays: Arrays) -> Step:
    """A tree, a forest or boosted trees that give a number; a forest's is the mean: divided by `count`."""
    trees, count = Forest(arrays), params["count"]

    def run(frame: Frame, rows: int) -> None:
        frame[params["prediction"]] = Column(trees.votes(frame[params["input"]])[:, 0] / count)

    return run
