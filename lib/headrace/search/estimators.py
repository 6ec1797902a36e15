"""The estimators that a search knows, as data. Spark and XGBoost are imported when one is built."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.config.metrics import task_named
from headrace.errors import ConfigError
from headrace.search.classic import CLASSIC, one_vs_rest
from headrace.search.factors import RECOMMENDING
from headrace.search.grouping import GROUPING
from headrace.search.one_core import ONE_CORE
from headrace.search.recipe import Kind, Parameter, Recipe

if TYPE_CHECKING:
    from pyspark.ml import Estimator

__all__ = ["DEFAULTS", "ESTIMATORS", "Kind", "Parameter", "Recipe", "check_names", "chosen"]

DEFAULTS = {
    "binary": ("xgboost", "logistic_regression", "gbt", "random_forest"),
    "multiclass": ("xgboost", "logistic_regression", "random_forest"),
    "regression": ("xgboost", "linear_regression", "gbt", "random_forest"),
    "survival": ("survival_regression",),
    "clustering": ("kmeans", "bisecting_kmeans", "gaussian_mixture"),
    "recommendation": ("als",),
    "anomaly": ("gaussian_mixture",),
    "topics": ("lda",),
}
"""What is tried where nobody wrote a list."""


def _linear(task: str, params: Mapping[str, float], seed: int, workers: int) -> Estimator:
    options: dict[str, Any] = {
        "regParam": params["regularization"],
        "elasticNetParam": params["l1_ratio"],
        "maxIter": 60,
        "standardization": False,
    }
    if task == "regression":
        from pyspark.ml.regression import LinearRegression

        return LinearRegression(**options)
    from pyspark.ml.classification import LogisticRegression

    return LogisticRegression(**options)


def _random_forest(task: str, params: Mapping[str, float], seed: int, workers: int) -> Estimator:
    from pyspark.ml.classification import RandomForestClassifier
    from pyspark.ml.regression import RandomForestRegressor

    made = RandomForestRegressor if task == "regression" else RandomForestClassifier
    return made(
        numTrees=int(params["trees"]),
        maxDepth=int(params["depth"]),
        minInstancesPerNode=int(params["min_rows"]),
        subsamplingRate=0.7,
        maxMemoryInMB=512,
        seed=seed,
    )


def _gbt(task: str, params: Mapping[str, float], seed: int, workers: int) -> Estimator:
    from pyspark.ml.classification import GBTClassifier
    from pyspark.ml.regression import GBTRegressor

    made = GBTRegressor if task == "regression" else GBTClassifier
    boosted = made(
        maxIter=int(params["trees"]),
        maxDepth=int(params["depth"]),
        stepSize=params["learning_rate"],
        subsamplingRate=0.7,
        minInstancesPerNode=10,
        maxMemoryInMB=512,
        seed=seed,
    )
    return one_vs_rest(boosted) if task == "multiclass" else boosted


def _boosting(params: Mapping[str, float], seed: int) -> dict[str, Any]:
    """XGBoost's parameters, wherever it runs."""
    return {
        "n_estimators": int(params["trees"]),
        "max_depth": int(params["depth"]),
        "learning_rate": params["learning_rate"],
        "min_child_weight": params["min_child_weight"],
        "subsample": params["subsample"],
        "colsample_bytree": params["colsample"],
        "reg_lambda": params["regularization"],
        "tree_method": "hist",
        "random_state": seed,
        "verbosity": 0,
    }


def _xgboost_alone(task: str, params: Mapping[str, float], seed: int) -> Any:
    from xgboost import XGBClassifier, XGBRegressor

    made = XGBRegressor if task == "regression" else XGBClassifier
    return made(n_jobs=1, **_boosting(params, seed))


def _xgboost(task: str, params: Mapping[str, float], seed: int, workers: int) -> Estimator:
    from xgboost.spark import SparkXGBClassifier, SparkXGBRegressor

    logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)  # else it tells of every fit
    made = SparkXGBRegressor if task == "regression" else SparkXGBClassifier
    return made(
        features_col="features",
        label_col="label",
        num_workers=workers,
        force_repartition=True,  # a barrier stage refuses unions and coalesced partitions before it
        verbose=False,
        **_boosting(params, seed),
    )


