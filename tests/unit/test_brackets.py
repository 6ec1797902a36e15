"""Hyperband: which trial is in which bracket, who goes on by a slow reading of the rule, what a restart knows."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from headrace.search.brackets import Brackets, turns
from headrace.search.halving import KEPT, Rung, over_folds, over_iterations, over_rows

ROWS = over_rows([50_000, 40_000])
RUNGS = {"xgboost": over_iterations(), "gbt": over_iterations(), "logistic_regression": ROWS}


@dataclass
class Tried:
    """A trial as a search would have it: losses at all rungs it might come to, and those that it came to."""

    number: int
    estimator: str
    would: dict[Rung, float]
    end: float
    bracket: int = 0
    came: list[float] = field(default_factory=list)
    stopped: bool = False


def drawn(seed: int, count: int) -> list[Tried]:
    luck = random.Random(seed)
    trials = []
    for number in range(count):
        name = luck.choice(list(RUNGS))
        would = {rung: luck.randrange(20) / 20 for rung in RUNGS[name]}  # few values: many are equal
        trials.append(Tried(number, name, would, luck.random()))
    return trials


def by_the_rule(trials: list[Tried], hyperband: bool) -> None:
    """One after the other: at each rung, is it in the best third of those of its bracket and kind that were there?"""
    weights = {2: Fraction(9), 1: Fraction(5), 0: Fraction(3)}
    given = dict.fromkeys(weights, 0)
    for place, one in enumerate(trials):
        if hyperband:  # the bracket that is furthest behind its share, of equals the one with most rungs
            lag = {s: weights[s] / 17 * (place + 1) - given[s] for s in weights}
            one.bracket = max(lag, key=lambda s: (lag[s], s))
            given[one.bracket] += 1
        else:
            one.bracket = 2
        kind = RUNGS[one.estimator]
        for rung in kind[2 - one.bracket :]:
            where = kind[2 - one.bracket :].index(rung)
            there = [
                other.came[where]
                for other in trials[: place + 1]
                if other.bracket == one.bracket and RUNGS[other.estimator] == kind and len(other.came) > where
            ]
            one.came.append(one.would[rung])
            there.append(one.would[rung])
            best = sorted(there)[: math.ceil(len(there) / KEPT)]
            if len(there) >= KEPT and one.would[rung] > best[-1]:
                one.stopped = True
                break


def climbed(brackets: Brackets, one: Tried) -> tuple[list[float], bool]:
    halving, came = brackets.of(one.number, one.estimator), []
    for place, rung in enumerate(halving.rungs):
        came.append(one.would[rung])
        if halving.lost(place, one.would[rung]):
            return came, True
    halving.ended(came, one.end)
    return came, False


@pytest.mark.parametrize("hyperband", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_who_goes_on_is_as_the_rule_has_it_also_after_a_kill(seed: int, hyperband: bool) -> None:
    trials = drawn(seed, 60)
    by_the_rule(trials, hyperband)
    killed = random.Random(seed).randrange(60)
    brackets = Brackets(RUNGS, hyperband)
    for one in trials[:killed]:
        assert climbed(brackets, one) == (one.came, one.stopped)
    past = [(o.number, o.estimator, o.came, None if o.stopped else o.end) for o in trials[:killed]]
    again = Brackets(RUNGS, hyperband, past)
    for one in trials[killed:]:
        assert again.bracket(one.number) == one.bracket
        told = [again.of(one.number, one.estimator).expected(p, 1.0) for p in range(one.bracket)]
        assert told == [brackets.of(one.number, one.estimator).expected(p, 1.0) for p in range(one.bracket)]
        found = climbed(again, one)
        assert found == (one.came, one.stopped) == climbed(brackets, one)
    assert any(one.stopped for one in trials)
    assert not any(one.stopped for one in trials if one.bracket == 0)


@pytest.mark.parametrize("most", range(6))
def test_brackets_have_the_published_shares_at_any_time(most: int) -> None:
    found = turns(most)
    published = {s: math.ceil((most + 1) / (s + 1) * 3**s) for s in range(most + 1)}
    assert {s: found.count(s) for s in published} == published
    assert len(found) == sum(published.values())
    for count in range(1, len(found) + 1):
        for bracket, wanted in published.items():
            assert abs(found[:count].count(bracket) - wanted * count / len(found)) < 1


def test_an_estimator_with_fewer_rungs_goes_through_all_that_it_has() -> None:
    brackets = Brackets({"a": over_iterations(), "b": over_rows([9_000]), "c": over_rows([10])}, True)
    first = turns(2).index
    assert [len(brackets.of(first(s), "b").rungs) for s in (2, 1, 0)] == [1, 1, 0]
    assert [len(brackets.of(first(s), "a").rungs) for s in (2, 1, 0)] == [2, 1, 0]
    assert brackets.of(first(1), "a").rungs[0].share == pytest.approx(1 / 3)
    assert not brackets.of(0, "c").rungs
    assert brackets.stops
    assert not Brackets({"c": over_rows([10])}, True).stops


def test_a_late_bloomer_that_halving_loses_is_found_by_hyperband() -> None:
    """Who is the worst with little and the best with all: halving never sees the end of it."""
    rungs = {"x": over_folds(9)}
    late = Tried(11, "x", dict.fromkeys(rungs["x"], 9.0), 0.0)
    others = [Tried(n, "x", dict.fromkeys(rungs["x"], n / 100), 1.0 + n) for n in range(11)]
    ended = {}
    for hyperband in (False, True):
        brackets = Brackets(rungs, hyperband)
        for one in others:
            climbed(brackets, one)
        ended[hyperband] = not climbed(brackets, Tried(turns(2).index(0), "x", late.would, 0.0))[1]
    assert ended == {False: False, True: True}
