"""Nested searches: nothing of a fold reaches the search that is judged on it; values by brute force; a second run."""

from __future__ import annotations

import json
from statistics import fmean

import pytest

from headrace.engine.folds import Cut
from headrace.metrics.evaluators import model_metric
from headrace.models.store import ModelStore
from headrace.search import judging
from headrace.search.attempt import attempt
from headrace.search.nested import INNER
from headrace.search.problem import look, within
from headrace.search.search import refitted
from headrace.search.space import Point
from headrace.search.stage import steps
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import facts, pipeline, shared_home, sqlite
from tests.spark.test_fold_search import TIMED, folded

pytestmark = pytest.mark.usefixtures("interpreted")
HASHED = Cut(3, "hash")
CONF = {
    "max_evals": 2,
    "parallelism": 1,
    "algorithm": "random",
    "estimators": ["decision_tree"],
    "distribute": "jobs",
    "nested": True,
    "warm_start": 1,
}


@pytest.mark.parametrize(("cut", "fold"), [(HASHED, 2), (TIMED, 2)], ids=["hash", "time"])
def test_no_row_of_the_fold_is_in_the_problem_within_it(spark, tmp_path, tmp_path_factory, cut, fold):
    run = FakeRun(spark, tmp_path, pipeline(CONF), sqlite(shared_home(tmp_path_factory)))
    table = folded(spark, cut)
    run.put("training_set", table, facts() | {"folds": cut.as_dict()})
    problem = look(run)
    inner, judged = within(problem, fold)
    assert [one.number for one in inner.folds] == ([1, 3] if cut is HASHED else [1])
    wanted = table.where(cut.trains(fold)).where("label is not null").count()
    assert inner.known.raw.count() == wanted
    assert judged.count() == table.where(cut.validates(fold)).count()
    for one in inner.folds:
        rows = table.where(cut.trains(fold))
        assert one.parts.train.count() == rows.where(cut.trains(one.number)).count() > 0
        assert one.parts.validation.count() == rows.where(cut.validates(one.number)).count() > 0
    assert inner.search.warm_start == 0


def test_what_a_search_is_worth(spark, tmp_path, tmp_path_factory, monkeypatch):
    uri = sqlite(shared_home(tmp_path_factory))
    run = FakeRun(spark, tmp_path, pipeline(CONF), uri, fingerprint="nested", run_id="nested", name="nested")
    run.put("training_set", folded(spark, HASHED).coalesce(2), facts() | {"folds": HASHED.as_dict()})
    done = steps(run.pipeline)[0].run(run)
    run.finish(done)
    (note,) = [one for one in done.notes if one.startswith("nested: ")]
    problem, values = look(run), []
    for fold in (1, 2, 3):  # slow and obvious: the best of the trials within, fitted and measured anew
        trials = run.read("trials").where(f"fingerprint = 'nested{INNER}{fold}' and status = 'ok'")
        rows = trials.orderBy("trial").collect()
        assert [len(row["fold_values"]) for row in rows] == [2, 2]
        best = max(rows, key=lambda row: row["value"])
        inner, judged = within(problem, fold)
        model = refitted(inner, Point(best["estimator"], json.loads(best["params"])), 42, 2).model
        values.append(model_metric(model.transform(judged), "binary", "areaUnderROC"))
        assert f"{values[-1]:.4f}" in note, (
            fold,
            best["params"],
            [(row["params"], row["fold_values"]) for row in rows],
        )
    assert f"nested: areaUnderROC {fmean(values):.4f} on average" in note
    parent = ModelStore(uri).client.get_run(done.outputs[-1].facts["mlflow_run_id"])
    assert parent.data.metrics["nested_areaUnderROC"] == pytest.approx(fmean(values), abs=1e-9)

    tried = []
    before = judging.run_trial
    monkeypatch.setattr(judging, "run_trial", lambda *given: tried.append(given[0]) or before(*given))
    again = FakeRun(spark, tmp_path, pipeline(CONF), uri, fingerprint="nested", run_id="again", name="nested")
    assert attempt(again) == "nested"  # a search within is no attempt of its own
    told = steps(again.pipeline)[0].run(again).notes
    assert note in told
    assert tried == []
