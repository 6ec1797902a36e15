"""Spaces as the YAML shapes them, and the grid, without Spark."""

from __future__ import annotations

from itertools import product

import hyperopt
import numpy as np
import pytest
from hyperopt.base import spec_from_misc
from pydantic import ValidationError

from headrace.config.checks.modelling import PARAMETERS
from headrace.config.hook_types import Estimator, Term
from headrace.search import space
from headrace.search.estimators import ESTIMATORS
from headrace.search.grid import Grid, levels
from headrace.search.recipe import Parameter
from headrace.search.shaped import parameter, shaped
from headrace.search.space import Point

RECIPE = ESTIMATORS["random_forest"]


def _given(**more: object) -> Estimator:
    return Estimator.model_validate({"name": "random_forest", **more})


def test_the_file_knows_the_parameters_that_there_are():
    assert {name: tuple(recipe.space) for name, recipe in ESTIMATORS.items()} == PARAMETERS


def test_what_the_yaml_leaves_out_stays():
    assert shaped(RECIPE, None) is RECIPE
    made = shaped(RECIPE, _given(space={"trees": {"uniformint": [3, 5]}}))
    assert made.space == {**RECIPE.space, "trees": Parameter(3, 5, "int")}
    assert made.first == {**RECIPE.first, "trees": 4}  # theirs lies outside
    assert made.build is RECIPE.build


def test_a_parameter_that_is_set_is_in_each_trial_and_never_another():
    made = shaped(RECIPE, _given(params={"depth": 3}, first={"trees": 25}))
    assert made.first == {**RECIPE.first, "depth": 3, "trees": 25}
    recipes = {"random_forest": made}
    names = ["random_forest"]
    trials = hyperopt.Trials()
    found: list[Point] = []

    def tried(sample):
        found.append(Point.of(sample, recipes))
        return float(len(found))

    hyperopt.fmin(
        tried, space.space(names, recipes), hyperopt.tpe.suggest, 25, trials=trials, rstate=None, show_progressbar=False
    )
    assert {point.params["depth"] for point in found} == {3}
    assert len({point.params["trees"] for point in found}) > 3


def test_steps_are_hyperopts_quniform():
    one = parameter(Term(quniform=(0.5, 2, 0.5)))
    assert one == Parameter(0.5, 2, "steps", step=0.5)
    assert levels(one) == [0.5, 1.0, 1.5, 2.0]
    assert one.middle in levels(one)
    node = space._node("x", one)
    rng = np.random.default_rng(1)
    drawn = {float(hyperopt.pyll.stochastic.sample(node, rng)) for _ in range(60)}
    assert drawn == {0.5, 1.0, 1.5, 2.0}


@pytest.mark.parametrize(
    ("term", "told"),
    [
        ({"quniform": [0, 1, 2]}, "the step of quniform"),
        ({"quniform": [0, 1, 0]}, "the step of quniform"),
        ({"quniform": [1, 1, 0.1]}, "low < high"),
        ({"quniform": [0, 1, 0.5], "choice": [1, 2]}, "exactly one of"),
    ],
)
def test_terms_that_cannot_be_are_refused(term, told):
    with pytest.raises(ValidationError, match=told):
        Term.model_validate(term)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"params": {"depth": 3}, "space": {"depth": {"uniformint": [2, 4]}}}, "leave one out"),
        ({"params": {"depth": 3}, "first": {"depth": 3}}, "leave one out"),
        ({"space": {"depth": {"uniformint": [2, 4]}}, "first": {"depth": 9}}, "outside of its space"),
        ({"space": {"depth": {"uniformint": [2, 4]}}, "first": {"depth": True}}, "outside of its space"),
    ],
)
def test_an_estimator_that_contradicts_itself_is_refused(more, told):
    with pytest.raises(ValidationError, match=told):
        _given(**more)


def test_a_grid_is_each_combination_once_and_none_that_was_tried():
    recipes = {
        "random_forest": shaped(RECIPE, _given(params={"min_rows": 5}, space={"depth": {"choice": [2, 3]}})),
        "linear_svc": ESTIMATORS["linear_svc"],
    }
    names = list(recipes)
    grid = Grid(names, recipes)
    forest = [dict(zip(recipes["random_forest"].space, values, strict=True)) for values in product(
        levels(RECIPE.space["trees"]), [2, 3], [5])]  # fmt: skip
    wanted = [Point("random_forest", params) for params in forest]
    wanted += [
        Point("linear_svc", {"regularization": one}) for one in levels(ESTIMATORS["linear_svc"].space["regularization"])
    ]
    assert grid.size == len(wanted)
    trials = hyperopt.Trials()
    tried = [wanted[0], wanted[-1]]
    trials.insert_trial_docs([space.document(i, point, names, recipes=recipes) for i, point in enumerate(tried)])
    trials.refresh()
    domain = hyperopt.base.Domain(lambda _: 0, space.space(names, recipes))
    found = []
    while docs := grid.suggest(trials.new_trial_ids(2), domain, trials, 0):
        trials.insert_trial_docs(docs)
        trials.refresh()
        found += [
            Point.of(hyperopt.space_eval(space.space(names, recipes), spec_from_misc(doc["misc"])), recipes)
            for doc in docs
        ]
    key = repr
    assert sorted(map(key, [*found, *tried])) == sorted(map(key, wanted))
    assert {point.estimator for point in found[:2]} == set(names)
