"""Which format a version goes to, and of those that it cannot go to the reason, and what is nearest."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from headrace.errors import ConfigError

FORMATS = {
    "spark": "the fitted pipeline as Spark ML saves it",
    "pickle": "a file for Python without Spark",
    "onnx": "one graph from raw columns to predictions",
    "pmml": "one document from raw columns to predictions",
    "xgboost": "the booster, and how raw columns become its features",
}
"""What can be written."""
REFUSED = {
    "pfa": "its last release is of 2015, and nothing that is kept up writes it from Spark ML",
    "mojo": "it is H2O's own form of H2O's own models: nothing else writes it",
    "pojo": "it is the Java source of H2O's own models: nothing else writes it",
    "hdf5": "it holds the weights of networks of Keras, and none of these models is one",
    "coreml": "its converters take no pipeline of Spark, and only Apple's systems run it, so that it could not be compared",
}
"""What is asked for and cannot be written, and why."""
COMPILED = (
    "xgboost", "logistic_regression", "linear_regression", "gbt", "random_forest", "decision_tree", "linear_svc",
    "naive_bayes", "generalized_linear_regression", "survival_regression", "isotonic_regression",
)  # fmt: skip
"""Estimators that have a form without Spark, as long as all of their preparation has."""
ENDLESS = ("survival_regression",)
"""Of these, estimators whose predictions may be infinite, which readers of PMML cannot say."""
PACKAGES = {"onnx": ("onnx", "onnxruntime"), "pmml": ("pypmml",)}
"""What a format needs here beyond Headrace's own requirements."""


def goes_to(estimator: str, task: str) -> tuple[str, ...]:
    """The formats of an estimator, the most portable one first."""
    from headrace.models.compiled.builder import TASKS  # NumPy and others, which `--help` has no use for

    if task not in TASKS or estimator not in COMPILED:
        return ("spark",)
    if estimator in ENDLESS:
        return ("onnx", "pickle", "spark")
    return ("onnx", "pmml", "pickle", *(["xgboost"] if estimator == "xgboost" else []), "spark")


def check_name(asked: str) -> None:
    """Refuse what is no format at all; one that cannot be written passes: what is nearest depends on the version.

    Raises:
        ConfigError: With those that there are.
    """
    if asked not in (*FORMATS, *REFUSED):
        raise ConfigError(f"--format {asked}: there is no such format; write any of {', '.join(FORMATS)}")
    missing = [name for name in PACKAGES.get(asked, ()) if find_spec(name) is None]
    if missing:
        raise ConfigError(f"--format {asked} needs {' and '.join(missing)}: pip install 'headrace[{asked}]'")


def check(asked: str, estimator: str, task: str) -> None:
    """Refuse a format that a version cannot go to.

    Raises:
        ConfigError: With the reason and the nearest format that works.
    """
    able = goes_to(estimator, task)
    if asked in REFUSED:
        raise refusal(asked, REFUSED[asked], able[0])
    if asked not in able:
        why = f"{estimator or task} ({task}) has no form without Spark"
        if asked == "xgboost":
            why = "it holds a booster of XGBoost, and this is " + (estimator or task)
        if asked == "pmml" and estimator in ENDLESS:
            why = f"predictions of {estimator} may be infinite, which readers of PMML cannot say"
        raise refusal(asked, why, able[0])


def refusal(asked: str, why: str, nearest: str) -> ConfigError:
    """That a format cannot be written, why, and what to do."""
    return ConfigError(
        f"--format {asked} cannot be written: {why}. The nearest that works: --format {nearest} ({FORMATS[nearest]})"
    )


def table() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Estimator, task, formats: for all that there are."""
    from headrace.config.checks.modelling import ESTIMATORS, TASK_ESTIMATORS
    from headrace.config.learning import TASKS

    for name in ESTIMATORS:
        found: dict[tuple[str, ...], list[str]] = {}
        for task in TASKS:
            if name in TASK_ESTIMATORS[task]:
                found.setdefault(goes_to(name, task), []).append(task)
        for formats, tasks in found.items():
            yield name, ", ".join(tasks), formats
    yield "ensemble", "", ("spark",)
    yield "segments", "", ("spark",)
    yield "one of your own", "", ("spark",)
