"""Models of XGBoost as nodes: features and thresholds are floats of 32 bits, leaves are added up in doubles."""

from __future__ import annotations

import numpy as np

from headrace.models.compiled.booster import NUMBERS, booster_of
from headrace.models.exporting.graphs.graph import Cell, Frame, Graph, NotExported, Vector
from headrace.models.exporting.graphs.learners import both, give, sides, softmax
from headrace.models.exporting.graphs.stages import Arrays, Params
from headrace.models.exporting.graphs.trees import Trees

TOLERANCE = 1e-5
"""XGBoost itself adds up floats of 32 bits; in doubles the sum is another in the seventh digit."""


def xgboost(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Of two classes, of more, or of a number."""
    booster = booster_of(params, arrays)
    objective, outputs = booster.objective, booster.outputs
    trees = Trees(**booster.nodes, mode="BRANCH_LT")
    features = graph.cast(frame[params["input"]].name, "float")
    missing = params["missing"]
    if missing is not None and not np.isnan(missing):
        same = graph.op("Equal", features, graph.constant(np.full((1, 1), missing, np.float32)))
        features = graph.op("Where", same, graph.constant(np.full((1, 1), np.nan, np.float32)), features)
    leaves = graph.op("Squeeze", trees.told(graph, features), graph.constant(np.array([2])))
    margins = graph.matrix(leaves, np.eye(outputs)[booster.group].T)
    margins = graph.op("Add", margins, graph.constant(booster.base[None, :]))
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
