"""The names of the metrics, as Spark ML's evaluators have them, and which way is better. Needs no Spark."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

Task = Literal["binary", "multiclass", "regression", "clustering", "recommendation", "anomaly", "topics"]

_CLASSES = {"accuracy": True, "f1": True, "logLoss": False, "weightedPrecision": True, "weightedRecall": True}

METRICS: dict[str, dict[str, bool]] = {
    "binary": {"areaUnderROC": True, "areaUnderPR": True, **_CLASSES},
    "multiclass": dict(_CLASSES),
    "regression": {"rmse": False, "mae": False, "r2": True, "mse": False, "concordance": True},
    "survival": {"concordance": True},
    "clustering": {"silhouette": True},
    "recommendation": {
        "ndcgAtK": True,
        "precisionAtK": True,
        "recallAtK": True,
        "meanAveragePrecisionAtK": True,
        "rmse": False,
    },
    "anomaly": {"logLikelihood": True, "flaggedShare": False},
    "topics": {"perplexity": False},
}
"""Task -> metric -> whether larger is better; `survival` is a regression whose label may be censored: a lower bound."""

DEFAULT_METRIC: dict[str, str] = {
    "binary": "areaUnderROC",
    "multiclass": "f1",
    "regression": "rmse",
    "survival": "concordance",
    "clustering": "silhouette",
    "recommendation": "ndcgAtK",
    "anomaly": "logLikelihood",
    "topics": "perplexity",
}
"""What a search optimizes when nothing is said."""

ALL_METRICS: tuple[str, ...] = tuple(dict.fromkeys(name for names in METRICS.values() for name in names))


RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys((name for name in ALL_METRICS if name != "logLikelihood"), (0.0, 1.0)),
    **dict.fromkeys(("rmse", "mae", "mse", "logLoss"), (0.0, math.inf)),
    "r2": (-math.inf, 1.0),
    "silhouette": (-1.0, 1.0),
    "perplexity": (1.0, math.inf),
}
"""Metric -> the values that it can have; what is not here has any."""


def larger_is_better(metric: str) -> bool:
    """Whether a larger value of this metric is the better one.

    >>> larger_is_better("areaUnderROC"), larger_is_better("rmse")
    (True, False)

    Raises:
        KeyError: If no task has a metric of this name.
    """
    for names in METRICS.values():
        if metric in names:
            return names[metric]
    raise KeyError(metric)


def task_named(way: str) -> str:
    """The task as the file has it: `survival` is a word that nobody writes."""
    return "regression with censored" if way == "survival" else way


def unknown_metric(metric: str, task: str | None, own: Iterable[str] = ()) -> str | None:
    """What is wrong with a metric's name, or None where nothing is.

    Args:
        metric: The name as written.
        task: `binary`, `multiclass`, `survival` and so on, or None while it is not known.
        own: Names of the user's metrics.
    """
    allowed = [*(METRICS[task] if task else ALL_METRICS), *own]
    if metric in allowed:
        return None
    close = [name for name in allowed if name.lower() == metric.lower().replace("_", "")]
    hint = f"; did you mean {close[0]!r}?" if close else ""
    of = f"the task {task_named(task)}" if task else "any task"
    return f"{metric!r} is no metric of {of}; write one of {', '.join(allowed)}{hint}"
