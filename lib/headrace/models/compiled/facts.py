"""What saved models of Spark ML and XGBoost are made of, as the steps of the compiled scorer want it."""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace.models.compiled.saved import Saved, matrix, nodes, vector
from headrace.models.compiled.sql import NotCompiled

Facts = tuple[dict[str, Any], dict[str, Any]]
"""What JSON can hold, and arrays."""


def logistic(stage: Saved) -> Facts:
    """Coefficients of a logistic regression."""
    row = stage.row
    if row["isMultinomial"] and row["numClasses"] == 2:
        raise NotCompiled("a logistic regression of two classes with two margins")
    weights, intercepts = matrix(row["coefficientMatrix"]), vector(row["interceptVector"])
    return {"threshold": stage.param("threshold", 0.5)}, {"weights": weights, "intercepts": intercepts}


def _weighted(stage: Saved) -> dict[str, Any]:
    row = stage.row
    return {"weights": vector(row["coefficients"])[None, :], "intercepts": np.array([row["intercept"]])}


def machine(stage: Saved) -> Facts:
    """Coefficients of a support vector machine."""
    return {"threshold": stage.param("threshold", 0.0)}, _weighted(stage)


_CANONICAL = {"gaussian": "identity", "binomial": "logit", "poisson": "log", "gamma": "inverse"}


def linear(stage: Saved) -> Facts:
    """Coefficients of a linear regression, and the link of a generalised one, or of one of times until an event."""
    if stage.kind == "LinearRegressionModel":
        return {"link": "identity"}, _weighted(stage)
    if stage.kind == "AFTSurvivalRegressionModel":
        if stage.param("quantilesCol"):
            raise NotCompiled("AFTSurvivalRegression with quantiles")
        return {"link": "log"}, _weighted(stage)
    family = str(stage.param("family")).lower()
    link = str(stage.param("link") or _CANONICAL.get(family, family)).lower()
    if link not in ("identity", "log", "inverse", "sqrt", "logit") or stage.param("offsetCol"):
        raise NotCompiled(f"GeneralizedLinearRegression with link {link}, or an offset")
    return {"link": link, "family": family}, _weighted(stage)


def bayes(stage: Saved) -> Facts:
    """Logarithms that naive Bayes counts with."""
    model, row = stage.param("modelType"), stage.row
    if model not in ("gaussian", "multinomial", "complement"):
        raise NotCompiled(f"NaiveBayes of type {model}")
    arrays = {"pi": vector(row["pi"]), "theta": matrix(row["theta"])}
    return {"model": model}, arrays | ({"sigma": matrix(row["sigma"])} if model == "gaussian" else {})


def trees(stage: Saved) -> Facts:
    """Of forests the leaves' classes have shares, of a single tree counts; of all others the leaves have a number."""
    found, kind = nodes(stage.table()), stage.kind
    stats, value = found.pop("stats"), found.pop("prediction")[:, None]
    count, several = 1, int(found["tree"].max()) + 1
    if kind == "RandomForestClassificationModel":
        total = stats.sum(axis=1, keepdims=True)
        value = stats / np.where(total == 0, 1.0, total)
    elif kind == "DecisionTreeClassificationModel":
        value = stats
    weights = np.ones(several)
    if kind.startswith("GBT"):
        weights = stage.table("treesMetadata").sort_by("_1").column("_3").to_numpy()
    if kind == "RandomForestRegressionModel":
        count = several
    return {"count": count}, {**found, "value": value, "weights": weights}


def xgboost(stage: Saved) -> Facts:
    """The booster's own bytes."""
    from xgboost import Booster  # heavy, and not every model is one

    if any(stage.param(name) for name in ("base_margin_col", "pred_contrib_col", "features_cols")):
        raise NotCompiled(f"{stage.kind} with other columns than features")
    if stage.param("enable_sparse_data_optim"):
        raise NotCompiled(f"{stage.kind} of sparse vectors")
    booster = Booster()
    booster.load_model(bytearray(stage.text("model").encode()))
    last = (booster.attributes() or {}).get("best_iteration")
    task = "regression" if stage.kind == "SparkXGBRegressorModel" else "classes"
    params = {"task": task, "missing": stage.param("missing", float("nan")), "iterations": int(last or -1) + 1}
    return params, {"booster": np.frombuffer(bytes(booster.save_raw("ubj")), np.uint8)}
