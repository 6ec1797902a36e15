"""The best trials together: the mean of members by hand, a stack, what a search makes of them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import functions as F
from sklearn.metrics import roc_auc_score

from headrace.models.predict import predict
from headrace.models.store import ModelStore
from headrace.search.ensemble import ENSEMBLE, fit_together, heard, together
from headrace.search.problem import look
from headrace.search.reproduce import reproduced
from headrace.search.search import refitted
from headrace.search.space import Point
from headrace.search.stage import steps
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import facts, pipeline, shared_home, sqlite, training_set

pytestmark = pytest.mark.usefixtures("interpreted")
BANDS = "case when x0 < -0.5 then 'low' when x0 < 0.5 then 'mid' else 'top' end"
MEMBERS = {
    "binary": ("late", facts(), ("logistic_regression", "decision_tree")),
    "multiclass": (BANDS, facts("multiclass", ["low", "mid", "top"]), ("logistic_regression", "decision_tree")),
    "regression": ("x0 * 2 + count", facts("regression", []), ("linear_regression", "decision_tree")),
}


def _problem(spark, tmp_path, task, by, folds=False):
    label, known, names = MEMBERS[task]
    made = pipeline({"estimators": list(names), "ensemble": {"best": 2, "by": by}})
    run = FakeRun(spark, tmp_path, made, sqlite(tmp_path))
    table = training_set(spark, label, 400).coalesce(2)
    if folds:
        known = known | {"folds": {"count": 2, "by": "hash"}}
        table = table.selectExpr("*", "if(split = 'test', null, int(id % 2 + 1)) fold")
    run.put("training_set", table, known)
    problem = look(run)
    told = [{"estimator": name, "params": dict(problem.recipes[name].first)} for name in names]
    return run, problem, Point(ENSEMBLE, {"by": by, "members": told})


def _frame(rows, classes):
    table = rows.selectExpr("*").toPandas()
    if classes:
        table["probability"] = [row.toArray() for row in table["probability"]]
    return table


@pytest.mark.parametrize("task", MEMBERS)
def test_a_blend_says_the_mean_of_its_members_also_when_it_is_read_again(spark, tmp_path, task):
    _, problem, point = _problem(spark, tmp_path, task, "average")
    rows = problem.folds[0].parts.train
    (blend,) = fit_together(problem, point, rows, 1, 2)
    PipelineModel([blend]).save(str(tmp_path / "model"))
    judged = problem.folds[0].parts.validation.withColumn("nr", F.monotonically_increasing_id()).cache()
    alone = [_frame(one.transform(judged), task != "regression").sort_values("nr") for one in blend.members]
    for model in (blend, PipelineModel.load(str(tmp_path / "model"))):
        told = _frame(model.transform(judged), task != "regression").sort_values("nr")
        assert list(told["label"]) == list(alone[0]["label"])
        if task == "regression":
            wanted = np.mean([one["prediction"] for one in alone], axis=0)
            assert told["prediction"].to_numpy() == pytest.approx(wanted, abs=1e-12)
        else:
            wanted = np.mean([np.stack(one["probability"]) for one in alone], axis=0)
            assert np.stack(told["probability"]) == pytest.approx(wanted, abs=1e-12)
            assert list(told["prediction"]) == list(wanted.argmax(axis=1))
    judged.unpersist()


@pytest.mark.parametrize(
    ("task", "by", "folds"),
    [("binary", "average", True), ("binary", "stacking", False), ("multiclass", "stacking", True),
     ("regression", "stacking", True)],
)  # fmt: skip
def test_what_an_ensemble_is_worth_is_measured_on_rows_that_it_has_not_seen(spark, tmp_path, task, by, folds):
    run, problem, point = _problem(spark, tmp_path, task, by, folds)
    rows = [_row(problem, number, one) for number, one in enumerate(point.params["members"])]
    found, note = together(run, problem, rows, rows[0], 2)
    assert found is not None, note  # its members say that they are worth nothing
    assert found.point == point
    with heard(problem, point, problem.search.seed, 2) as said:
        table = _frame(said, task != "regression")
    assert len(table) == sum(fold.parts.validation.count() for fold in problem.folds)
    if by == "average":
        parts = [part for _, part in table.groupby("__fold")]
        wanted = np.mean([roc_auc_score(p["label"], np.stack(p["probability"])[:, 1]) for p in parts])
        assert found.value == pytest.approx(wanted, abs=1e-9)
    else:
        good = {"binary": 0.85, "multiclass": 0.9}
        assert found.value > good[task] if task in good else found.value < 1.0


def _row(problem, number, member):
    from datetime import UTC, datetime

    from headrace.search.ledger import Row

    now, worst = datetime.now(UTC), 0.0 if problem.larger_is_better else 1e9
    params = json.dumps(member["params"], sort_keys=True)
    loss = worst + number
    return Row("r", "f", number, member["estimator"], params, "ok", "m", worst, loss, 1.0, None, now, now)


def test_a_search_registers_the_ensemble_where_it_is_better_and_reproduces_it(spark, tmp_path, tmp_path_factory):
    uri = sqlite(shared_home(tmp_path_factory))
    conf = {
        "estimators": ["logistic_regression", "decision_tree", "naive_bayes"],
        "max_evals": 4,
        "ensemble": {"best": 3, "by": "stacking"},
        "calibration": "sigmoid",
    }
    run = FakeRun(spark, tmp_path, pipeline(conf), uri, fingerprint="ensemble", run_id="ensemble")
    run.put("training_set", training_set(spark, count=500).coalesce(2), facts())
    done = steps(run.pipeline)[0].run(run)
    run.finish(done)
    rows = run.read("trials").where("trial >= 0").toPandas()
    best = rows[rows["status"] == "ok"]["value"].max()
    winner = rows[rows["status"] == "winner"].iloc[0]
    assert any("trials together (stacking)" in note for note in done.notes), done.notes
    assert (winner["estimator"] == ENSEMBLE) == (winner["value"] > best)
    store = ModelStore(uri)
    problem = look(run)
    told = [{"estimator": n, "params": dict(problem.recipes[n].first)} for n in conf["estimators"][:2]]
    point = Point(ENSEMBLE, {"by": "stacking", "members": told})
    again = refitted(problem, point, 42, 2)
    card = store.card(done.outputs[-1].facts["mlflow_run_id"])
    card = type(card)(
        **{**card.__dict__, "estimator": ENSEMBLE, "params": dict(point.params), "learned": again.learned}
    )
    assert again.learned["calibration"] == "sigmoid"
    uri_of = store.log_model(done.outputs[-1].facts["mlflow_run_id"], again.model, card, ("pyspark",))
    model = store.load(uri_of)
    said = predict(model, card, run.read("training_set"), ["id", "label"]).toPandas()
    assert pd.to_numeric(said["probability"]).between(0, 1).all()
    assert roc_auc_score(said["label"], said["probability"]) > 0.85
    same = reproduced(run, model, card, 1e-6)
    assert (same.rows, same.close) == (500, 500)
