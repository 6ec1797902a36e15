"""Planning and reading an A/B test, against simulations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import numpy as np
import pytest

from headrace.cli.experiment import check_detectable
from headrace.errors import ConfigError
from headrace.models.experiment import needed
from headrace.monitoring.arms import began, compared


def test_planned_rows_find_the_difference_as_often_as_asked() -> None:
    rate, detect, rows = 0.3, 0.05, 4000
    room = NormalDist().inv_cdf(0.975) * (rate * (1 - rate) / rows) ** 0.5
    arms = needed(rate - room, rate + room, rows, detect, {"a": 0.5, "b": 0.5}, power=0.8)
    rng, seen = np.random.default_rng(1), 0
    for _ in range(2000):
        one, other = (rng.binomial(arms[arm], p) / arms[arm] for arm, p in (("a", rate), ("b", rate + detect)))
        error = sum(p * (1 - p) / arms["a"] for p in (one, other)) ** 0.5
        seen += (other - one) / error > NormalDist().inv_cdf(0.975)
    assert seen / 2000 == pytest.approx(0.8, abs=0.03)


def test_a_small_arm_makes_the_test_longer() -> None:
    half = needed(0.4, 0.5, 1000, 0.02, {"a": 0.5, "b": 0.5})
    small = needed(0.4, 0.5, 1000, 0.02, {"a": 0.9, "b": 0.1})
    assert sum(small.values()) == pytest.approx(sum(half.values()) * (1 / 0.9 + 1 / 0.1) / 4, rel=0.001)


def _row(version: str, value: float | None, lower: float | None, upper: float | None, rows: int, metric: str = "f1"):
    return {"granularity": "all", "metric": metric, "model_version": version, "value": value, "lower": lower,
            "upper": upper, "labelled_rows": rows}  # fmt: skip


def test_a_test_begins_when_all_of_its_versions_score() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    days = {"1": 0, "2": 9, "3": 4, "7": 90}
    rows = [{**_row(one, 0.7, 0.6, 0.8, 9), "window_start": start + timedelta(days=n)} for one, n in days.items()]
    rows.append({**rows[0], "granularity": "day", "window_start": start - timedelta(days=9)})
    assert began(rows, {1, 2, 3}) == start + timedelta(days=9)
    assert began(rows, {1, 3, 5}) == start + timedelta(days=4)
    assert began(rows, {1}) is None
    assert began([], {1, 2}) is None
    near = [{**one, "window_start": start + timedelta(hours=n)} for n, one in enumerate(rows)]
    assert began(near, {1, 2, 3}) is None  # who comes first on the first day
    assert began([{**one, "window_start": None} for one in rows], {1, 2}) is None
    told = compared(rows, "f1", 1, [2], start)
    assert told == [
        "version 2 against 1: f1 +0.0000 [-0.1414, +0.1414] (9 and 9 labelled rows since 2026-01-01 00:00 UTC): not beyond chance"
    ]


def test_arms_are_held_against_the_champion() -> None:
    rows = [
        _row("1", 0.70, 0.68, 0.72, 900),
        _row("2", 0.74, 0.71, 0.77, 300),
        _row("3", 0.71, 0.60, 0.82, 20),
        _row("4", None, None, None, 0),
        _row("2", 0.1, 0.1, 0.1, 300, "rmse"),
        {**_row("2", 0.1, 0.0, 0.2, 30), "granularity": "day"},
    ]
    assert compared(rows, "f1", 1, [2, 3, 4, 9]) == [
        "version 2 against 1: f1 +0.0400 [+0.0039, +0.0761] (300 and 900 labelled rows): better beyond chance",
        "version 3 against 1: f1 +0.0100 [-0.1018, +0.1218] (20 and 900 labelled rows): not beyond chance",
    ]
    assert compared(rows, "f1", 2, [1]) == [
        "version 1 against 2: f1 -0.0400 [-0.0761, -0.0039] (900 and 300 labelled rows): worse beyond chance"
    ]
    assert compared(rows[:1], "f1", 1, [2]) == []
    assert compared(rows, "f1", None, [2]) == []
    smaller = [_row("1", 5.0, 4.9, 5.1, 900, "rmse"), _row("2", 5.5, 5.4, 5.6, 900, "rmse")]
    assert compared(smaller, "rmse", 1, [2])[0].endswith("worse beyond chance")
    bare = [_row("1", 5.0, None, None, 9, "own"), _row("2", 6.0, None, None, 8, "own")]
    assert compared(bare, "own", 1, [2]) == [
        "version 2 against 1: own +1.0000 (8 and 9 labelled rows; the metric has no interval)"
    ]


def test_a_difference_that_no_metric_can_show_is_refused() -> None:
    check_detectable("areaUnderROC", 0.01)
    check_detectable("rmse", 1000.0)
    with pytest.raises(ConfigError, match="--detect 2: areaUnderROC lies between 0 and 1"):
        check_detectable("areaUnderROC", 2.0)
