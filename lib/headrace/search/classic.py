"""The classic estimators: support vectors, naive Bayes, one tree, generalised linear models, a perceptron, and so on.

Support vectors and one-against-the-rest give margins, no probabilities: a logistic regression over the margins (Platt,
Probabilistic outputs for support vector machines, 1999), fitted on the training rows, gives them in one more stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.search.recipe import Parameter, Recipe

if TYPE_CHECKING:
    from pyspark.ml import Estimator

SIDE, CALIBRATED = "__side", "__calibrated"
"""What an estimator without probabilities says, and the margins of the regression that makes probabilities."""


def platt(classifier: Any) -> Estimator:
    """A classifier of margins, and the logistic regression that makes probabilities of them.

    The margins keep Spark's name for them: one against the rest forgets any other when it is read again.
    """
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression

    regression = LogisticRegression(featuresCol="rawPrediction", regParam=1e-6, maxIter=100)
    return Pipeline(stages=[classifier.setPredictionCol(SIDE), regression.setRawPredictionCol(CALIBRATED)])


def one_vs_rest(classifier: Any) -> Estimator:
    """A binary classifier per class, against all others; probabilities by `platt`."""
    from pyspark.ml.classification import OneVsRest

    return platt(OneVsRest(classifier=classifier))


def _linear_svc(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    from pyspark.ml.classification import LinearSVC

    machine = LinearSVC(regParam=params["regularization"], maxIter=60, standardization=False)
    return one_vs_rest(machine) if task == "multiclass" else platt(machine)


def _naive_bayes(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import NaiveBayes
    from pyspark.ml.feature import MinMaxScaler

    # counts, as multinomial and complement take their features for, are never negative
    scaler = MinMaxScaler(inputCol="features", outputCol="__unit")
    bayes = NaiveBayes(featuresCol="__unit", modelType=params["model"], smoothing=params["smoothing"])
    return Pipeline(stages=[scaler, bayes])


def _decision_tree(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    from pyspark.ml.classification import DecisionTreeClassifier
    from pyspark.ml.regression import DecisionTreeRegressor

    made = DecisionTreeRegressor if task == "regression" else DecisionTreeClassifier
    depth, rows = int(params["depth"]), int(params["min_rows"])
    return made(maxDepth=depth, minInstancesPerNode=rows, maxMemoryInMB=512, seed=seed)


def _generalized_linear(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    from pyspark.ml.regression import GeneralizedLinearRegression

    family, link = str(params["family"]).split("/")
    return GeneralizedLinearRegression(family=family, link=link, regParam=params["regularization"], maxIter=25)


def _factorization(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    """Pairs of features by factors (Rendle, Factorization machines, ICDM 2010)."""
    from pyspark.ml.classification import FMClassifier
    from pyspark.ml.regression import FMRegressor

    made = FMRegressor if task == "regression" else FMClassifier
    machine = made(
        factorSize=int(params["factors"]),
        regParam=params["regularization"],
        stepSize=params["step"],
        maxIter=100,
        solver="adamW",
        seed=seed,
    )
    return one_vs_rest(machine) if task == "multiclass" else machine


def _perceptron(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    from headrace.search.deferred import Perceptron

    return Perceptron([int(params["neurons"])] * int(params["layers"]), int(params["iterations"]), seed)


def _survival(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    from headrace.search.deferred import Survival

    return Survival(int(params["iterations"]))


def _isotonic(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    from headrace.search.deferred import Isotonic

    return Isotonic()


CLASSIC: dict[str, Recipe] = {
    "decision_tree": Recipe(
        tasks=("binary", "multiclass", "regression"),
        kind="tree",
        first={"depth": 7, "min_rows": 20},
        space={"depth": Parameter(2, 12, "int"), "min_rows": Parameter(1, 100, "log")},
        build=_decision_tree,
    ),
    "linear_svc": Recipe(
        tasks=("binary", "multiclass"),
        kind="linear",
        first={"regularization": 0.001},
        space={"regularization": Parameter(1e-5, 1.0, "log")},
        build=_linear_svc,
    ),
    "naive_bayes": Recipe(
        tasks=("binary", "multiclass"),
        kind="linear",
        first={"model": "gaussian", "smoothing": 1.0},
        space={
            "model": Parameter(0, 2, "choice", ("gaussian", "multinomial", "complement")),
            "smoothing": Parameter(0.01, 10.0, "log"),
        },
        build=_naive_bayes,
    ),
    "generalized_linear_regression": Recipe(
        tasks=("regression",),
        kind="linear",
        first={"family": "gaussian/identity", "regularization": 0.01},
        space={  # a family that the label's values do not allow fails its trial, and the search goes on
            "family": Parameter(0, 3, "choice", ("gaussian/identity", "gaussian/log", "poisson/log", "gamma/log")),
            "regularization": Parameter(1e-5, 1.0, "log"),
        },
        build=_generalized_linear,
    ),
    "multilayer_perceptron": Recipe(
        tasks=("binary", "multiclass"),
        kind="linear",
        first={"layers": 1, "neurons": 16, "iterations": 60},
        space={
            "layers": Parameter(1, 3, "int"),
            "neurons": Parameter(4, 64, "log"),
            "iterations": Parameter(30, 150, "int"),
        },
        build=_perceptron,
        iterations="iterations",
    ),
    "survival_regression": Recipe(  # it has no regularisation, but that it may end early
        tasks=("regression", "survival"),
        kind="linear",
        first={"iterations": 100},
        space={"iterations": Parameter(10, 200, "int")},
        build=_survival,
        iterations="iterations",
    ),
    "isotonic_regression": Recipe(tasks=("regression",), kind="tree", first={}, space={}, build=_isotonic),
    "factorization_machines": Recipe(
        tasks=("binary", "multiclass", "regression"),
        kind="linear",
        first={"factors": 4, "regularization": 0.001, "step": 0.03},
        space={
            "factors": Parameter(2, 16, "int"),
            "regularization": Parameter(1e-6, 0.1, "log"),
            "step": Parameter(0.003, 0.3, "log"),
        },
        build=_factorization,
    ),
}
"""In the order in which their first points are tried."""
