"""A genetic algorithm as a `suggest` of hyperopt's: children of good trials, crossed and changed a little.

Steady state, with tournaments, uniform crossover and Gaussian mutation (Eiben and Smith, Introduction to Evolutionary
Computing, 2015, chapters 4 and 5). Parents are of one estimator, so that a child has all that its estimator needs; now and then
somebody new comes in, drawn at random from the whole space.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hyperopt import Trials, rand
from hyperopt.base import Domain

from headrace.search.recipe import Parameter, Recipe
from headrace.search.space import Point, document, key_of, losses

FIRST = 8
"""Good trials before there are parents: the points to start with, and what is drawn at random."""
RIVALS = 5
"""Trials that meet in a tournament; the best of them is a parent."""
NEWCOMERS = 0.1
"""The share of trials drawn at random all the time."""
STRIDE = 0.15
"""Standard deviation of a change, of the width of the space (of a logarithmic one on that scale)."""
TRIES = 20
"""Children that are as somebody before; then somebody new comes in."""


class Genetic:
    """Children of the trials there are.

    Args:
        estimators: All that the space has, in its order.
        recipes: Of the estimators.
    """

    def __init__(self, estimators: Sequence[str], recipes: Mapping[str, Recipe]) -> None:
        self._estimators, self._recipes = estimators, recipes

    def suggest(self, new_ids: list[int], domain: Domain, trials: Trials, seed: int) -> list[dict[str, Any]]:
        """The next points, as documents of hyperopt's."""
        rng = np.random.default_rng(seed)
        known = losses(trials, self._estimators, self._recipes)
        good = [(p, loss) for p, loss in known if loss is not None and self._recipes[p.estimator].holds(p.params)]
        tried = {key_of(doc) for doc in trials._dynamic_trials}
        made: list[dict[str, Any]] = []
        for tid in new_ids:
            doc = self._child(tid, good, tried, rng)
            doc = doc or rand.suggest([tid], domain, trials, int(rng.integers(2**31)))[0]
            tried.add(key_of(doc))
            made.append(doc)
        return made

    def _child(
        self, tid: int, good: Sequence[tuple[Point, float]], tried: set[Any], rng: np.random.Generator
    ) -> dict[str, Any] | None:
        """Somebody who was not there before, as a document; None where somebody new is to come in."""
        if len(good) < FIRST or rng.random() < NEWCOMERS:
            return None
        for _ in range(TRIES):
            one = _winner(good, rng)
            other = _winner([(point, loss) for point, loss in good if point.estimator == one.estimator], rng)
            point = Point(one.estimator, child(one.params, other.params, self._recipes[one.estimator].space, rng))
            doc = document(tid, point, self._estimators, recipes=self._recipes)
            if key_of(doc) not in tried:
                return doc
        return None


def _winner(good: Sequence[tuple[Point, float]], rng: np.random.Generator) -> Point:
    """The best of a few."""
    rivals = rng.integers(len(good), size=RIVALS)
    return good[min(rivals, key=lambda place: good[place][1])][0]


def child(
    one: Mapping[str, Any], other: Mapping[str, Any], space: Mapping[str, Parameter], rng: np.random.Generator
) -> dict[str, Any]:
    """Each value from one parent or the other; on average one of them, and at least one, is changed."""
    changed = rng.random(len(space)) < 1 / max(1, len(space))
    changed[rng.integers(len(space)) if len(space) else 0 :][:1] = True
    values = {name: (one if rng.random() < 0.5 else other)[name] for name in space}
    return {
        name: mutated(space[name], values[name], rng) if change else values[name]
        for name, change in zip(space, changed, strict=True)
    }


def mutated(parameter: Parameter, value: Any, rng: np.random.Generator) -> Any:
    """A value near by, within the space; of a choice another one."""
    if parameter.scale == "choice":
        others = [option for option in parameter.options if option != value]
        return others[rng.integers(len(others))] if others else value
    log = parameter.scale == "log"
    low, high, here = (math.log(x) if log else float(x) for x in (parameter.low, parameter.high, value))
    there = here + rng.normal(0, STRIDE) * (high - low)
    there = low + abs(there - low) if there < low else high - abs(high - there) if there > high else there
    there = min(max(there, low), high)
    if parameter.scale in ("int", "steps"):
        step = parameter.step or 1
        first, last = parameter.places
        place = round(there / step)
        if place == round(value / step):
            place += 1 if rng.random() < 0.5 else -1  # else a short space would hardly be left
        return min(max(place, first), last) * step
    return min(max(math.exp(there), parameter.low), parameter.high) if log else there
