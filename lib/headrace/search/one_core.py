"""Learners of one core: scikit-learn's, and the user's with its interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from headrace.search.recipe import Parameter, Recipe

if TYPE_CHECKING:
    from pyspark.ml import Estimator

Alone = Callable[[str, Mapping[str, Any], int], Any]
PACKAGES = ("scikit-learn",)


def spread(alone: Alone) -> Callable[[str, Mapping[str, Any], int, int], Estimator]:
    """As `Recipe.build` has it: the learner as an estimator of Spark ML."""

    def build(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
        from headrace.models.single_node import SingleNode

        return SingleNode(alone(task, params, seed), task != "regression")

    return build


def is_learner(kind: type) -> bool:
    """Whether a class has scikit-learn's interface."""
    return all(callable(getattr(kind, name, None)) for name in ("fit", "predict", "get_params", "set_params"))


def _boosting(task: str, params: Mapping[str, Any], seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    made = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return made(
        max_iter=int(params["trees"]),
        max_leaf_nodes=int(params["leaves"]),
        learning_rate=params["learning_rate"],
        min_samples_leaf=int(params["min_rows"]),
        l2_regularization=params["regularization"],
        max_features=params["colsample"],
        early_stopping=False,
        random_state=seed,
    )


def _extra_trees(task: str, params: Mapping[str, Any], seed: int) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    made = ExtraTreesRegressor if task == "regression" else ExtraTreesClassifier
    return made(
        n_estimators=int(params["trees"]),
        min_samples_leaf=int(params["min_rows"]),
        max_features=params["colsample"],
        random_state=seed,
        n_jobs=1,
    )


ONE_CORE: dict[str, Recipe] = {
    "hist_gradient_boosting": Recipe(
        tasks=("binary", "multiclass", "regression"),
        kind="native",
        first={
            "trees": 200,
            "leaves": 31,
            "learning_rate": 0.08,
            "min_rows": 20,
            "regularization": 1.0,
            "colsample": 0.5,
        },
        space={
            "trees": Parameter(80, 400, "int"),
            "leaves": Parameter(8, 63, "int"),
            "learning_rate": Parameter(0.02, 0.2, "log"),
            "min_rows": Parameter(2, 100, "log"),
            "regularization": Parameter(0.01, 20.0, "log"),
            "colsample": Parameter(0.2, 1.0),
        },
        build=spread(_boosting),
        iterations="trees",
        alone=_boosting,
        packages=PACKAGES,
    ),
    "extra_trees": Recipe(
        tasks=("binary", "multiclass", "regression"),
        kind="tree",
        first={"trees": 100, "min_rows": 5, "colsample": 0.3},
        space={
            "trees": Parameter(50, 300, "int"),
            "min_rows": Parameter(1, 50, "log"),
            "colsample": Parameter(0.1, 1.0),
        },
        build=spread(_extra_trees),
        iterations="trees",
        alone=_extra_trees,
        packages=PACKAGES,
    ),
}
"""In the order in which their first points are tried."""
