"""The task, and whether estimators, metrics and gates go with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

from headrace.config.checks import preparing
from headrace.config.checks import tasks as task_keys
from headrace.config.file.complaints import meant
from headrace.config.hook_types import Estimator
from headrace.config.learning import UNLABELLED, TrainingSet
from headrace.config.metrics import ALL_METRICS, METRICS, RANGES, task_named
from headrace.config.sql import expressions as sql
from headrace.config.types import Pipeline

Found = tuple[str, str]

_ANY = ("factorization_machines", "hist_gradient_boosting", "extra_trees")
_CLASSIFIERS = (
    *("xgboost", "logistic_regression", "gbt", "random_forest", "decision_tree", "linear_svc", "naive_bayes"),
    *("multilayer_perceptron", *_ANY),
)
TASK_ESTIMATORS = {
    "binary": _CLASSIFIERS,
    "multiclass": _CLASSIFIERS,
    "regression": (
        *("xgboost", "linear_regression", "gbt", "random_forest", "decision_tree"),
        *("generalized_linear_regression", "survival_regression", "isotonic_regression", *_ANY),
    ),
    "survival": ("survival_regression",),
    "clustering": ("kmeans", "bisecting_kmeans", "gaussian_mixture"),
    "recommendation": ("als",),
    "anomaly": ("gaussian_mixture",),
    "topics": ("lda",),
}
PARAMETERS = {
    "xgboost": ("trees", "depth", "learning_rate", "min_child_weight", "subsample", "colsample", "regularization"),
    "logistic_regression": ("regularization", "l1_ratio"),
    "linear_regression": ("regularization", "l1_ratio"),
    "gbt": ("trees", "depth", "learning_rate"),
    "random_forest": ("trees", "depth", "min_rows"),
    "decision_tree": ("depth", "min_rows"),
    "linear_svc": ("regularization",),
    "naive_bayes": ("model", "smoothing"),
    "generalized_linear_regression": ("family", "regularization"),
    "multilayer_perceptron": ("layers", "neurons", "iterations"),
    "survival_regression": ("iterations",),
    "isotonic_regression": (),
    "factorization_machines": ("factors", "regularization", "step"),
    "hist_gradient_boosting": ("trees", "leaves", "learning_rate", "min_rows", "regularization", "colsample"),
    "extra_trees": ("trees", "min_rows", "colsample"),
    "kmeans": ("clusters",),
    "bisecting_kmeans": ("clusters",),
    "gaussian_mixture": ("clusters",),
    "als": ("rank", "regularization", "alpha"),
    "lda": ("topics", "doc_concentration", "topic_concentration"),
}
"""What is searched of each estimator."""
ESTIMATORS = tuple(dict.fromkeys(name for names in TASK_ESTIMATORS.values() for name in names))


def check(pipeline: Pipeline) -> Iterator[Found]:
    """Estimators and metrics that are unknown, or that the task does not have."""
    training = pipeline.training_set
    if training:
        yield from task_keys.check(pipeline, training)
    if training and training.task == "regression" and _condition(training):
        yield "training_set.task", "a regression needs a number; the label is true or false: write `task: binary`"
    task = task_of(pipeline)
    if training and training.split.folds_by == "stratified" and task and task not in preparing.CLASSES:
        yield "training_set.split.folds.by", f"stratified is for classes, and the task is {task}; write time or hash"
    if training and pipeline.search.nested and not training.split.folds:
        yield "search.nested", "it needs folds: write training_set.split.folds, as 5, or leave it out"
    folds = training.split.folds if training else None
    if training and pipeline.search.nested and folds:
        timed = training.split.folds_by == "time"
        if timed and folds.window == "sliding":
            told = "a search within a fold has only the stretch before it to learn from; write window: expanding"
            yield "training_set.split.folds.window", f"search.nested: {told}"
        elif folds.count < (2 if timed else 3):
            yield "training_set.split.folds.count", "search.nested: a search within one of two folds has none; write 3"
    if pipeline.search.algorithm == "optuna" and find_spec("optuna") is None:
        yield "search.algorithm", "optuna is not installed here: pip install 'headrace[optuna]', or write tpe"
    yield from _pruning(pipeline, task)
    way = training.way(task) if training else task
    yield from _estimators(pipeline, way)
    yield from _points(pipeline, way)
    yield from preparing.check(pipeline.search, way)
    metrics = {f"gates[{number}].metric": gate.metric for number, gate in enumerate(pipeline.gates)}
    metrics = {"search.metric": pipeline.search.metric, **metrics}
    own = list(pipeline.metrics)
    yield from _out_of_reach(pipeline)
    first: tuple[str, set[str]] | None = None
    for where, metric in metrics.items():
        if metric is None or metric in own:
            continue
        found = list(_metric(where, metric, way, own))
        yield from found
        tasks = {name for name, known in METRICS.items() if metric in known}
        if task or found:
            continue
        if first and not tasks & first[1]:
            yield where, f"{metric!r} is no metric of the task that has {first[0]!r}; take two of one task"
        first = (metric, tasks & first[1] if first and tasks & first[1] else tasks)


def _pruning(pipeline: Pipeline, task: str | None) -> Iterator[Found]:
    """Ways of pruning that the search cannot have."""
    pruning, training = pipeline.search.pruning, pipeline.training_set
    folds = training.split.folds if training else None
    if pruning.over and task and (task in UNLABELLED or task == "recommendation"):
        few = {"rows": "learns from a share of the rows", "folds": "judges by some of the folds"}
        what = few.get(pruning.over, "learns in a share of the iterations")
        yield "search.pruning", f"{pruning.kind} {what}, which says little of task {task}; leave it out"
    if not training or folds:
        return
    if pruning.kind == "racing":
        compares = "racing compares trials fold by fold"
        yield "search.pruning", f"{compares}; write training_set.split.folds: 5, or leave it out"
    elif pruning.over == "folds":
        needs = f"{pruning.kind} over folds needs some; write training_set.split.folds: 5"
        yield f"search.pruning.{pruning.kind}.over", f"{needs}, or over: rows"


def task_of(pipeline: Pipeline) -> str | None:
    """The task, where the file tells: as written, or by a label that is surely true or false."""
    training = pipeline.training_set
    if training is None or training.kind:
        return training.kind if training else None
    return "binary" if _condition(training) else None


def _condition(training: TrainingSet) -> bool:
    return sql.is_condition(training.future.aggregate if training.future else training.expression or "0")


def _estimators(pipeline: Pipeline, task: str | None) -> Iterator[Found]:
    allowed = TASK_ESTIMATORS.get(task, ESTIMATORS) if task else ESTIMATORS
    given = "estimators" in pipeline.search.model_fields_set
    for number, estimator in enumerate(pipeline.search.estimators if given else ()):
        name = estimator.name
        if estimator.class_ is None and name not in allowed:
            what = f"no estimator for {_named(task)}" if name in ESTIMATORS else "not a known estimator"
            yield (
                f"search.estimators[{number}]",
                f"{name!r} is {what}; allowed: {', '.join(allowed)}{meant(name, allowed)}",
            )

        elif estimator.class_ is None:
            yield from _parameters(f"search.estimators[{number}]", estimator)


def _named(way: str | None) -> str:
    why = ", for a censored label is only a lower bound" if way == "survival" else ""
    return f"the task {task_named(str(way))}{why}"


def _parameters(where: str, estimator: Estimator) -> Iterator[Found]:
    for key in ("params", "space", "first"):
        for name in getattr(estimator, key):
            yield from _parameter(f"{where}.{key}", estimator.name, name, PARAMETERS[estimator.name])


def _parameter(where: str, estimator: str, name: str, allowed: Sequence[str]) -> Iterator[Found]:
    if name not in allowed:
        yield where, f"{estimator} has no {name!r}; allowed: {', '.join(allowed)}{meant(name, allowed)}"


def _points(pipeline: Pipeline, way: str | None) -> Iterator[Found]:
    """Points that no estimator of the search has."""
    search = pipeline.search
    given = {one.name: one for one in search.estimators}
    names = tuple(given if "estimators" in search.model_fields_set else TASK_ESTIMATORS.get(way or "", ESTIMATORS))
    for number, point in enumerate(search.points):
        where, name = f"search.points[{number}]", point.get("estimator")
        if name not in names:
            said = f"{name!r} is none" if name else "there is no `estimator`"
            yield where, f"a point names an estimator of the search, and {said}; allowed: {', '.join(names)}"
            continue
        of = given.get(str(name)) or Estimator(name=str(name))
        allowed = [one for one in (*(() if of.class_ else PARAMETERS[of.name]), *of.space) if one not in of.params]
        for key, value in point.items():
            if key != "estimator" and "." not in key:  # those with a dot are choices of the preparation
                yield from _parameter(where, of.name, key, tuple(dict.fromkeys(allowed)))
            if key in of.space and not of.space[key].holds(value):
                yield where, f"{key} has the value {value!r}, which is outside of its space"


def _out_of_reach(pipeline: Pipeline) -> Iterator[Found]:
    """Bounds of gates that no model, or every model, fulfils."""
    for number, gate in enumerate(pipeline.gates):
        low, high = RANGES.get(gate.metric or "", (-math.inf, math.inf))
        for key in ("at_least", "at_most"):
            bound = getattr(gate, key)
            if bound is not None and gate.metric not in pipeline.metrics and not low <= bound <= high:
                yield f"gates[{number}].{key}", f"{bound:g} came; {gate.metric} lies between {low:g} and {high:g}"


def _metric(where: str, metric: str, task: str | None, own: list[str]) -> Iterator[Found]:
    allowed = [*(METRICS.get(task, ALL_METRICS) if task else ALL_METRICS), *own]
    if metric not in allowed:
        what = f"no metric of {_named(task)}" if metric in ALL_METRICS else "not a known metric"
        yield where, f"{metric!r} is {what}; allowed: {', '.join(allowed)}{meant(metric, allowed)}"
