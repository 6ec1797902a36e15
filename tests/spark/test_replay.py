"""Replay: what passes now leaves the quarantine exactly once, and every row stays accounted for."""

from __future__ import annotations

import pytest

from headrace import flow
from headrace.cli.summary import balances
from headrace.cli.tending.replay import replayed
from headrace.config.reading import read_pipeline
from headrace.config.types import Environment
from headrace.errors import HeadraceError
from headrace.runtime.progress import Progress
from headrace.runtime.runner import Options, Runner
from headrace.validate.replay import moved
from headrace.validate.rules import judge
from tests.support.runs import Project

pytestmark = pytest.mark.usefixtures("interpreted")

YAML = """
pipeline: shop
tables:
  orders:
    source: {format: csv, path: orders.csv}
    key: order
    rules:
      - {name: positive, check: "amount > 0"}
      - {name: small, check: "amount < 100"}
"""
ROWS = "order,amount\n1,10\n2,-1\n2,-1\n3,500\n1,-7\n4,-600\n5,20\n"
MENDED = YAML.replace("amount > 0", "amount >= -7")


def replay(project: Project, yaml: str, **options: object) -> list[str]:
    pipeline, environment = read_pipeline(project.write("pipeline.yaml", yaml))
    project.pipeline = pipeline
    return replayed(project.spark, pipeline, environment, **options)  # type: ignore[arg-type]


def test_what_passes_after_a_rule_was_mended_moves_once_and_is_told_by_rule(scratch: Project) -> None:
    scratch.write("orders.csv", ROWS)
    scratch.run(YAML)
    assert scratch.rows("orders", "order", "amount") == [(1, 10), (5, 20)]

    first = replay(scratch, MENDED)

    assert first == [
        "orders: 7 in = 3 kept + 2 quarantined + 2 merged",
        "  before: 2 kept + 5 quarantined + 0 merged".replace("before: ", "before: 7 in = "),
        "  3 rows left the quarantine",
        "               3  rows that had broken positive",
        "  0 rows came into it",
    ]
    kept = scratch.rows("orders", "order", "amount")
    assert kept == [(1, 10), (2, -1), (5, 20)]  # of the two orders 1 the greater stays, as in clean
    assert scratch.rows("orders_quarantine", "order", "_reasons") == [("3", ["small"]), ("4", ["positive"])]
    assert replay(scratch, MENDED)[1:] == ["  nothing moved: rules and rows are as they were"]
    assert scratch.rows("orders", "order", "amount") == kept


def test_killed_between_the_two_commits_no_row_is_lost_or_doubled(scratch: Project) -> None:
    scratch.write("orders.csv", ROWS)
    scratch.run(YAML)
    pipeline, environment = read_pipeline(scratch.write("pipeline.yaml", MENDED))
    validate = [s for s in flow.steps(pipeline) if s.stage == "validate"]
    Runner(scratch.spark, pipeline, environment, Options(), Progress()).run(validate)  # and no further
    assert scratch.rows("orders", "order") == [(1,), (5,)]

    told = replay(scratch, MENDED)

    assert "  3 rows left the quarantine" in told
    assert scratch.rows("orders", "order", "amount") == [(1, 10), (2, -1), (5, 20)]
    assert replay(scratch, MENDED, tables=["orders"])[1:] == ["  nothing moved: rules and rows are as they were"]


def test_a_row_lost_on_the_way_fails_the_run_and_writes_nothing(
    scratch: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch.write("orders.csv", ROWS)
    outcome = scratch.run(YAML)
    assert balances(outcome) == [{"name": "orders", "rows_in": 7, "kept": 2, "quarantined": 5, "merged": 0}]
    pipeline, _ = read_pipeline(scratch.write("pipeline.yaml", MENDED))
    runner = Runner(scratch.spark, pipeline, Environment(), Options(), Progress())
    steps = [s for s in flow.steps(pipeline) if s.stage in flow.INSEPARABLE]
    runner.run(steps[:1])
    monkeypatch.setattr(  # one row fewer than was judged: clean must judge again, and must see it
        "headrace.flow.judge", lambda frame, *rest, **more: judge(frame.where("`order` <> 5"), *rest, **more)
    )
    with pytest.raises(HeadraceError, match="5 rows were judged good and 4 are there; nothing was written"):
        Runner(scratch.spark, pipeline, Environment(), Options(), Progress()).run(flow.steps(pipeline)[1:3])
    assert scratch.rows("orders", "order") == [(1,), (5,)]


def test_moved_rows_are_told_apart_by_all_they_hold(scratch: Project) -> None:
    sql = "select * from values ('1', null, array('a')), ('1', null, array('a')), ('2', 'x', array('a', 'b'))"
    before = scratch.spark.sql(f"{sql} as t(id, note, _reasons)")
    later = "select '1' id, array('b') _reasons union all select '3', array('b', 'c')"
    found = sorted(map(tuple, moved(before, scratch.spark.sql(later)).collect()))
    assert found == [
        ("came", "", 1), ("came", "b", 1), ("came", "c", 1), ("left", "", 2), ("left", "a", 2), ("left", "b", 1),
    ]  # fmt: skip
