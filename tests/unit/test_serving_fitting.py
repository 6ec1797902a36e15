"""A version answers with features of the definitions that it learned from, or not at all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace.config.strategies import Strategy
from headrace.errors import ConfigError
from headrace.models.card import ModelCard
from headrace.models.definitions import digest, whole
from headrace.models.entities import entity_text
from headrace.models.made import Made
from headrace.models.version import Version
from headrace.serving.fitting import Fitting
from headrace.serving.models import Models, Served
from headrace.serving.online.sqlite import SqliteStore, write
from headrace.serving.online.store import OnlineTable, Publish, Row
from headrace.serving.service import Service
from tests.support.serving import Sum

FEATURES = {"amount": "double", "spending__amount_sum_7d": "double"}
AT = datetime(2026, 1, 5, tzinfo=UTC)


def made(where: str | None = None) -> Made:
    part = {"column": "amount", "functions": ["sum"], "windows": ["7 days"], "name": None, "where": where}
    spending = {"from": "orders", "entity": ["customer"], "aggregates": [part]}
    return Made(
        training={"from": "orders", "label": "amount > 1", "features": ["spending"]},
        feature_tables={"spending": spending},
        tables={"orders": {"event_time": "at", "columns": {}}},
        through={},
        code={},
    )


@dataclass
class Registry:
    """Versions, each with how the rows were made that it learned from."""

    learned: dict[int, Made]
    champion: int = 1
    tagged: dict[str, str] = field(default_factory=dict)
    tracking_uri: str = "memory"

    def model(self, _: str) -> Any:
        return {"champion": self.champion}, {}

    def version(self, name: str, number: int) -> Version:
        known = digest(whole(self.learned[number], FEATURES))
        return Version(name, number, str(number), {"definitions": known, **self.tagged})

    def load(self, _: Any, version: Version) -> Served:
        return Served(version, ModelCard("binary", FEATURES, "boolean", (False, True), key=("customer",)), Sum(1.0))

    def read_json(self, run_id: str, _: str) -> Mapping[str, Any]:
        return {"definitions": whole(self.learned[int(run_id)], FEATURES)}

    def tag(self, _: Version, tags: Mapping[str, str]) -> None:
        self.tagged |= tags


def published(path: Path, found: Made | None, total: float) -> None:
    table = OnlineTable("aggregates", (("customer", "string"),), (("amount_sum_7d", "double"),))
    rows = [Row("spending", entity_text(("a",)), f"[{total}]", None)]
    write(path, Publish(0, AT, {"spending": table}, {"customer": "string"}, (), found), [rows], ("spending",))


def service(registry: Registry, path: Path) -> Service:
    store = SqliteStore(path)
    models = Models(registry, "shop", ("champion",), registry.load, Fitting(registry, store))  # type: ignore[arg-type]
    return Service(models, Strategy(), store)


def answered(one: Service) -> tuple[int, float]:
    found = one.answer([{"amount": 1.0, "customer": "a"}])[0]
    return found.served.version.number, found.probability


def test_a_server_does_not_begin_with_features_of_other_definitions(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite"
    published(path, made(where="amount > 30"), 5.0)
    with pytest.raises(ConfigError, match="for another version") as raised:
        service(Registry({1: made()}), path)
    assert "+ feature_tables.spending.amount_sum_7d: sum of amount over 7 days where amount > 30" in str(raised.value)
    published(path, made(), 7.0)
    assert answered(service(Registry({1: made()}), path)) == (1, 8.0)


def test_a_publish_of_before_says_nothing(tmp_path: Path) -> None:
    published(tmp_path / "shop.sqlite", None, 5.0)
    assert answered(service(Registry({1: made()}), tmp_path / "shop.sqlite")) == (1, 6.0)


def test_the_new_version_answers_from_the_publish_on_that_was_made_for_it(tmp_path: Path) -> None:
    path, changed = tmp_path / "shop.sqlite", made(where="amount > 30")
    published(path, made(), 5.0)
    registry = Registry({1: made(), 2: changed})
    one = service(registry, path)
    assert answered(one) == (1, 6.0)
    registry.champion = 2
    state = one.models.refresh()
    assert "for another version" in str(state.problem)
    assert answered(one) == (1, 6.0)
    time.sleep(0.002)  # a publish has a number of its own by the millisecond
    published(path, changed, 9.0)
    assert answered(one) == (2, 10.0)  # at the first request, before anybody looked
    assert one.models.state.problem is None


def test_what_somebody_let_pass_answers(tmp_path: Path) -> None:
    path, changed = tmp_path / "shop.sqlite", made(where="amount > 30")
    published(path, changed, 5.0)
    registry = Registry({1: made()})
    registry.tagged = {f"definitions_accepted.{digest(whole(changed, FEATURES))}": "{}"}
    assert answered(service(registry, path)) == (1, 6.0)


def test_a_version_that_looks_nothing_up_answers(tmp_path: Path) -> None:
    published(tmp_path / "shop.sqlite", made(where="amount > 30"), 5.0)
    registry = Registry({1: made()})
    own = ModelCard("binary", {"amount": "double"}, "boolean", (False, True), key=("customer",))
    load = registry.load
    registry.load = lambda store, version: replace(load(store, version), card=own)  # type: ignore[method-assign]
    found = service(registry, tmp_path / "shop.sqlite").answer([{"amount": 1.0, "customer": "a"}])
    assert found[0].probability == 1.0
