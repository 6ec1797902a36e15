"""The search: preparation, trials on driver threads, what a restart keeps, the refitted winner."""

from __future__ import annotations

import json
import threading
import time

import hyperopt
import numpy as np
import pytest
from hyperopt import hp

from headrace.errors import ConfigError, DataError, HeadraceError
from headrace.models.predict import predict
from headrace.models.store import ModelStore
from headrace.search.columns import columns
from headrace.search.driver_trials import DriverTrials
from headrace.search.estimators import ESTIMATORS
from headrace.search.plan import plan
from headrace.search.preparation import fit_preparation
from headrace.search.prepared import Parts, Prepared
from headrace.search.problem import look
from headrace.search.space import Point
from headrace.search.stage import steps
from headrace.search.target import target
from headrace.search.trial import run_trial
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import FEATURES, facts, pipeline, shared_home, sqlite, training_set


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return shared_home(tmp_path_factory)


@pytest.fixture(scope="module")
def table(spark):
    frame = training_set(spark).coalesce(2).cache()
    frame.count()
    yield frame
    frame.unpersist()


@pytest.fixture(scope="module")
def searched(spark, home, table):
    """A whole search, run once."""
    search = {
        "max_evals": 3,
        "parallelism": 2,
        "estimators": ["logistic_regression", "xgboost"],
        "timeout": "3 minutes",
    }
    run = FakeRun(spark, home, pipeline(search).overridden(("search.max_evals=3",)), sqlite(home))
    run.put("training_set", table, facts())
    done = steps(run.pipeline)[0].run(run)
    run.finish(done)
    return run, done


def test_what_is_learned_of_the_columns_comes_from_training_rows_only(table):
    train = table.where("split = 'train'")
    found = columns(train, FEATURES, max_categories=2)
    assert found.numeric == ("x0", "x1", "count", "weekend")
    assert found.missing == ("x1",)
    assert found.categories == {"carrier": ("AA", "BB")}
    assert found.dropped == {"same": "always the same"}
    other = columns(train.union(table.where("split <> 'train'").selectExpr(*_with(table, carrier="'ZZ'"))), FEATURES, 2)
    assert other.categories != found.categories


def made_of(train, keep, kind):
    known = columns(train, FEATURES, keep)
    return fit_preparation(train, known, plan(kind, known)).model


def _with(frame, **changes):
    return [f"{changes[name]} {name}" if name in changes else name for name in frame.columns]


@pytest.mark.parametrize(("kind", "width"), [("linear", 8), ("tree", 6), ("native", 5)])
def test_unseen_and_missing_values_are_scored(spark, table, kind, width):
    train = table.where("split = 'train'")
    model = made_of(train, 2, kind)
    strange = spark.sql(
        "select double(null) x0, double('nan') x1, bigint(null) count, boolean(null) weekend, 'new' carrier, 1d same "
        "union all select double('infinity'), 1d, 2l, true, null, 1d "
        "union all select 0d, 1d, 2l, true, 'CC', 1d"
    )
    vectors = [row["features"].toArray() for row in model.transform(strange).collect()]
    assert {len(vector) for vector in vectors} == {width}
    if kind == "native":
        assert np.isnan(vectors[0][:4]).all()
    else:
        assert np.isfinite(np.array(vectors)).all()
    last = slice(-3, None) if kind == "linear" else slice(-1, None)
    assert (vectors[0][last] == vectors[1][last]).all()  # new, null and rare are one category
    assert (vectors[0][last] == vectors[2][last]).all()


def test_scaling_and_medians_are_those_of_the_training_rows(table):
    train = table.where("split = 'train'")
    model = made_of(train, 5, "linear")
    scaled = np.array([row["features"].toArray() for row in model.transform(train).select("features").collect()])
    assert scaled[:, :4].mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-9)
    assert scaled[:, :4].std(axis=0, ddof=1) == pytest.approx(np.ones(4))
    imputed = {row["x1__filled"] for row in model.transform(train).where("x1 is null").select("x1__filled").collect()}
    median = train.approxQuantile("x1", [0.5], 0.0)[0]
    assert len(imputed) == 1
    assert imputed.pop() == pytest.approx(median, abs=0.02)


