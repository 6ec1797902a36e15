"""Rows that a model has no answer for: set aside with the reason, asked again of another version only."""

from __future__ import annotations

import pytest

from headrace.models.store import ModelStore
from headrace.runtime.home import places
from tests.support.runs import Project

pytestmark = pytest.mark.usefixtures("interpreted")
YAML = """
pipeline: shop
tables: {orders: {source: {format: csv, path: orders.csv}, key: id}}
training_set: {from: orders, label: y, task: regression}
search: {estimators: %s, max_evals: 1}
"""


def test_rows_without_an_answer_are_set_aside_once_per_version(scratch: Project) -> None:
    lines = [f"{i},{i % 37 / 10},{3e10 * (i % 37)}" for i in range(300)]
    lines += [f"{i},{x}," for i, x in ((300, "1.5"), (301, "1.7e308"), (302, ""), (303, "-1.7e308"))]
    scratch.write("orders.csv", "id,x,y\n" + "\n".join(lines) + "\n")
    yaml = YAML % "linear_regression"
    scratch.run(yaml, to="score")
    assert sorted(scratch.rows("predictions", "id")) == [(300,), (302,)]
    columns = ("id", "reason", "model_version")
    first = [(301, "the prediction is infinite", 1), (303, "the prediction is infinite", 1)]
    assert sorted(scratch.rows("predictions_rejected", *columns)) == first

    lines.append("304,2.5,")
    scratch.write("orders.csv", "id,x,y\n" + "\n".join(lines) + "\n")
    scratch.run(yaml, to="clean")
    done = scratch.run(yaml, only="score")
    assert [one.rows_in for one in done.done] == [1]  # those that have no answer are not asked again
    assert sorted(scratch.rows("predictions", "id")) == [(300,), (302,), (304,)]
    assert sorted(scratch.rows("predictions_rejected", *columns)) == first

    scratch.run(YAML % "decision_tree", to="register")
    scratch.run(YAML % "decision_tree", only="score")  # a tree has an answer for everything
    store = ModelStore(places(scratch.pipeline, _environment()).tracking_uri)
    assert store.resolve("shop").number == 2
    assert sorted(scratch.rows("predictions", "id", "model_version")) == [
        (300, 1), (301, 2), (302, 1), (303, 2), (304, 1)]  # fmt: skip
    assert sorted(scratch.rows("predictions_rejected", *columns)) == first

    beside = YAML % "decision_tree" + "scoring: {output: tried, strategy: {canary: {challenger: 1, share: 1}}}\n"
    scratch.run(beside, only="score")
    assert sorted(scratch.rows("tried", "id", "model_version")) == [(300, 1), (302, 1), (304, 1)]
    assert sorted(scratch.rows("tried_rejected", *columns)) == first
    lines.append("305,1.7e308,")
    scratch.write("orders.csv", "id,x,y\n" + "\n".join(lines) + "\n")
    scratch.run(beside, to="clean")
    scratch.run(beside, only="score")  # what the challenger has no answer for is the champion's in the next run
    assert sorted(scratch.rows("tried", "id", "model_version")) == [
        (300, 1), (301, 2), (302, 1), (303, 2), (304, 1)]  # fmt: skip
    assert sorted(scratch.rows("tried_rejected", *columns)) == [*first, (305, "the prediction is infinite", 1)]


def _environment():
    from headrace.config.types import Environment

    return Environment()
