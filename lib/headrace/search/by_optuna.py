"""Optuna behind hyperopt's `suggest`: its TPE, which learns parameters together and knows what is being tried."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hyperopt import Trials
from hyperopt.base import JOB_STATE_DONE, Domain

from headrace.errors import ConfigError
from headrace.search.recipe import Parameter, Recipe
from headrace.search.space import CHOICE, Point, document, key_of, losses

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

STARTUP = 6
"""Random points before it begins to learn, beside the points to start with."""
TRIES = 20
"""Points that were tried before; then one of these is tried again."""


class Optuna:
    """Points that Optuna's TPE proposes (`multivariate`, a group per estimator, running trials counted as bad ones).

    Args:
        estimators: All that the space has, in its order.
        recipes: Of the estimators.
        starting: How many points to start with there are.

    Raises:
        ConfigError: If the package is not there.
    """

    def __init__(self, estimators: Sequence[str], recipes: Mapping[str, Recipe], starting: int) -> None:
        try:
            import optuna
        except ImportError as error:
            raise ConfigError("search.algorithm: optuna needs the package: pip install 'headrace[optuna]'") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._estimators, self._recipes, self._starting = list(estimators), recipes, starting

    def suggest(self, new_ids: list[int], domain: Domain, trials: Trials, seed: int) -> list[dict[str, Any]]:
        """The next points, as documents of hyperopt's."""
        study, tried = self._study(trials, seed), {key_of(doc) for doc in trials._dynamic_trials}
        made: list[dict[str, Any]] = []
        for tid in new_ids:
            for _ in range(TRIES):
                doc = document(tid, self._asked(study), self._estimators, recipes=self._recipes)
                if key_of(doc) not in tried:
                    break
            tried.add(key_of(doc))
            made.append(doc)
        return made

    def _study(self, trials: Trials, seed: int) -> Study:
        """All trials so far as Optuna has them."""
        import optuna
        from optuna.trial import TrialState, create_trial

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=seed,
                multivariate=True,
                group=True,
                constant_liar=True,
                n_startup_trials=self._starting + STARTUP,
            )
        study = optuna.create_study(sampler=sampler)
        known = losses(trials, self._estimators, self._recipes)
        for (point, loss), doc in zip(known, trials._dynamic_trials, strict=True):
            space = self._recipes[point.estimator].space
            if not self._recipes[point.estimator].holds(point.params):
                continue
            done = TrialState.FAIL if doc["state"] == JOB_STATE_DONE else TrialState.RUNNING
            params = {f"{point.estimator}:{name}": _told(space[name], v) for name, v in point.params.items()}
            kinds = {f"{point.estimator}:{name}": distribution(one) for name, one in space.items()}
            study.add_trial(
                create_trial(
                    state=done if loss is None else TrialState.COMPLETE,
                    value=loss,
                    params={CHOICE: point.estimator} | params,
                    distributions={CHOICE: optuna.distributions.CategoricalDistribution(self._estimators)} | kinds,
                )
            )
        return study

    def _asked(self, study: Study) -> Point:
        trial = study.ask()
        name = trial.suggest_categorical(CHOICE, self._estimators)
        space = self._recipes[name].space
        drawn = {key: trial._suggest(f"{name}:{key}", distribution(one)) for key, one in space.items()}
        return Point(name, {key: _meant(space[key], value) for key, value in drawn.items()})


def distribution(parameter: Parameter) -> BaseDistribution:
    """Where to look for a value, in Optuna's terms: a choice by its number, steps by how many they are."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if parameter.scale == "choice":
        return CategoricalDistribution(list(range(len(parameter.options))))
    if parameter.scale == "steps":
        return IntDistribution(*parameter.places)
    if parameter.scale == "int":
        return IntDistribution(int(parameter.low), int(parameter.high))
    return FloatDistribution(float(parameter.low), float(parameter.high), log=parameter.scale == "log")


def _told(parameter: Parameter, value: Any) -> Any:
    if parameter.scale == "choice":
        return parameter.options.index(value)
    if parameter.scale == "steps":
        first, last = parameter.places
        return min(max(round(value / parameter.step), first), last)
    return min(max(value, parameter.low), parameter.high)


def _meant(parameter: Parameter, value: Any) -> Any:
    if parameter.scale == "choice":
        return parameter.options[value]
    return value * parameter.step if parameter.scale == "steps" else value
