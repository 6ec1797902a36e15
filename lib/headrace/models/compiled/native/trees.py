"""Trees as a function of all features, and what follows from the sum of what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from headrace.models.compiled.booster import NUMBERS, Booster, booster_of
from headrace.models.compiled.native.kernel.function import Function
from headrace.models.compiled.native.kernel.packed import Forest, packed
from headrace.models.compiled.native.printed import number
from headrace.models.compiled.native.said import Hot, Said, above
from headrace.models.compiled.sql import NotCompiled


def boosted(params: Mapping[str, Any], arrays: Any, parts: list[Any], refuses: bool) -> Said:
    """Boosted trees of two classes."""
    return _said(_forest(arrays, parts, refuses), parts, above(0.0), "1D - 1D / (1D + exp(2D * total))")


def values(params: Mapping[str, Any], arrays: Any, parts: list[Any], refuses: bool) -> Said:
    """Trees that give a number."""
    return _said(_forest(arrays, parts, refuses), parts, f"total / {number(float(params['count']))}", None)


def forest(params: Mapping[str, Any], arrays: Any, parts: list[Any], refuses: bool) -> Said:
    """A tree or a forest of two classes: the difference of both sums is enough where each leaf's shares are 1 together."""
    value, leaf = arrays["value"], arrays["feature"] < 0
    if value.shape[1] != 2:
        raise NotCompiled("more than two classes")
    if len(arrays["weights"]) == 1:  # counts of rows
        sums = value.sum(axis=1, keepdims=True)
        value = value / np.where(sums == 0, 1.0, sums)
    if not np.allclose(value[leaf].sum(axis=1), 1.0, rtol=1e-12, atol=0):
        raise NotCompiled("leaves that no row has come to")
    whole = number(2.0 * float(arrays["weights"].sum()))
    made = _forest({**arrays, "value": value}, parts, refuses)
    return _said(made, parts, above(0.0), f"0.5D + total / {whole}")


def xgboost(params: Mapping[str, Any], arrays: Any, parts: list[Any], refuses: bool) -> Said:
    """Trees of XGBoost."""
    booster = booster_of(params, arrays)
    a_number = params["task"] == "regression"
    if booster.outputs > 1 or refuses:
        raise NotCompiled("more than two classes, or rows that it refuses")
    if booster.objective not in (NUMBERS if a_number else ("binary:logistic",)):
        raise NotCompiled(f"the objective {booster.objective} of XGBoost")
    made = _floats(booster, len(parts), params["missing"])
    if a_number:
        return _said(made, parts, "total", None)
    likely = "cast(cast(1D / (float(1) + cast(exp(-total) as float)) as float) as double)"  # step by step in 32 bits
    return _said(made, parts, f"if({likely} > 0.5D, 1D, 0D)", likely)


def _forest(arrays: Any, parts: list[Any], refuses: bool) -> Forest:
    """Trees of Spark."""
    weighted = arrays["value"] * arrays["weights"][np.unique(arrays["tree"], return_inverse=True)[1]][:, None]
    second = weighted[:, 1] if weighted.shape[1] == 2 else None
    return Forest(arrays, weighted[:, 0], len(parts), second, refuses)


def _floats(booster: Booster, features: int, missing: float | None) -> Forest:
    """Trees of XGBoost: what is below a threshold is at most the float before it."""
    nodes = booster.nodes
    split = nodes["feature"] >= 0
    before = np.nextafter(nodes["threshold"], np.float32(-np.inf)).astype(np.float64)
    if not np.isfinite(before[split]).all():
        raise NotCompiled("trees of XGBoost with a threshold that is no number")
    feature = nodes["feature"] + np.where(split & nodes["missing_left"], features, 0)
    gap = float("nan") if missing is None else float(np.float32(missing))
    return Forest(
        {**nodes, "feature": feature, "threshold": before}, nodes["value"][:, 0], features,
        single=True, missing=gap, base=float(booster.base[0]),
    )  # fmt: skip


def _said(made: Forest, parts: list[Any], prediction: str, probability: str | None) -> Said:
    if any(isinstance(part, Hot) for part in parts):
        raise NotCompiled("trees over a 1 at the place of a text")
    narrowed, asked = (made, parts) if made.refuses else _narrowed(made, parts)
    function = Function(packed(narrowed))
    total = f"{function.name}(array({', '.join(part.sql for part in asked)}))"
    return Said(total, prediction, probability, function)


def _narrowed(made: Forest, parts: list[Any]) -> tuple[Forest, list[Any]]:
    """With the features alone that a split looks at."""
    feature = made.nodes["feature"]
    split = feature >= 0
    used = np.unique(feature[split] % made.features) if split.any() else np.array([0])
    place = np.searchsorted(used, feature % made.features) + np.where(feature >= made.features, len(used), 0)
    nodes = {**made.nodes, "feature": np.where(split, place, -1)}
    return replace(made, nodes=nodes, features=len(used)), [parts[at] for at in used]