def test_the_winner_is_the_best_trial_refitted_and_can_be_loaded_and_scored(searched):
    run, done = searched
    rows = [row.asDict() for row in run.read("trials").orderBy("trial", "finished_at").collect()]
    ok, winner = [r for r in rows if r["status"] == "ok"], [r for r in rows if r["status"] == "winner"]
    assert [r["trial"] for r in ok] == [0, 1, 2]
    assert [r["estimator"] for r in ok[:2]] == ["xgboost", "logistic_regression"]
    assert len(winner) == 1
    best = max(ok, key=lambda r: r["value"])
    assert (winner[0]["trial"], winner[0]["params"], winner[0]["value"]) == (
        best["trial"],
        best["params"],
        best["value"],
    )
    assert best["value"] > 0.8
    assert "wins of 3 trials" in done.notes[0]
    assert f"0.5000 without any feature (class shares): better by {best['value'] - 0.5:.4f})" in done.notes[0]
    told = done.metrics["validation"]["areaUnderROC"]
    assert told == {"value": best["value"], "baseline": 0.5, "better_by": best["value"] - 0.5}
    baseline = next(r for r in rows if r["status"] == "baseline")
    assert (baseline["trial"], baseline["value"], baseline["loss"]) == (-1, 0.5, None)
    assert baseline["finished_at"] <= min(r["started_at"] for r in ok)
    known = run.facts("trials")["facts"]
    store = ModelStore(run.tracking_uri)
    card = store.card(known["mlflow_run_id"])
    assert (card.labels, card.positive, card.task) == ((False, True), True, "binary")
    assert list(card.features) == ["x0", "x1", "count", "weekend", "carrier"]
    scored = predict(store.load(known["model_uri"]), card, run.read("training_set"), ["id", "label"])
    assert scored.dtypes == [
        ("id", "bigint"),
        ("label", "boolean"),
        ("prediction", "boolean"),
        ("probability", "double"),
    ]
    right, rows_ = scored.selectExpr("avg(double(label = prediction))", "count(*)").first()
    assert right > 0.8
    assert rows_ == 900
    with pytest.raises(DataError, match="- x0 double"):
        predict(store.load(known["model_uri"]), card, run.read("training_set").drop("x0"), ["id"])


def test_mlflow_has_a_parent_run_with_a_child_per_trial(searched):
    run, _ = searched
    client = ModelStore(run.tracking_uri).client
    experiment = client.get_experiment_by_name("demo")
    parent = run.facts("trials")["facts"]["mlflow_run_id"]
    runs = client.search_runs([experiment.experiment_id])
    children = [one for one in runs if one.data.tags.get("mlflow.parentRunId") == parent]
    assert len(children) == 3
    assert {one.data.params["estimator"] for one in children} <= {"logistic_regression", "xgboost"}
    assert all("areaUnderROC" in one.data.metrics for one in children)
    assert experiment.artifact_location.endswith("mlflow/artifacts/demo")
    assert client.get_run(parent).data.tags["headrace.overrides"] == '["search.max_evals=3"]'


def test_a_restart_repeats_no_finished_trial_and_uses_the_same_parent_run(spark, home, searched):
    first, _ = searched
    search = first.pipeline.search.model_dump(exclude_unset=True) | {"max_evals": 4}
    again = FakeRun(spark, home, pipeline(search), first.tracking_uri, run_id="r2")
    done = steps(again.pipeline)[0].run(again)
    ok = again.read("trials").where("status = 'ok'").orderBy("trial").collect()
    assert [(row["run_id"], row["trial"]) for row in ok] == [("r1", 0), ("r1", 1), ("r1", 2), ("r2", 3)]
    assert len({row["params"] for row in ok}) == 4
    assert done.outputs[0].facts["mlflow_run_id"] == first.facts("trials")["facts"]["mlflow_run_id"]
    assert "3 finished trials of an earlier run are kept" in again.said


def test_a_failing_trial_is_recorded_and_all_failing_is_an_error(spark, home, tmp_path, table, monkeypatch):
    def broken(*_):
        raise ValueError("no such luck")

    for name in ("gbt", "random_forest"):
        monkeypatch.setitem(ESTIMATORS, name, type(ESTIMATORS[name])(**{**ESTIMATORS[name].__dict__, "build": broken}))
    run = FakeRun(spark, tmp_path, pipeline({"max_evals": 2, "estimators": ["gbt", "random_forest"]}), sqlite(home))
    run.put("training_set", table, facts())
    with pytest.raises(HeadraceError, match=r"none of 2 trials finished:(.|\n)*no such luck"):
        steps(run.pipeline)[0].run(run)
    rows = run.read("trials").where("trial >= 0").select("status", "error").collect()
    assert [tuple(row) for row in rows] == [("failed", "ValueError: no such luck")] * 2


def _trials(spark, parallelism=2, trial_timeout=None, deadline=None, hopeful=False):
    finished, of = [], (parallelism, trial_timeout, deadline)
    return DriverTrials(spark.sparkContext, "t", *of, finished.append, hopeful=hopeful), finished


def _search(trials, objective, max_evals, timeout=None):
    hyperopt.fmin(
        objective,
        hp.uniform("x", 0, 1),
        algo=hyperopt.rand.suggest,
        max_evals=max_evals,
        timeout=timeout,
        trials=trials,
        rstate=np.random.default_rng(1),
        verbose=False,
        show_progressbar=False,
        return_argmin=False,
    )


def test_a_trial_whose_time_is_over_is_cancelled_and_the_others_are_not(spark):
    trials, finished = _trials(spark, trial_timeout=2.0)
    turn = threading.Lock()
    count = [0]

    def objective(x):
        with turn:
            count[0] += 1
            slow = count[0] == 1
        for _ in range(300 if slow else 1):  # many short jobs: a cancel between two of them is lost
            spark.range(2000, numPartitions=1).selectExpr("max(id)").collect()
        return {"status": "ok", "loss": x}

    _search(trials, objective, 3)
    assert sorted(one.status for one in finished) == ["ok", "ok", "timed_out"]
    assert not spark.sparkContext.statusTracker().getActiveJobsIds()


