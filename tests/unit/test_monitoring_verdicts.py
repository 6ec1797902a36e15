"""When quality raises an alarm, and which version is the newest, without Spark."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pyspark.errors import AnalysisException

from headrace.monitoring import verdicts
from headrace.monitoring.stage import _tested_rows


@pytest.mark.parametrize(
    ("metric", "bounds", "baseline", "tests", "alarm"),
    [
        ("areaUnderROC", (0.70, 0.65, 0.75), 0.76, 1, True),
        ("areaUnderROC", (0.70, 0.65, 0.75), 0.74, 1, False),
        ("areaUnderROC", (0.70, 0.65, 0.75), 0.60, 1, False),  # better
        ("areaUnderROC", (0.70, 0.65, 0.75), 0.76, 30, False),  # one day of thirty
        ("areaUnderROC", (0.70, 0.65, 0.75), 0.80, 30, True),
        ("rmse", (3.0, 2.5, 3.5), 2.4, 1, True),
        ("rmse", (3.0, 2.5, 3.5), 3.6, 1, False),  # better
        ("rmse", (3.0, None, None), 1.0, 1, False),
        ("rmse", (3.0, 2.5, 3.5), None, 1, False),
    ],
)
def test_an_alarm_is_worse_than_the_baseline_by_more_than_chance(metric, bounds, baseline, tests, alarm):
    row = {"metric": metric, **dict(zip(("value", "lower", "upper"), bounds, strict=True)), "labelled_rows": 30}
    assert verdicts.worse(row, baseline, tests) is alarm
    assert verdicts.worse({**row, "labelled_rows": 29}, baseline, tests) is False


def row(version: str, end: int | None) -> dict[str, object]:
    return {"model_version": version, "window_end": end and datetime(2024, 1, end, tzinfo=UTC)}


def test_the_newest_version_is_the_one_that_predicted_last():
    assert verdicts.newest([row("2", 9), row("1", 12), row("3", 3)]) == "1"  # after a rollback
    assert verdicts.newest([row("9", None), row("10", None)]) == "10"
    assert verdicts.newest([]) is None


def test_a_test_that_the_table_does_not_hold_any_more_is_told_and_left_out() -> None:
    class Run:
        def __init__(self) -> None:
            self.said: list[str] = []

        def read_version(self, table: str, version: int) -> None:
            raise AnalysisException("[DELTA_VERSION_NOT_FOUND] Cannot time travel Delta table to version 7.")

        def say(self, text: str) -> None:
            self.said.append(text)

    run = Run()
    assert _tested_rows(run, "3", 7) is None  # type: ignore[arg-type]
    assert run.said == [
        "test_predictions has no version 7 any more: model version 3 is not held against its test",
    ]
