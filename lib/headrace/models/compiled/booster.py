"""What a booster of XGBoost is made of: its trees, what each adds to, and what is there before the first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.models.compiled.sql import NotCompiled

NUMBERS = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror")
"""Objectives whose margin is the number."""


@dataclass(frozen=True)
class Booster:
    """Trees of the rounds that count.

    Attributes:
        objective: XGBoost's name of it.
        nodes: Of all trees, tree by tree, each tree's root first: `tree`, `feature` (-1: a leaf), `threshold` (a float of
            32 bits; below it goes left), `left`, `right` (within the tree), `missing_left`, `value` (nodes, 1).
        group: Of each tree the output that it adds to.
        base: Of each output what is there before the first tree, as a margin.
    """

    objective: str
    nodes: dict[str, Any]
    group: Any
    base: Any

    @property
    def outputs(self) -> int:
        """How many sums there are."""
        return len(self.base)


def booster_of(params: Mapping[str, Any], arrays: Mapping[str, Any]) -> Booster:
    """The trees of a step of the compiled scorer.

    Args:
        params: `iterations`: rounds that count (0: all).
        arrays: `booster`: its bytes.

    Raises:
        NotCompiled: If it holds something else than trees that compare numbers.
    """
    learner = _learner(arrays)
    booster = learner["gradient_booster"]
    if booster["name"] != "gbtree":
        raise NotCompiled(f"the booster {booster['name']} of XGBoost")
    ends = booster["model"]["iteration_indptr"]
    last = ends[params["iterations"]] if params["iterations"] else ends[-1]
    if not last:
        raise NotCompiled("a booster of XGBoost without trees")
    parts = [_nodes(number, tree) for number, tree in enumerate(booster["model"]["trees"][:last])]
    nodes = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    group, objective = np.array(booster["model"]["tree_info"][:last]), learner["objective"]["name"]
    return Booster(objective, nodes, group, _base(learner, int(group.max()) + 1))


def _learner(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The booster as XGBoost writes it in JSON."""
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(bytearray(np.asarray(arrays["booster"]).tobytes()))
    return dict(json.loads(bytes(booster.save_raw("json")))["learner"])


def _nodes(number: int, tree: Mapping[str, Any]) -> dict[str, Any]:
    if any(tree["split_type"]) or tree["tree_param"].get("size_leaf_vector", "1") not in ("0", "1"):
        raise NotCompiled("trees of XGBoost that decide by sets of categories, or have vectors in their leaves")
    left, condition = np.array(tree["left_children"]), np.array(tree["split_conditions"], np.float32)
    return {
        "tree": np.full(len(left), number),
        "feature": np.where(left < 0, -1, tree["split_indices"]),
        "threshold": condition,
        "left": left,
        "right": np.array(tree["right_children"]),
        "missing_left": np.array(tree["default_left"], bool),
        "value": condition.astype(np.float64)[:, None],
    }


def _base(learner: Mapping[str, Any], outputs: int) -> Any:
    told = np.ravel(json.loads(learner["learner_model_param"]["base_score"])).astype(np.float64)
    if learner["objective"]["name"] == "binary:logistic":
        told = np.log(told / (1 - told))
    return np.broadcast_to(told, outputs).copy()
