"""The search space in hyperopt's terms, and points of it in ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hyperopt import Trials, hp
from hyperopt.base import JOB_STATE_DONE, JOB_STATE_NEW

from headrace.search.estimators import ESTIMATORS
from headrace.search.recipe import Parameter, Recipe

CHOICE = "estimator"


@dataclass(frozen=True)
class Point:
    """An estimator and its hyperparameters."""

    estimator: str
    params: Mapping[str, Any]

    @classmethod
    def of(cls, sample: Mapping[str, Any], recipes: Mapping[str, Recipe] = ESTIMATORS) -> Point:
        """From what hyperopt hands to an objective; whole numbers where the space has them."""
        estimator = str(sample[CHOICE])
        space = recipes[estimator].space
        return cls(estimator, {name: _rounded(space[name], sample[name]) for name in space})


def lessened(point: Point, recipe: Recipe, share: float) -> Point:
    """A point with a share of its iterations, at least one; as it is, if its estimator has none.

    >>> lessened(Point("gbt", {"trees": 20, "depth": 3}), ESTIMATORS["gbt"], 1 / 9).params
    {'trees': 2, 'depth': 3}
    """
    if recipe.iterations is None:
        return point
    return Point(
        point.estimator,
        {**point.params, recipe.iterations: max(1, round(share * point.params[recipe.iterations]))},
    )


def _rounded(parameter: Parameter, value: Any) -> Any:
    if parameter.scale == "choice":
        return value
    return int(value) if parameter.scale == "int" else float(value)


def space(estimators: Sequence[str], recipes: Mapping[str, Recipe] = ESTIMATORS) -> Any:
    """The space of several estimators, each with its own hyperparameters."""
    return hp.choice(
        CHOICE,
        [
            {CHOICE: name} | {key: _node(f"{name}:{key}", one) for key, one in recipes[name].space.items()}
            for name in estimators
        ],
    )


def _node(label: str, parameter: Parameter) -> Any:
    if parameter.scale == "choice":
        return hp.choice(label, list(parameter.options))
    if parameter.scale == "steps":
        return hp.quniform(label, parameter.low, parameter.high, parameter.step)
    if parameter.scale == "int":
        return hp.uniformint(label, int(parameter.low), int(parameter.high))
    if parameter.scale == "log":
        return hp.loguniform(label, math.log(parameter.low), math.log(parameter.high))
    return hp.uniform(label, parameter.low, parameter.high)


def labels(estimators: Sequence[str], recipes: Mapping[str, Recipe] = ESTIMATORS) -> list[str]:
    """All of hyperopt's labels in the space."""
    return [CHOICE] + [f"{name}:{key}" for name in estimators for key in recipes[name].space]


def count(estimators: Sequence[str], recipes: Mapping[str, Recipe] = ESTIMATORS) -> float:
    """How many points there are; infinite where a range is of real numbers."""
    return sum(math.prod(one.count for one in recipes[name].space.values()) for name in estimators)


def first_points(estimators: Sequence[str], count: int, recipes: Mapping[str, Recipe] = ESTIMATORS) -> list[Point]:
    """The estimators' first points, at most `count`."""
    return [Point(name, dict(recipes[name].first)) for name in estimators][:count]


def _told(parameter: Parameter, value: Any) -> Any:
    """A value as hyperopt's history has it: of a choice its number."""
    return parameter.options.index(value) if parameter.scale == "choice" else value


def key_of(doc: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
    """What tells a point from others, of a record of hyperopt's."""
    return frozenset((label, found[0]) for label, found in doc["misc"]["vals"].items() if found)


def losses(
    trials: Trials, estimators: Sequence[str], recipes: Mapping[str, Recipe]
) -> list[tuple[Point, float | None]]:
    """The points of all trials of hyperopt's, also those being tried, and their losses: None, where there is none (yet)."""
    return [(_point(doc, estimators, recipes), _loss(doc["result"])) for doc in trials._dynamic_trials]


def _loss(result: Mapping[str, Any]) -> float | None:
    loss = result.get("loss")
    return None if loss is None or not math.isfinite(loss) else float(loss)


def _point(doc: Mapping[str, Any], estimators: Sequence[str], recipes: Mapping[str, Recipe]) -> Point:
    values = dict(key_of(doc))
    name = estimators[values[CHOICE]]
    space = recipes[name].space
    found = {key: values[f"{name}:{key}"] for key in space}
    meant = {k: one.options[found[k]] if one.scale == "choice" else found[k] for k, one in space.items()}
    return Point(name, {key: _rounded(space[key], value) for key, value in meant.items()})


def document(
    tid: int,
    point: Point,
    estimators: Sequence[str],
    result: Mapping[str, Any] | None = None,
    recipes: Mapping[str, Recipe] = ESTIMATORS,
) -> dict:
    """A record of hyperopt's of a point: to be tried, or finished with a result.

    Args:
        tid: hyperopt's number of the trial.
        point: What is or was tried.
        estimators: All that the space has, in its order.
        result: `{"status": "ok", "loss": ...}` or `{"status": "fail"}`; None for a point still to be tried.
        recipes: Of the estimators.
    """
    given: dict[str, Any] = {CHOICE: list(estimators).index(point.estimator)}
    space = recipes[point.estimator].space
    given |= {f"{point.estimator}:{key}": _told(space[key], value) for key, value in point.params.items()}
    every = labels(estimators, recipes)
    return {
        "state": JOB_STATE_NEW if result is None else JOB_STATE_DONE,
        "tid": tid,
        "spec": None,
        "result": {"status": "new"} if result is None else dict(result),
        "misc": {
            "tid": tid,
            "cmd": ("domain_attachment", "FMinIter_Domain"),
            "workdir": None,
            "idxs": {label: [tid] if label in given else [] for label in every},
            "vals": {label: [given[label]] if label in given else [] for label in every},
        },
        "exp_key": None,
        "owner": None,
        "version": 0,
        "book_time": None,
        "refresh_time": None,
    }
