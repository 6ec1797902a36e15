"""Every combination, as a `suggest` of hyperopt's: choices and steps each, of other ranges the ends and the middle."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, product, zip_longest
from typing import Any

from hyperopt import Trials
from hyperopt.base import Domain

from headrace.search.recipe import Parameter, Recipe
from headrace.search.space import Point, document, key_of


class Grid:
    """Points of the grid that have not been tried, one by one; nothing when there is none left.

    Args:
        estimators: All that the space has, in its order; they take turns.
        recipes: Of the estimators.
    """

    def __init__(self, estimators: Sequence[str], recipes: Mapping[str, Recipe]) -> None:
        self._estimators, self._recipes = estimators, recipes
        self._left = points(estimators, recipes)

    @property
    def size(self) -> int:
        """How many points there are."""
        return sum(math.prod(map(len, map(levels, self._recipes[n].space.values()))) for n in self._estimators)

    def suggest(self, new_ids: list[int], domain: Domain, trials: Trials, seed: int) -> list[dict[str, Any]]:
        """The next points, as documents of hyperopt's."""
        tried = {key_of(doc) for doc in trials._dynamic_trials}
        made: list[dict[str, Any]] = []
        for point in self._left:
            doc = document(new_ids[len(made)], point, self._estimators, recipes=self._recipes)
            if key_of(doc) not in tried:
                made.append(doc)
                if len(made) == len(new_ids):
                    break
        return made


def points(estimators: Sequence[str], recipes: Mapping[str, Recipe]) -> Iterator[Point]:
    """All points of the grid, of each estimator in turn."""
    turns = zip_longest(*(_points(name, recipes[name]) for name in estimators))
    return (point for point in chain.from_iterable(turns) if point is not None)


def _points(name: str, recipe: Recipe) -> Iterator[Point]:
    for values in product(*map(levels, recipe.space.values())):
        yield Point(name, dict(zip(recipe.space, values, strict=True)))


def levels(one: Parameter) -> list[Any]:
    """The values of a parameter that a grid tries.

    >>> levels(Parameter(4, 9, "int")), levels(Parameter(0.01, 1, "log")), levels(Parameter(0, 1, "steps", step=0.5))
    ([4, 6, 9], [0.01, 0.1, 1], [0.0, 0.5, 1.0])
    """
    if one.scale == "choice":
        return list(one.options)
    if one.scale == "steps":
        first, last = one.places
        return [number * one.step for number in range(first, last + 1)]
    return sorted({one.low, one.middle, one.high})
