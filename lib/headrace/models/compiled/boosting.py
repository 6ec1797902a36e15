"""Models of XGBoost, as its stage of Spark ML applies them: floats of 32 bits throughout."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.models.compiled.columns import Column, Frame, Vector
from headrace.models.compiled.learners import give
from headrace.models.compiled.stages import Arrays, Params, Step


def xgboost(params: Params, arrays: Arrays) -> Step:
    """Of two classes (`binary`), of more (`multiclass`), or of a number (`regression`); `booster` holds its own bytes."""
    from scipy.special import expit, softmax
    from xgboost import Booster

    booster = Booster({"nthread": 1})
    booster.load_model(bytearray(arrays["booster"].tobytes()))
    booster.set_param({"nthread": 1})
    margin, missing, task = params["task"] != "regression", params["missing"], params["task"]
    last = params["iterations"]

    def told(vector: Vector) -> Any:
        return booster.inplace_predict(
            _single(vector),
            predict_type="margin" if margin else "value",
            missing=missing,
            iteration_range=(0, last),
            validate_features=False,
        )

    def run(frame: Frame, rows: int) -> None:
        found = np.asarray(told(frame[params["input"]]))
        if task == "regression":
            frame[params["prediction"]] = Column(found.astype(np.float64))
            return
        if found.ndim == 1:
            yes = expit(found)
            raw, probability = np.stack([-found, found], axis=1), np.stack([1.0 - yes, yes], axis=1)
        else:
            raw, probability = found, softmax(found, axis=1)
        give(frame, params, raw.astype(np.float64), probability.astype(np.float64), probability.argmax(axis=1))

    return run


def _single(vector: Vector) -> npt.NDArray[np.float32]:
    """Floats of 32 bits, row by row."""
    with np.errstate(over="ignore"):  # beyond their reach is infinite, as in Java
        if any(getattr(part, "ndim", 0) != 1 for part in vector.parts):
            return vector.dense().astype(np.float32)
        columns = np.empty((len(vector.parts), len(vector)), np.float32)
        for row, part in zip(columns, vector.parts, strict=True):
            row[:] = part
    return np.ascontiguousarray(columns.T)
