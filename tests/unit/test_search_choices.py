"""What a search tries, without Spark."""

from __future__ import annotations

import json

import hyperopt
import pytest
from hyperopt.base import spec_from_misc

from headrace.config.checks.modelling import TASK_ESTIMATORS
from headrace.config.learning import Search
from headrace.config.types import Pipeline
from headrace.errors import ConfigError, DataError
from headrace.models.card import ModelCard, check_columns
from headrace.search import annealing, space
from headrace.search.estimators import DEFAULTS, ESTIMATORS, chosen
from headrace.search.space import Point
from headrace.search.stage import steps
from headrace.search.target import infer_task

DEFAULT = ("logistic_regression", "random_forest", "gbt", "xgboost")


def test_the_default_list_is_cut_to_the_task_and_a_named_one_is_not():
    assert chosen(DEFAULT, "binary", explicit=False) == ("xgboost", "logistic_regression", "gbt", "random_forest")
    assert chosen(DEFAULT, "multiclass", explicit=False) == ("xgboost", "logistic_regression", "random_forest")
    assert chosen(DEFAULT, "regression", explicit=False) == ("xgboost", "linear_regression", "gbt", "random_forest")
    with pytest.raises(ConfigError, match="linear_regression cannot learn a multiclass label"):
        chosen(["linear_regression"], "multiclass", explicit=True)
    with pytest.raises(ConfigError, match="catboost is no estimator; write any of xgboost"):
        chosen(["catboost"], "binary", explicit=True)


@pytest.mark.parametrize("names", [("xgboost",), ("xgboost", "logistic_regression", "gbt", "random_forest")])
def test_a_point_survives_hyperopt_and_json(names):
    for point in space.first_points(names, 9):
        doc = space.document(3, point, names)
        back = Point.of(hyperopt.space_eval(space.space(names), spec_from_misc(doc["misc"])))
        assert back == point
        assert Point(point.estimator, json.loads(json.dumps(dict(point.params)))) == point


def test_first_points_lie_within_the_space():
    for recipe in ESTIMATORS.values():
        assert recipe.first.keys() == recipe.space.keys()
        for name, one in recipe.space.items():
            first = recipe.first[name]
            assert first in one.options if one.scale == "choice" else one.low <= first <= one.high


def test_the_file_is_checked_against_the_estimators_that_there_are():
    for task, names in TASK_ESTIMATORS.items():
        assert set(names) == {name for name, recipe in ESTIMATORS.items() if task in recipe.tasks}
        assert set(DEFAULTS[task]) <= set(names)


@pytest.mark.parametrize("algorithm", [hyperopt.tpe.suggest, hyperopt.rand.suggest, annealing.suggest])
def test_history_of_an_earlier_run_is_understood_by_hyperopt(algorithm):
    names = ("xgboost", "logistic_regression")
    trials = hyperopt.Trials()
    docs = [
        space.document(0, Point("xgboost", ESTIMATORS["xgboost"].first), names, {"status": "ok", "loss": -0.7}),
        space.document(
            1, Point("logistic_regression", ESTIMATORS["logistic_regression"].first), names, {"status": "fail"}
        ),
    ]
    trials.insert_trial_docs(docs)
    trials.refresh()
    tried = []
    hyperopt.fmin(
        lambda sample: tried.append(Point.of(sample)) or float(len(tried)),
        space.space(names),
        algo=algorithm,
        max_evals=30,
        trials=trials,
        verbose=False,
        show_progressbar=False,
        return_argmin=False,
    )
    assert len(tried) == 28
    assert {point.estimator for point in tried} == set(names)
    assert all(isinstance(point.params["trees"], int) for point in tried if point.estimator == "xgboost")


@pytest.mark.parametrize(
    ("given", "most"),
    [
        ({}, 20),
        ({"timeout": "3 minutes"}, 1000),
        ({"timeout": "3 minutes", "max_evals": 4}, 4),
        ({"timeout": None}, 20),
    ],
)
def test_a_time_without_a_number_is_used_up(given, most):
    conf = Search.model_validate(given)
    assert conf.most_evals == most
    assert conf.open_ended == (most == 1000)
    assert conf.max_evals == given.get("max_evals", 20), "what names a search is as it was"


def test_the_task_follows_from_the_label():
    assert infer_task("string", ["yes", "no"]) == "binary"
    assert infer_task("int", list(range(21))) == "regression"
    assert infer_task("int", list(range(20))) == "multiclass"


def test_columns_that_differ_are_refused_with_the_difference():
    card = ModelCard("binary", {"a": "double", "b": "int"}, "boolean", (False, True))
    check_columns(card, {"b": "int", "a": "double", "more": "string"})
    with pytest.raises(DataError, match=r"\(2 of 2 differ(.|\n)*  - a double   \(missing\)\n  - b int\n  \+ b string"):
        check_columns(card, {"b": "string"})


def test_a_card_survives_json():
    card = ModelCard("multiclass", {"b": "int", "a": "double"}, "string", ("x", "y", "z"), ("id",), "gbt", {"trees": 3})
    back = ModelCard.from_dict(json.loads(card.to_json()))
    assert back == card
    assert list(back.features) == ["b", "a"]


def _pipeline(**search):
    return Pipeline.model_validate(
        {
            "pipeline": "demo",
            "tables": {"t": {"source": {"format": "csv", "path": "t.csv"}}},
            "training_set": {"from": "t", "label": "x"},
            "search": search,
        }
    )


def test_the_step_depends_on_the_search_and_not_on_the_gates():
    [step] = steps(_pipeline())
    changed = _pipeline().model_copy(update={"gates": ("any",)})
    assert steps(changed)[0].config == step.config
    assert steps(_pipeline(max_evals=3))[0].config != step.config
    timed = steps(_pipeline(timeout="3 minutes"))[0].config["search"]
    assert timed == {**step.config["search"], "timeout": "3 minutes"}
    numbered = steps(_pipeline(timeout="3 minutes", max_evals=20))[0].config
    assert numbered["search"] == timed, "the same numbers"
    assert numbered != steps(_pipeline(timeout="3 minutes"))[0].config, "but one ends after 20 trials"
    assert json.loads(json.dumps(step.config)) == step.config
    with pytest.raises(ConfigError, match=r"search\.metric: 'auc'"):
        steps(_pipeline(metric="auc"))
    with pytest.raises(ConfigError, match="is no estimator"):
        steps(_pipeline(estimators=["svm"]))
    assert steps(_pipeline().model_copy(update={"training_set": None})) == ()