@pytest.mark.parametrize("late", [0.0, 6.0], ids=["before the first began", "while it ran"])
def test_a_search_on_a_slow_day_ends_with_its_first_finished_trial(spark, late):
    trials, finished = _trials(spark, deadline=time.monotonic() + late)
    begun = []

    def objective(x):
        begun.append(x)
        endless = len(begun) > 1
        while True:
            spark.range(2000, numPartitions=1).selectExpr("max(id)").collect()
            if not endless and time.monotonic() - began > late + 1:
                return {"status": "ok", "loss": x}

    began = time.monotonic()
    _search(trials, objective, 6, timeout=late or 2.0)  # as the search gives it; hyperopt stops asking then
    assert sorted(one.status for one in finished) == (["ok"] if late == 0 else ["cancelled", "ok"])
    assert len(trials.trials) == len(finished)


def test_a_late_search_whose_trials_fail_ends(spark):
    trials, finished = _trials(spark, deadline=time.monotonic())

    def objective(_):
        raise ValueError("no such luck")

    _search(trials, objective, 6)
    assert [one.status for one in finished] == ["failed"]


@pytest.mark.parametrize("name", ["xgboost", "gbt"])
def test_the_end_of_the_search_cancels_running_fits(spark, table, home, name):
    run = FakeRun(spark, home, pipeline(), sqlite(home))
    run.put("training_set", table, facts())
    problem = look(run)
    of = plan(ESTIMATORS[name].kind, problem.columns)
    prepared = Prepared(problem.folds, [(0, of)])
    prepared.start()
    with prepared.using(0, of) as parts:
        pass
    trials, finished = _trials(spark, deadline=time.monotonic() + 4, parallelism=1, hopeful=True)
    endless = Point(name, dict(ESTIMATORS[name].first) | {"trees": 100_000})
    began = time.monotonic()
    _search(trials, lambda _: run_trial(endless, "binary", "areaUnderROC", parts, 1, 1), 5)
    assert [(one.status, one.error) for one in finished] == [("cancelled", "the time of the search was over")]
    assert time.monotonic() - began < 25
    assert not spark.sparkContext.statusTracker().getActiveJobsIds()
    prepared.release()


BANDS = "case when x0 < -0.5 then 'low' when x0 < 0.5 then 'mid' else 'top' end"


@pytest.mark.parametrize(
    ("label", "task", "labels", "name"),
    [
        (BANDS, "multiclass", ["low", "mid", "top"], "xgboost"),
        (BANDS, "multiclass", ["low", "mid", "top"], "random_forest"),
        ("x0 * 2 + 1", "regression", [], "gbt"),
        ("x0 * 2 + 1", "regression", [], "linear_regression"),
    ],
)
def test_other_tasks(spark, label, task, labels, name):
    train = training_set(spark, label, 400).where("split = 'train'")
    found = target(train, {}, None)
    assert (found.task, list(found.labels)) == (task, labels)
    rows = found.with_index(train)
    known = columns(train, FEATURES, 5)
    made = fit_preparation(rows, known, plan(ESTIMATORS[name].kind, known))
    prepared = made.model.transform(rows).select("features", "label").cache()
    point = Point(name, dict(ESTIMATORS[name].first) | ({"trees": 10} if "trees" in ESTIMATORS[name].first else {}))
    metric = "f1" if task == "multiclass" else "r2"
    result = run_trial(point, task, metric, Parts(prepared, prepared), 1, 1)
    assert result["value"] > 0.8
    assert result["loss"] == -result["value"]
    prepared.unpersist()


def test_what_cannot_be_learned_is_refused(spark, table):
    one = table.selectExpr(*_with(table, label="true")).where("split = 'train'")
    with pytest.raises(DataError, match="every training row has the label True"):
        target(one, {}, None)
    with pytest.raises(DataError, match="no row with a label"):
        target(one.where("false"), {}, None)
    many = table.selectExpr(*_with(table, label="id % 5"))
    with pytest.raises(DataError, match="has 5 values in the training part, and the task is binary"):
        target(many, {}, "binary")


def test_a_named_estimator_that_cannot_learn_the_task_is_a_mistake(spark, home, table):
    run = FakeRun(spark, home, pipeline({"estimators": ["linear_regression"]}), sqlite(home))
    run.put("training_set", table.selectExpr(*_with(table, label="carrier")), facts("multiclass", ["AA", "BB", "CC"]))
    with pytest.raises(ConfigError, match="linear_regression cannot learn a multiclass label"):
        look(run)


def test_params_are_json(searched):
    run, _ = searched
    params = [json.loads(row["params"]) for row in run.read("trials").where("estimator = 'xgboost'").collect()]
    assert all(isinstance(one["trees"], int) for one in params)
