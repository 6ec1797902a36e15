"""An estimator of Headrace's as the YAML shapes it: parameters that are set, other spaces, another first point."""

from __future__ import annotations

from dataclasses import replace

from headrace.config.hook_types import Estimator, Term
from headrace.search.recipe import Parameter, Recipe


def shaped(recipe: Recipe, given: Estimator | None) -> Recipe:
    """A recipe with what the YAML says; what it leaves out stays.

    A parameter that is set becomes a choice of one value: so it is in each trial's record.
    """
    if given is None:
        return recipe
    fixed = {name: Parameter(0, 0, "choice", (value,)) for name, value in given.params.items()}
    space = {**recipe.space, **fixed, **{name: parameter(term) for name, term in given.space.items()}}
    wanted = {**recipe.first, **given.first}
    first = {name: wanted[name] if one.holds(wanted[name]) else one.middle for name, one in space.items()}
    return replace(recipe, space=space, first=first)


def parameter(term: Term) -> Parameter:
    """A parameter of a term of hyperopt's."""
    if term.choice is not None:
        return Parameter(0, len(term.choice) - 1, "choice", term.choice)
    low, high = term.bounds
    if term.quniform:
        return Parameter(low, high, "steps", step=term.quniform[2])
    return Parameter(low, high, "int" if term.uniformint else "log" if term.loguniform else "uniform")
