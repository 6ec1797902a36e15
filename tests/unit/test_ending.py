"""When a search ends before its time: everything tried, nothing new, nothing that works."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace.config.learning import Search
from headrace.search.ending import HOPELESS, REPEATED, Ending
from headrace.search.ledger import Row
from headrace.search.recipe import Parameter, Recipe
from headrace.search.space import count

NOW = datetime(2024, 1, 1, tzinfo=UTC)
TIMED = Search.model_validate({"timeout": "1 hour"})


def recipe(**space: Parameter) -> Recipe:
    return Recipe(("binary",), "tree", {}, space, lambda *_: None)  # type: ignore[arg-type, return-value]


SMALL = {
    "one": recipe(share=Parameter(0.1, 0.3, "steps", step=0.1), how=Parameter(0, 1, "choice", options=("a", None))),
    "bare": recipe(),
}
WIDE = {"one": recipe(rate=Parameter(0.01, 1.0, "log"), depth=Parameter(1, 3, "int"))}


def ended(
    trials: list[tuple[dict[str, Any], str]], recipes: dict[str, Recipe], conf: Search = TIMED, starting: int = 0
) -> list[str | None]:
    """What is said after each trial: of estimator `one` with these parameters, or of `bare` without any."""
    ending, said = Ending(conf, list(recipes), recipes, starting), []
    for number, (params, status) in enumerate(trials):
        text, loss = json.dumps(params, sort_keys=True), 0.5 if status in ("ok", "pruned") else None
        name = "one" if params else "bare"
        ending.note(Row("r", "f", number, name, text, status, "f1", loss, loss, 1.0, None, NOW, NOW))
        said.append(ending.why())
    return said


def test_points_are_counted():
    assert count(["one", "bare"], SMALL) == 7
    assert count(["bare"], SMALL) == 1
    assert count(["one"], WIDE) == float("inf")
    assert Parameter(3.0, 3.0).count == 1


def test_all_points_of_a_space_are_tried():
    every = [({"share": share, "how": how}, "ok") for share in (0.1, 0.2, 0.3) for how in ("a", None)]
    again = ({"share": 3 * 0.1, "how": "a"}, "ok")  # 0.30000000000000004
    beyond = ({"share": 0.9, "how": "a"}, "ok")  # a point of the user's
    said = ended([beyond, *every, again, ({}, "failed")], SMALL)
    assert said == [None] * 8 + ["all 7 points of the space are tried"]
    numbered = Search.model_validate({"timeout": "1 hour", "max_evals": 50})
    assert ended([*every, ({}, "ok")], SMALL, numbered)[-1] is None
    assert ended([*every, ({}, "cancelled")], SMALL)[-1] is None
    assert ended([*every, ({}, "ok")], SMALL, starting=8)[-1] is None


def test_nothing_new_is_proposed():
    one, other = ({"rate": 0.5, "depth": 1}, "ok"), ({"rate": 0.5, "depth": 2}, "ok")
    said = ended([one, *[one] * (REPEATED - 1), other, *[one, other] * (REPEATED // 2)], WIDE)
    assert said[:-1] == [None] * (2 * REPEATED)
    assert said[-1] == f"the points of the last {REPEATED} trials were tried before"


@pytest.mark.parametrize("status", ["failed", "timed_out"])
def test_nothing_works(status):
    bad = [({"rate": 0.01 * number, "depth": 1}, status) for number in range(1, HOPELESS + 1)]
    assert ended(bad, WIDE) == [None] * (HOPELESS - 1) + [f"all of {HOPELESS} trials failed"]
    for good in ("ok", "pruned"):
        assert ended([({"rate": 0.9, "depth": 1}, good), *bad, *bad[:1]], WIDE)[-1] is None
    same = [({}, status)] * HOPELESS
    assert ended(same, {"bare": SMALL["bare"]}) == [None] * (HOPELESS - 1) + [f"all of {HOPELESS} trials failed"]
    assert ended(bad, WIDE, Search.model_validate({"max_evals": 100}))[-1] is None


def test_patience_counts_trials_since_the_best():
    conf = Search.model_validate({"patience": 2})
    trials = [({"rate": 0.01 * number, "depth": 1}, "ok") for number in range(1, 5)]
    assert [bool(one) for one in ended(trials, WIDE, conf)] == [False, False, True, True]
    assert [bool(one) for one in ended(trials, WIDE, conf, starting=4)] == [False, False, False, True]
