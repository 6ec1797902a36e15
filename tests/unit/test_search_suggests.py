"""The genetic algorithm and Optuna behind hyperopt's `suggest`, on spaces as searches have them; nothing starts Spark."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import hyperopt
import numpy as np
import pytest

from headrace.search import space
from headrace.search.by_optuna import Optuna
from headrace.search.estimators import ESTIMATORS
from headrace.search.genetic import Genetic, child, mutated
from headrace.search.grid import levels
from headrace.search.recipe import Parameter, Recipe
from headrace.search.space import Point, first_points

NAMES = ("xgboost", "logistic_regression", "random_forest")
Make = Callable[..., Any]
MAKES: dict[str, Make] = {
    "genetic": Genetic,
    "optuna": partial(Optuna, starting=3),
}


def recipe(**parameters: Parameter) -> Recipe:
    first = {name: one.middle for name, one in parameters.items()}
    return Recipe(("binary",), "tree", first, parameters, lambda *_: None)  # type: ignore[arg-type, return-value]


def searched(
    make: Make, loss: Callable[[Point], float], evals: int, seed: int, recipes: dict[str, Recipe], ids: int = 1
) -> list[Point]:
    """The points that a search tries, in turn."""
    tried: list[Point] = []

    def objective(sample: dict[str, Any]) -> dict[str, Any]:
        point = Point.of(sample, recipes)
        tried.append(point)
        found = loss(point)
        return {"status": "ok", "loss": found} if math.isfinite(found) else {"status": "fail"}

    hyperopt.fmin(
        objective,
        space.space(list(recipes), recipes),
        algo=make if make is hyperopt.rand.suggest else make(list(recipes), recipes).suggest,
        max_evals=evals,
        rstate=np.random.default_rng(seed),
        show_progressbar=False,
        verbose=False,
        max_queue_len=ids,
    )
    return tried


MIXED = {
    "one": recipe(
        rate=Parameter(1e-4, 1.0, "log"),
        depth=Parameter(2, 9, "int"),
        share=Parameter(0.2, 1.0),
        rows=Parameter(0.0, 10.0, "steps", step=2.5),
        curve=Parameter(0, 0, "choice", options=("none", ("a", 1), None)),
    ),
    "other": recipe(depth=Parameter(1, 3, "int")),
    "bare": recipe(),
}


def bowl(point: Point) -> float:
    """Least at rate 0.01, depth 7, share 0.5, rows 5, curve ("a", 1) of `one`; failing where the depth is 2."""
    if point.estimator != "one":
        return 3.0
    at = point.params
    if at["depth"] == 2:
        return math.nan
    away = [math.log10(at["rate"]) + 2, (at["depth"] - 7) / 3, (at["share"] - 0.5) * 3, (at["rows"] - 5) / 4]
    return sum(x * x for x in away) + (at["curve"] != ("a", 1))


@pytest.mark.parametrize("name", MAKES)
@pytest.mark.parametrize("ids", [1, 3])
def test_points_lie_within_the_space_and_are_none_of_before(name: str, ids: int) -> None:
    tried = searched(MAKES[name], bowl, 60, 1, MIXED, ids)
    for point in tried:
        assert all(MIXED[point.estimator].space[key].holds(value) for key, value in point.params.items())
        if point.estimator == "one":
            assert point.params["rows"] / 2.5 == round(point.params["rows"] / 2.5)
            assert isinstance(point.params["depth"], int)
    ones = [repr(point) for point in tried if point.estimator == "one"]
    assert len(set(ones)) == len(ones) > 20


@pytest.mark.parametrize("name", MAKES)
def test_the_same_seed_says_the_same_and_another_something_else(name: str) -> None:
    first, again, other = (searched(MAKES[name], bowl, 25, seed, MIXED) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", MAKES)
def test_they_learn(name: str) -> None:
    """The median of the best of 40, over seeds, against random search."""

    def best(make: Make) -> float:
        ends = (searched(make, bowl, 40, seed, MIXED) for seed in range(5))
        return statistics.median(min(x for x in map(bowl, tried) if math.isfinite(x)) for tried in ends)

    assert best(MAKES[name]) < 0.7 * best(hyperopt.rand.suggest)


@pytest.mark.parametrize("name", MAKES)
def test_a_history_with_points_of_the_user_failures_and_running_trials(name: str) -> None:
    recipes = {key: ESTIMATORS[key] for key in NAMES}
    trials = hyperopt.Trials()
    points = first_points(NAMES, 3)
    beyond = Point("xgboost", {**ESTIMATORS["xgboost"].first, "depth": 99})  # tried because the user said so
    results: list[dict[str, Any] | None] = [
        {"status": "ok", "loss": -0.7},
        {"status": "fail"},
        None,
        {"status": "ok", "loss": -0.8},
    ]
    docs = [space.document(i, p, NAMES, r) for i, (p, r) in enumerate(zip([*points, beyond], results, strict=True))]
    trials.insert_trial_docs(docs)
    trials.refresh()
    domain = hyperopt.base.Domain(lambda _: 0, space.space(NAMES))
    assert [loss for _, loss in space.losses(trials, NAMES, recipes)] == [-0.7, None, None, -0.8]
    assert [point for point, _ in space.losses(trials, NAMES, recipes)] == [*points, beyond]
    made = MAKES[name](NAMES, recipes).suggest(trials.new_trial_ids(3), domain, trials, 5)
    assert len({space.key_of(doc) for doc in (*made, *docs)}) == 7


@pytest.mark.parametrize("name", MAKES)
@pytest.mark.parametrize("bounds", [(0.1, 0.3, 0.1), (0.1, 0.7, 0.1), (0.05, 0.35, 0.05), (0.3, 1.0, 0.25)])
def test_steps_that_arithmetic_makes_a_little_longer_reach_their_end(name: str, bounds: tuple) -> None:
    low, high, step = bounds
    wide = Parameter(1e-4, 1.0, "log")
    recipes = {"e": recipe(x=Parameter(low, high, "steps", step=step), rate=wide)}
    trials = hyperopt.Trials()
    points = [Point("e", {"x": x, "rate": rate}) for x in (low, high) for rate in (0.0, 1e-4, 0.1, 0.2, 1.0)]
    done = [
        space.document(i, p, ["e"], {"status": "ok", "loss": -p.params["x"]}, recipes) for i, p in enumerate(points)
    ]
    trials.insert_trial_docs(done)
    trials.refresh()
    domain = hyperopt.base.Domain(lambda _: 0, space.space(["e"], recipes))
    made = MAKES[name](["e"], recipes).suggest(trials.new_trial_ids(40), domain, trials, 3)
    drawn = {round(doc["misc"]["vals"]["e:x"][0] / step) for doc in made}
    first, last = recipes["e"].space["x"].places
    assert {last} <= drawn <= set(range(first, last + 1))
    assert [round(x / step) for x in levels(recipes["e"].space["x"])] == list(range(first, last + 1))
    assert all(wide.holds(doc["misc"]["vals"]["e:rate"][0]) for doc in made)


def test_a_child_has_its_parents_values_but_for_what_is_changed() -> None:
    rng = np.random.default_rng(3)
    one, other = MIXED["one"].first, {"rate": 0.5, "depth": 9, "share": 0.3, "rows": 10.0, "curve": None}
    many = [child(one, other, MIXED["one"].space, rng) for _ in range(300)]
    inherited = [sum(c[key] in (one[key], other[key]) for key in c) for c in many]
    assert set(inherited) <= {0, 1, 2, 3, 4, 5}
    assert statistics.mean(inherited) > 3.0
    assert sum(c in (one, other) for c in many) < 10  # a value at the edge may fall back on itself


@pytest.mark.parametrize("parameter", [*MIXED["one"].space.values(), Parameter(3, 3, "int"), Parameter(1.0, 1.0)])
def test_a_change_stays_within_the_space(parameter: Parameter) -> None:
    rng = np.random.default_rng(4)
    value = parameter.middle
    seen = set()
    for _ in range(500):
        value = mutated(parameter, value, rng)
        assert parameter.holds(value)
        seen.add(repr(value))
    assert len(seen) > 1 or parameter.low == parameter.high != 0
