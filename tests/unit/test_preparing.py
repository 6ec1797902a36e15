"""Preparation and balance in the YAML: mistakes, choices, what is settled by the kind of the estimator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import yeojohnson_normmax

from headrace.config.checks import preparing
from headrace.config.learning import Search
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError
from headrace.search.columns import Columns
from headrace.search.curves import PARTS, exponent
from headrace.search.estimators import ESTIMATORS
from headrace.search.plan import choices, of_estimator, plan, with_choices

YAML = """pipeline: p
tables: {t: {source: {format: csv, path: x.csv}}}
training_set: {from: t, label: "a = 1"%s}
search:
  %s
"""


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ("preparation: {numbers: {scale: [standard, standart]}}", "5:45 .* did you mean 'standard'"),
        ("preparation: {numbers: {impute: avg}}", "5:27 .*'avg' is not one of auto, median, mean, mode, constant"),
        ("preparation: {numbers: {curve: []}}", "5:34 .* an empty list came; write a value"),
        ("preparation: {numbers: {scale: [none, none]}}", "a value stands twice in 'none', 'none'"),
        ("preparation: {numbers: {fill: 3}}", "numbers.fill: it is the value of `impute: constant`"),
        ("preparation: {numbers: {bin_count: 1}}", "1 came; it must be greater than or equal to 2"),
        ("preparation: {categories: {keep: true}}", "true came; it must be a number"),
        ("preparation: {categories: {encod: hash}}", "unknown key 'encod'.* did you mean 'encode'"),
        ("preparation: {columns: {a: {edges: [2, 1]}}}", r"edges must rise; these are \[2.0, 1.0\]"),
        ("preparation: {columns: {a: {edges: [2], bins: quantile}}}", "leave out bins and bin_count"),
        ("preparation: {interactions: [[a, a]]}", "'a' with itself says no more than it does"),
        ("preparation: {interactions: [[a]]}", "a list with 1 entries came; allowed: 2"),
        ("preparation: {moments: {parts: [houre]}}", "did you mean 'hour'"),
        ("balance: weight", "5:3 .*did you mean 'weights'"),
    ],
)
def test_mistakes_are_told_where_they_stand(tmp_path: Any, search: str, says: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(YAML % ("", search))
    with pytest.raises(ConfigError, match=says):
        read_pipeline(file)


@pytest.mark.parametrize(
    ("task", "search", "says"),
    [
        ("regression", {"balance": "weights"}, "weights is for classes, and the task is regression"),
        ("regression", {"preparation": {"categories": {"encode": "woe"}}}, "woe (weight of evidence) is for classes"),
        ("clustering", {"preparation": {"columns": {"a": {"encode": ["hash", "target"]}}}}, "target needs a label"),
        ("anomaly", {"preparation": {"select": {"top": 3}}}, "has no label to choose by"),
        ("recommendation", {"preparation": {}}, "users and items alone"),
    ],
)
def test_what_the_task_does_not_have_is_told(task: str, search: dict[str, Any], says: str) -> None:
    [(where, message)] = preparing.check(Search.model_validate(search), task)
    assert where.startswith("search.")
    assert says in message


KNOWN = Columns(
    ("x", "at"),
    ("x",),
    {"c": ("a", "b")},
    {"x": "double", "at": "timestamp", "c": "string"},
    {},
    moments=("at",),
    keep=7,
)


def test_lists_are_choices_of_each_estimator_and_settle_the_plan() -> None:
    conf = {"numbers": {"scale": ["robust", "none"]}, "columns": {"c": {"encode": ["hash", "target"]}}}
    search = Search.model_validate({"preparation": conf, "balance": ["none", "weights"]})
    names = ["search.preparation.numbers.scale", "search.preparation.columns.c.encode", "search.balance"]
    assert list(choices(search)) == names
    recipes = with_choices(ESTIMATORS, search)
    assert set(names) <= set(recipes["gbt"].space)
    assert recipes["gbt"].first[names[1]] == "hash"
    assert recipes["als"] is ESTIMATORS["als"]
    assert of_estimator(recipes["gbt"].first) == dict(ESTIMATORS["gbt"].first)
    one = plan("linear", KNOWN, search.preparation, {names[0]: "none", names[1]: "target"})
    assert dict(one.numbers)["x"].scale == "none"
    assert (dict(one.categories)["c"].encode, dict(one.categories)["c"].keep) == ("target", 1000)
    assert dict(plan("linear", KNOWN, search.preparation).numbers)["x"].scale == "robust"


def test_what_comes_to_the_same_is_prepared_once() -> None:
    search = Search.model_validate({"preparation": {"numbers": {"scale": ["auto", "none"], "fill": [0, 1]}}})
    made = {
        plan("tree", KNOWN, search.preparation, {f"search.preparation.numbers.{key}": value for key, value in one})
        for one in ([("scale", "auto")], [("scale", "none")], [("fill", 1)], [])
    }
    assert len(made) == 1
    of = made.pop()
    assert dict(of.categories)["c"].encode == "ordinal"
    assert dict(of.categories)["c"].keep == 7
    assert not dict(of.moments)["at"].cyclic


@pytest.mark.parametrize("seed", range(3))
def test_the_exponent_is_that_of_the_likeliest_curve(seed: int) -> None:
    draw = np.random.default_rng(seed)
    values = [draw.normal(3, 1, 4000), np.exp(draw.normal(0, 1, 4000)) - 0.5, -draw.gamma(2, 3, 4000)][seed]
    assert exponent(np.quantile(values, PARTS).tolist()) == pytest.approx(yeojohnson_normmax(values), abs=0.12)
    assert exponent([1e300, -1e300, 1.0]) == pytest.approx(1.0, abs=1)
    assert exponent([]) == exponent([math.pi]) == 1.0
