"""Which version answers for whom: sticky, in proportion, growing with a canary's share; and how it is written."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.config.learning import Scoring
from headrace.config.strategies import Strategy
from headrace.models.assignment import assigned, place, share
from headrace.models.entities import entity_text

AT = datetime(2026, 1, 5, tzinfo=UTC)
VALUES = st.one_of(
    st.none(), st.text(), st.booleans(), st.integers(), st.dates(), st.datetimes(),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
)  # fmt: skip


def canary(**more: Any) -> Strategy:
    return Strategy.model_validate({"canary": {"challenger": "challenger", **more}})


def kind(value: Any) -> Any:
    """Values that one column of SQL cannot tell apart are one: 1.10 and 1.1."""
    return value.normalize() if isinstance(value, Decimal) and value else value


@given(st.lists(VALUES, max_size=4), st.lists(VALUES, max_size=4))
def test_different_keys_of_the_same_types_have_different_texts(one: list, two: list) -> None:
    if [type(v) for v in one] == [type(v) for v in two]:
        assert (entity_text(one) == entity_text(two)) == ([kind(v) for v in one] == [kind(v) for v in two])


def test_the_text_of_a_key() -> None:
    key = ("a:b", "", None, True, -7, date(1970, 1, 2), datetime(1970, 1, 1, 0, 0, 1), Decimal("-1.500"), "é日")
    assert entity_text(key) == "3:a:b0:n4:true2:-71:17:10000004:-1.55:é日"
    assert entity_text(["a", "b"]) != entity_text(["ab"]) != entity_text(["a", None, "b"])
    assert entity_text([None]) != entity_text(["n"])
    assert entity_text([datetime(2026, 1, 1, 2, tzinfo=UTC)]) == entity_text([datetime(2026, 1, 1, 2)])
    assert {entity_text([Decimal(text)]) for text in ("0", "-0", "0.000", "-0.0")} == {"1:0"}
    with pytest.raises(TypeError, match="float is no type of a key; cast it"):
        entity_text([1.5])


def test_places_are_even_and_do_not_change() -> None:
    places = [place([n]) for n in range(20_000)]
    for tenth in range(10):
        assert abs(sum(tenth <= 10 * p < tenth + 1 for p in places) - 2_000) < 200
    assert place(["UA", 1545]) == 0.7670664869968371  # for ever: who is in a canary stays in it
    assert place(["UA", 1545], "other") != place(["UA", 1545])


def test_a_canary_grows_and_nobody_leaves_it() -> None:
    ramp = [{"from": "2026-01-02", "share": 0.25}, {"from": "2026-01-09", "share": 1}]
    strategy = canary(share=0.05, ramp=ramp)
    before: set[int] = set()
    for day, expected in ((1, 0.05), (2, 0.25), (8, 0.25), (9, 1.0)):
        at = datetime(2026, 1, day, tzinfo=UTC)
        assert strategy.canary
        assert share(strategy.canary, at) == expected
        chosen = {n for n in range(4_000) if assigned(strategy, [n], at) == "challenger"}
        assert before <= chosen
        assert abs(len(chosen) - 4_000 * expected) < 100
        before = chosen


def test_arms_share_the_entities() -> None:
    strategy = Strategy.model_validate({"ab": {"arms": {"champion": 0.1, "7": 0.2, "challenger": 0.7}}, "salt": "x"})
    counts = {"champion": 0, "7": 0, "challenger": 0}
    for n in range(10_000):
        counts[assigned(strategy, [n], AT)] += 1
        assert assigned(strategy, [n], AT) == assigned(strategy, [n], AT + timedelta(days=400))
    assert abs(counts["champion"] - 1000) < 150
    assert abs(counts["7"] - 2000) < 200
    assert strategy.others == ("7", "challenger")


def test_a_champion_or_a_shadow_answers_for_all() -> None:
    for strategy in (Strategy(), Strategy.model_validate({"shadow": {}})):
        assert {assigned(strategy, [n], AT) for n in range(100)} == {"champion"}


def test_how_it_is_written() -> None:
    assert Scoring.model_validate({"strategy": "champion"}).strategy.kind == "champion"
    assert Scoring.model_validate({"strategy": {"canary": {"challenger": 7}}}).strategy.others == ("7",)
    assert Scoring.model_validate({"strategy": {"shadow": {"challenger": "next"}}}).strategy.others == ("next",)


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        ({"canary": {"share": 1.5}}, "less than or equal to 1"),
        ({"canary": {"share": True}}, "number"),
        ({"ab": {"arms": {"champion": 0.5, "b": 0.4}}}, "must add up to 1"),
        ({"ab": {"arms": {"champion": 1}}}, "at least 2"),
        ({"shadow": {}, "canary": {}}, "this one has shadow and canary"),
        (
            {"canary": {"ramp": [{"from": "2026-02-01", "share": 1}, {"from": "2026-01-01", "share": 0.5}]}},
            "each later than the one before",
        ),
    ],
)
def test_mistakes(strategy: dict, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Scoring.model_validate({"strategy": strategy})
