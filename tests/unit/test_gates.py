"""Gates on rows of `evaluation`."""

from __future__ import annotations

import math

import pytest

from headrace.config.learning import Gate
from headrace.config.types import Pipeline
from headrace.errors import ConfigError
from headrace.metrics.measure import Difference
from headrace.registry.gates import Incomparable, judge
from headrace.registry.stage import steps


def _row(metric, value, rows=1000, column=None, text=None):
    return {"metric": metric, "value": value, "rows": rows, "slice_column": column, "slice_value": text}


ROWS = [
    _row("areaUnderROC", 0.71),
    _row("logLoss", 0.4),
    _row("areaUnderROC", 0.5, 99, "carrier", "HA"),
    _row("areaUnderROC", 0.59, 200, "carrier", "AS"),
    _row("areaUnderROC", 0.7, 900, "carrier", "UA"),
    _row("areaUnderROC", None, 500, "carrier", "OO"),
]


def _verdict(**gate):
    [found] = judge([Gate(**gate)], ROWS, "binary", lambda _: "there is none yet")
    return found


def test_bounds():
    assert _verdict(metric="areaUnderROC", at_least=0.71).passed
    assert _verdict(metric="logLoss", at_most=0.4).passed
    refused = _verdict(metric="logLoss", at_most=0.39)
    assert (refused.passed, refused.text) == (False, "logLoss = 0.4000, wanted <= 0.39")
    assert not _verdict(metric="areaUnderPR", at_least=0.1).passed


def test_slices_with_fewer_rows_or_one_class_are_not_judged():
    assert _verdict(metric="areaUnderROC", at_least=0.55, slice="carrier").passed
    refused = _verdict(metric="areaUnderROC", at_least=0.6, slice="carrier")
    assert not refused.passed
    assert "1 of 2 do not: AS = 0.5900 (200 rows)" in refused.text
    assert not _verdict(metric="areaUnderROC", at_least=0.55, slice="carrier", min_rows=50).passed


@pytest.mark.parametrize(("lower", "passed"), [(0.001, True), (0.0, False), (-0.01, False)])
def test_the_champion_is_beaten_when_the_whole_interval_is_above_zero(lower, passed):
    asked = []

    def beats(metric):
        asked.append(metric)
        return Difference(metric, 0.01, lower, 0.02)

    [found] = judge([Gate(beats="champion")], ROWS, "binary", beats)
    assert (found.passed, asked) == (passed, ["areaUnderROC"])


def test_a_champion_that_cannot_be_compared_is_not_beaten():
    [found] = judge([Gate(beats="champion")], ROWS, "topics", lambda _: Incomparable("other words"))
    assert not found.passed
    assert found.text.startswith("beats champion: other words; to take it all the same: headrace promote")


@pytest.mark.parametrize(
    ("compared", "passed", "says"),
    [
        (Difference("profit", 0.01), True, "(a metric in Python: no interval)"),
        (Difference("profit", 0.0), False, "(a metric in Python: no interval), wanted above zero"),
        (Difference("concordance", 0.01), False, "+0.0100 on the same rows (too few, or too alike, for an interval)"),
        (Difference("concordance", math.nan), False, "concordance of one of the two is not defined on the same rows"),
    ],
)
def test_without_an_interval_only_a_metric_in_python_can_beat_the_champion(compared, passed, says):
    [found] = judge([Gate(beats="champion")], ROWS, "survival", lambda _: compared)
    assert found.passed == passed
    assert says in found.text


def test_a_metric_of_another_task_is_a_mistake():
    with pytest.raises(ConfigError, match="'rmse' is no metric of the task binary"):
        judge([Gate(metric="rmse", at_most=1.0)], ROWS, "binary", lambda _: "")
    pipeline = Pipeline.model_validate(
        {
            "pipeline": "demo",
            "tables": {"t": {"source": {"format": "csv", "path": "t.csv"}}},
            "training_set": {"from": "t", "label": "x"},
            "gates": [{"metric": "auc", "at_least": 0.5}],
        }
    )
    with pytest.raises(ConfigError, match=r"gates\[0\].metric: 'auc' is no metric"):
        steps(pipeline)
