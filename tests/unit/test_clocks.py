"""When an event is known, until when a looked-up row counts, and a density that no number can tell."""

from __future__ import annotations

import numpy as np
import pytest

from headrace.config.types import FeatureTable, Table
from headrace.engine.definitions import known_at
from headrace.features.views import views
from headrace.models.density import Mixture


@pytest.mark.parametrize(
    ("times", "clock", "known"),
    [
        ({"event_time": "delivered"}, "ordered", "delivered"),
        ({"event_time": "delivered"}, None, None),
        ({"event_time": "delivered", "available_at": "told"}, "ordered", "told"),
        ({}, "ordered", None),
    ],
)
def test_an_event_is_known_at_its_event_time_whatever_the_clock(
    times: dict[str, str], clock: str | None, known: str | None
) -> None:
    source = Table.model_validate({"source": {"format": "csv", "path": "x.csv"}, **times})
    feature = FeatureTable.model_validate({"from": "orders", "entity": "id", "latest": ["amount"], "time": clock})
    assert known_at(feature, source) == known


def test_a_looked_up_row_holds_until_it_is_too_old() -> None:
    base = {"from": "weather", "entity": "origin", "latest": ["temp"]}
    columns = ["origin", "event_time", "available_at", "temp"]
    aged, for_ever = (
        views("sky", FeatureTable.model_validate({**base, **more}), columns)["latest_features"]
        for more in ({"max_age": "3 hours"}, {})
    )
    assert "CAST(event_time AS TIMESTAMP)) + 10800000000)" in aged
    assert "CAST(NULL AS TIMESTAMP) AS valid_until" in for_ever


def test_what_lies_beyond_all_numbers_has_a_density() -> None:
    found = Mixture.of([1.0], [[0.0]], [[[1.0]]]).log_density(np.array([[0.0], [1e200]]))
    assert np.isfinite(found).all()
    assert found[1] < found[0]
