"""Which rows a version may score, and its page for people."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from headrace.errors import ConfigError
from headrace.models import admission
from headrace.models.admission import accept, admitted
from headrace.models.card import ModelCard
from headrace.models.definitions import digest, whole
from headrace.models.made import Made
from headrace.models.record import page
from headrace.models.version import Version

CARD = ModelCard("binary", {"paid": "double"}, "boolean", (False, True), ("id",), "gbt", {"trees": 20})


def made(sql: str) -> Made:
    training = {"from": "orders", "label": "late", "row_features": {}}
    return Made(training, {}, {"orders": {"columns": {"paid": sql}, "event_time": "at"}}, {}, {})


class Store:
    """A model store of one version."""

    def __init__(self, trained: Made | None) -> None:
        self.told = whole(trained, CARD.features) if trained else {}
        self.version = Version("shop", 3, "r", {"definitions": digest(self.told)} if trained else {})

    def tag(self, version: Version, tags: dict[str, str]) -> None:
        self.version = replace(version, tags={**version.tags, **tags})

    def read_json(self, run_id: str, file: str) -> dict[str, Any]:
        assert (run_id, file) == ("r", "version.json")
        return {"definitions": self.told}


def test_rows_of_other_definitions_are_refused_until_somebody_lets_them_pass() -> None:
    store: Any = Store(made("cents / 100"))
    assert admitted(store, store.version, CARD, made("cents / 100")) is None
    assert not accept(store, store.version, "nothing was refused")
    with pytest.raises(ConfigError) as raised:
        admitted(store, store.version, CARD, made("cents / 10"))
    assert "- tables.orders.columns.paid: cents / 100\n  + tables.orders.columns.paid: cents / 10\n" in str(
        raised.value
    )
    assert "headrace promote FILE.yaml 3 --force --why" in str(raised.value)
    assert accept(store, store.version, "it's the same")
    assert not accept(store, store.version, "again")
    assert admitted(store, store.version, CARD, made("cents / 10")) is None
    [said] = [json.loads(v) for k, v in store.version.tags.items() if k.startswith(admission.ACCEPTED)]
    assert said["why"] == "it's the same"
    with pytest.raises(ConfigError):  # only that was let pass
        admitted(store, store.version, CARD, made("cents / 1000"))


def test_a_version_that_tells_nothing_scores_with_a_warning() -> None:
    store: Any = Store(None)
    warned = admitted(store, store.version, CARD, made("cents"))
    assert warned is not None
    assert "version 3 does not say of which definitions it learned" in warned


def test_the_page_tells_all_and_breaks_at_nothing() -> None:
    record = {
        "model": "shop", "version": 3, "description": "Late | orders", "owner": "", "tags": [], "run_id": "r1",
        "registered_at": "2026-01-01", "gates": [{"passed": False, "text": "f1 = 0.1, wanted >= 0.2"}],
        "metrics": {"f1": {"value": 0.1, "lower": None, "upper": None}}, "inputs": {"training_set": 4},
        "definitions": {"tables.orders.columns.paid": "a || b\n < c"}, "configuration": {}, "code": {"stages": "abc"},
        "environment": {"python": "3.11"},
    }  # fmt: skip
    told = page(record, CARD)
    for line in (
        "# shop version 3", "- **refused**: f1 = 0.1, wanted >= 0.2", "| f1 | 0.1000 |  |  |", "| training_set | 4 |",
        "| tables.orders.columns.paid | a \\|\\| b &lt; c |", "- trees: 20", "| python | 3.11 |",
    ):  # fmt: skip
        assert line in told.splitlines()
    assert "The training set was not looked at for leaks." in told
    found = {"leaks": {"features": 8, "levels": {"warn": ["power fee", "id ticket"], "allowed": ["copy state"]}}}
    assert "Of 8 features:\n- warn: power fee, id ticket\n- allowed: copy state\n" in page(record | found, CARD)
    assert "None found in 8 features." in page(record | {"leaks": {"features": 8, "levels": {}}}, CARD)
    regression = replace(CARD, task="regression", labels=(), params=None)
    assert "with a number." in page(record, regression)