ESTIMATORS: dict[str, Recipe] = {
    "xgboost": Recipe(
        tasks=("binary", "multiclass", "regression"),
        kind="native",
        first={  # strong on some 10^5 rows and 80 features: shallow, few columns a tree, heavy leaves
            "trees": 250,
            "depth": 6,
            "learning_rate": 0.08,
            "min_child_weight": 20,
            "subsample": 0.8,
            "colsample": 0.4,
            "regularization": 5.0,
        },
        space={
            "trees": Parameter(150, 400, "int"),
            "depth": Parameter(4, 9, "int"),
            "learning_rate": Parameter(0.03, 0.15, "log"),
            "min_child_weight": Parameter(0.2, 80, "log"),  # it sums p (1 - p): many rows of a rare class weigh little
            "subsample": Parameter(0.6, 1.0),
            "colsample": Parameter(0.2, 0.7),
            "regularization": Parameter(1.0, 20.0, "log"),
        },
        build=_xgboost,
        iterations="trees",
        alone=_xgboost_alone,
        packages=("xgboost-cpu",),
    ),
    "logistic_regression": Recipe(
        tasks=("binary", "multiclass"),
        kind="linear",
        first={"regularization": 0.0001, "l1_ratio": 0.0},  # 0.001 hides the words of texts, a row of which is 1 long
        space={"regularization": Parameter(1e-5, 0.3, "log"), "l1_ratio": Parameter(0.0, 1.0)},
        build=_linear,
    ),
    "linear_regression": Recipe(
        tasks=("regression",),
        kind="linear",
        first={"regularization": 0.01, "l1_ratio": 0.0},
        space={"regularization": Parameter(1e-5, 10.0, "log"), "l1_ratio": Parameter(0.0, 1.0)},
        build=_linear,
    ),
    "gbt": Recipe(
        tasks=("binary", "multiclass", "regression"),
        kind="tree",
        first={"trees": 25, "depth": 5, "learning_rate": 0.2},
        space={
            "trees": Parameter(10, 40, "int"),
            "depth": Parameter(3, 6, "int"),
            "learning_rate": Parameter(0.05, 0.4, "log"),
        },
        build=_gbt,
        iterations="trees",
    ),
    "random_forest": Recipe(
        tasks=("binary", "multiclass", "regression"),
        kind="tree",
        first={"trees": 20, "depth": 8, "min_rows": 10},
        space={
            "trees": Parameter(10, 40, "int"),
            "depth": Parameter(5, 10, "int"),
            "min_rows": Parameter(1, 50, "log"),
        },
        build=_random_forest,
        iterations="trees",
    ),
    **CLASSIC,
    **ONE_CORE,
    **GROUPING,
    **RECOMMENDING,
}
"""In the order in which their first points are tried."""


def check_names(named: Sequence[str], recipes: Mapping[str, Recipe] = ESTIMATORS) -> None:
    """Refuse estimators that nobody knows.

    Raises:
        ConfigError: With what is allowed.
    """
    unknown = [name for name in named if name not in recipes]
    if unknown:
        raise ConfigError(f"search.estimators: {', '.join(unknown)} is no estimator; write any of {', '.join(recipes)}")


def chosen(
    named: Sequence[str], task: str, explicit: bool, recipes: Mapping[str, Recipe] = ESTIMATORS
) -> tuple[str, ...]:
    """The estimators of a search, in the order in which they are tried.

    Args:
        named: From the configuration.
        task: What is learned.
        explicit: Whether somebody wrote the list: then one that cannot learn the task is a mistake; else the task's
            default list is taken.
        recipes: All that there are, in the order in which they are tried.

    Raises:
        ConfigError: If a named estimator cannot learn the task.
    """
    names = tuple(named) if explicit else DEFAULTS[task]
    check_names(names, recipes)
    wrong = sorted(name for name in set(names) if task not in recipes[name].tasks)
    if wrong:
        labels = {"binary": "a binary label", "multiclass": "a multiclass label", "regression": "a regression label"}
        what = labels.get(task, f"the task {task_named(task)}")
        able = ", ".join(name for name, one in recipes.items() if task in one.tasks)
        raise ConfigError(
            f"search.estimators: {', '.join(wrong)} cannot learn {what}; write any of {able}, or leave the list out"
        )
    return tuple(name for name in recipes if name in names)
