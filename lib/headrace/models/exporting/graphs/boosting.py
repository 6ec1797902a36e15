"""Models of XGBoost as nodes: features and thresholds are floats of 32 bits, leaves are added up in doubles."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from headrace.models.exporting.graphs.graph import Cell, Frame, Graph, NotExported, Vector
from headrace.models.exporting.graphs.learners import both, give, sides, softmax
from headrace.models.exporting.graphs.stages import Arrays, Params
from headrace.models.exporting.graphs.trees import Trees

TOLERANCE = 1e-5
"""XGBoost itself adds up floats of 32 bits; in doubles the sum is another in the seventh digit."""

NUMBERS = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror")
"""Objectives whose margin is the number."""


def xgboost(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Of two classes, of more, or of a number."""
    learner = learner_of(arrays)
    objective = learner["objective"]["name"]
    trees, group = trees_of(learner, params["iterations"])
    features = graph.cast(frame[params["input"]].name, "float")
    missing = params["missing"]
    if missing is not None and not np.isnan(missing):
        same = graph.op("Equal", features, graph.constant(np.full((1, 1), missing, np.float32)))
        features = graph.op("Where", same, graph.constant(np.full((1, 1), np.nan, np.float32)), features)
    leaves = graph.op("Squeeze", trees.told(graph, features), graph.constant(np.array([2])))
    outputs = int(group.max()) + 1
    margins = graph.matrix(leaves, np.eye(outputs)[group].T)
    base = base_of(learner, outputs)
    margins = graph.op("Add", margins, graph.constant(base[None, :]))
    if params["task"] == "regression":
        if objective not in NUMBERS:
            raise NotExported(f"the objective {objective} of XGBoost")
        frame[params["prediction"]] = Cell(margins)
    elif outputs == 1 and objective == "binary:logistic":
        probability = both(graph, margins)
        give(graph, frame, params, sides(graph, margins), probability, graph.best(probability))
    elif objective.startswith("multi:soft"):
        probability = softmax(graph, margins)
        give(graph, frame, params, Vector(margins, outputs), probability, graph.best(probability))
    else:
        raise NotExported(f"the objective {objective} of XGBoost")


def learner_of(arrays: Arrays) -> dict[str, Any]:
    """The booster as XGBoost writes it in JSON."""
    from xgboost import Booster

    booster = Booster()
    booster.load_model(bytearray(np.asarray(arrays["booster"]).tobytes()))
    return dict(json.loads(bytes(booster.save_raw("json")))["learner"])


def base_of(learner: dict[str, Any], outputs: int) -> Any:
    """What is there before the first tree, as a margin."""
    told = np.ravel(json.loads(learner["learner_model_param"]["base_score"])).astype(np.float64)
    if learner["objective"]["name"] == "binary:logistic":
        told = np.log(told / (1 - told))
    return np.broadcast_to(told, outputs).copy()


def trees_of(learner: dict[str, Any], rounds: int) -> tuple[Trees, Any]:
    """The trees of the rounds that count (0: all), and which output each adds to."""
    if learner["gradient_booster"]["name"] != "gbtree":
        raise NotExported(f"the booster {learner['gradient_booster']['name']} of XGBoost")
    model = learner["gradient_booster"]["model"]
    ends = model["iteration_indptr"]
    last = ends[rounds] if rounds else ends[-1]
    parts: dict[str, list[Any]] = {
        name: [] for name in ("tree", "feature", "threshold", "left", "right", "missing", "value")
    }
    for number, tree in enumerate(model["trees"][:last]):
        if any(tree["split_type"]) or tree["tree_param"].get("size_leaf_vector", "1") not in ("0", "1"):
            raise NotExported("trees of XGBoost that decide by sets of categories, or have vectors in their leaves")
        left, condition = np.array(tree["left_children"]), np.array(tree["split_conditions"], np.float32)
        leaf = left < 0
        parts["tree"].append(np.full(len(left), number))
        parts["feature"].append(np.where(leaf, -1, tree["split_indices"]))
        parts["threshold"].append(condition)
        parts["left"].append(left)
        parts["right"].append(np.array(tree["right_children"]))
        parts["missing"].append(np.array(tree["default_left"], bool))
        parts["value"].append(condition.astype(np.float64)[:, None])
    whole = {name: np.concatenate(one) for name, one in parts.items()}
    missing = whole.pop("missing")
    return Trees(**whole, mode="BRANCH_LT", missing_left=missing), np.array(model["tree_info"][:last])
