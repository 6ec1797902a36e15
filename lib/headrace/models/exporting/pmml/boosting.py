"""Models of XGBoost as trees of PMML: it compares floats of 32 bits, PMML doubles.

A double is rounded to the nearest float before it is compared. So what is below a threshold after that is what is below the
middle between the threshold and the float before it; the middle itself goes to the one of both that is even.
"""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from headrace.models.compiled.booster import NUMBERS, booster_of
from headrace.models.exporting.graphs.graph import NotExported
from headrace.models.exporting.pmml.learners import give, index, odds, sides, softmax
from headrace.models.exporting.pmml.sheet import Arrays, Cell, Frame, Params, Sheet, Vector, apply, constant, written
from headrace.models.exporting.pmml.trees import Trees, total

_BEYOND = 2.0**128
"""The float after the greatest, if there were one."""


class Floats(Trees):
    """Trees that compare floats of 32 bits; what is missing goes left or right, as each node has it."""

    def __init__(self, sheet: Sheet, nodes: dict[str, Any], vector: Vector) -> None:
        super().__init__(sheet, nodes, vector)
        self._left = nodes["missing_left"]
        self._middle, self._odd = middle(nodes["threshold"])

    def _asks(self, at: int) -> dict[str, str]:
        below = ("lessThan", "lessOrEqual") if not self._left[at] else ("greaterOrEqual", "greaterThan")
        return {"operator": below[int(self._odd[at])], "value": written(self._middle[at])}

    def _order(self, at: int) -> tuple[str, str]:
        return ("right", "left") if self._left[at] else ("left", "right")


def middle(thresholds: Any) -> tuple[Any, Any]:
    """Below which doubles become floats below a threshold; and whether that itself does."""
    before = np.nextafter(thresholds, np.float32(-np.inf)).astype(np.float64)
    odd = (thresholds.view(np.int32) & 1).astype(bool)
    return (np.where(np.isinf(before), -_BEYOND, before) + thresholds.astype(np.float64)) / 2, odd


def xgboost(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Of two classes, of more, or of a number."""
    if params["missing"] is not None and not np.isnan(params["missing"]):
        raise NotExported("a number that XGBoost takes for missing")
    booster = booster_of(params, arrays)
    objective, base, values = booster.objective, booster.base, booster.nodes["value"][:, 0]
    trees = Floats(sheet, booster.nodes, frame[params["input"]])
    if params["task"] == "regression" and objective in NUMBERS:
        votes = total(sheet, trees, trees.starts, values, "__votes")
        frame[params["prediction"]] = Cell(apply("+", votes, constant(float(base[0]))))
    elif booster.outputs == 1 and objective == "binary:logistic":
        votes = total(sheet, trees, trees.starts, values, "__votes")
        margin = sheet.named(apply("+", votes, constant(float(base[0]))), wanted="__margin")
        likely = odds(sheet, margin)
        second = apply("greaterThan", likely[1].values, likely[0].values, missing="false")
        give(sheet, frame, params, sides(margin), likely, index(second))
    elif objective.startswith("multi:soft"):
        margins: list[Element] = []
        for at in range(booster.outputs):
            mine = trees.starts[booster.group == at]
            votes = total(sheet, trees, mine, values, f"__votes_{at}", last=False)
            margins.append(sheet.field(apply("+", votes, constant(float(base[at]))), wanted=f"__margin_{at}"))
        softmax(sheet, params, margins, frame)
    else:
        raise NotExported(f"the objective {objective} of XGBoost")
