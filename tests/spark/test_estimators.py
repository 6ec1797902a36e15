"""The classic estimators: each learns, gives probabilities, and is the same when it is saved and read again."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import functions as F

from headrace.errors import HeadraceError
from headrace.search.baseline import Guess, best, constant
from headrace.search.columns import columns
from headrace.search.estimators import ESTIMATORS
from headrace.search.plan import plan
from headrace.search.preparation import fit_preparation
from headrace.search.prepared import Parts
from headrace.search.problem import look
from headrace.search.space import Point
from headrace.search.target import target
from headrace.search.trial import run_trial
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import FEATURES, facts, pipeline, sqlite, training_set

BANDS = "case when x0 < -0.5 then 'low' when x0 < 0.5 then 'mid' else 'top' end"
LABELS = {"binary": "late", "multiclass": BANDS, "regression": "exp(x0)"}


@pytest.fixture(scope="module")
def prepared(spark):
    """Per task and kind: prepared rows."""
    made = {}

    def rows(task, kind):
        if (task, kind) not in made:
            train = training_set(spark, LABELS[task], 300).where("split = 'train'").coalesce(1)
            indexed = target(train, {}, task).with_index(train)
            known = columns(train, FEATURES, 5)
            model = fit_preparation(indexed, known, plan(kind, known)).model
            made[task, kind] = model.transform(indexed).select("features", "label").cache()
        return made[task, kind]

    yield rows
    for frame in made.values():
        frame.unpersist()


@pytest.mark.parametrize(
    ("task", "name", "params", "least"),
    [
        ("binary", "linear_svc", {}, 0.85),
        ("binary", "naive_bayes", {"model": "multinomial"}, 0.7),
        ("binary", "multilayer_perceptron", {}, 0.85),
        ("multiclass", "multilayer_perceptron", {"layers": 2}, 0.8),
        ("binary", "factorization_machines", {}, 0.8),
        ("multiclass", "factorization_machines", {}, 0.5),
        ("regression", "factorization_machines", {"step": 0.3}, 0.3),
        ("regression", "isotonic_regression", {}, 0.9),
        ("multiclass", "linear_svc", {}, 0.7),
        ("multiclass", "gbt", {"trees": 3, "depth": 2}, 0.9),
        ("multiclass", "naive_bayes", {}, 0.5),
        ("multiclass", "decision_tree", {}, 0.8),
        ("regression", "generalized_linear_regression", {"family": "gamma/log"}, 0.9),
        ("regression", "survival_regression", {}, 0.5),
    ],
)
def test_it_learns_and_is_the_same_when_read_again(prepared, tmp_path, task, name, params, least):
    rows = prepared(task, ESTIMATORS[name].kind)
    point = Point(name, {**ESTIMATORS[name].first, **params})
    metric = {"binary": "areaUnderROC", "multiclass": "f1", "regression": "r2"}[task]
    assert run_trial(point, task, metric, Parts(rows, rows), 1, 1)["value"] > least
    model = PipelineModel([ESTIMATORS[name].build(task, point.params, 1, 1).fit(rows)])
    model.save(str(tmp_path / "model"))
    wanted = ["prediction"] if task == "regression" else ["prediction", "probability"]
    one, other = (
        [tuple(row) for row in m.transform(rows).select(*wanted).collect()]
        for m in (model, PipelineModel.load(str(tmp_path / "model")))
    )
    assert one == other
    if task != "regression":
        given = np.array([row[1].toArray() for row in one])
        assert given.sum(axis=1) == pytest.approx(np.ones(len(one)))
        assert (given.argmax(axis=1) == [row[0] for row in one]).mean() > 0.99  # ties aside
        assert 0.2 < given.max(axis=1).mean() < 1.0


def test_a_family_that_the_labels_do_not_allow_fails_its_trial_only(prepared):
    rows = prepared("regression", "linear").selectExpr("features", "-label as label")
    point = Point("generalized_linear_regression", {"family": "gamma/log", "regularization": 0.1})
    with pytest.raises(Exception, match=r"(?i)gamma") as told:
        run_trial(point, "regression", "rmse", Parts(rows, rows), 1, 1)
    assert not isinstance(told.value, HeadraceError)  # a trial's own failure, which the search records


def test_by_time_the_last_value_is_a_guess_as_well(spark, tmp_path):
    by_time = {"by": "time", "train_until": "2024-01-01", "validation_until": "2024-01-02", "test_until": "2024-01-03"}
    run = FakeRun(spark, tmp_path, pipeline({}, label="id", split=by_time), sqlite(tmp_path))
    table = training_set(spark, "cast(id + 1000 * int(split = 'train' and id > 250) as double)", 300)
    run.put("training_set", table.replace({"purged": "train"}, subset=["split"]), facts("regression", []))
    problem = look(run)
    train = [r.label for r in table.where("split = 'train'").orderBy("id").collect()]
    valid = [r.label for r in table.where("split = 'validation'").collect()]
    rmse = {"mean": np.sqrt(np.mean((np.array(valid) - np.mean(train)) ** 2)),
            "last value": np.sqrt(np.mean((np.array(valid) - train[-1]) ** 2))}  # fmt: skip
    assert problem.folds[0].last == train[-1]
    found = best(problem)
    assert found.name == min(rmse, key=rmse.get)
    assert found.value == pytest.approx(min(rmse.values()))
    assert constant("rmse", problem.folds[0].last, problem.folds[0].parts.validation) == pytest.approx(
        rmse["last value"]
    )


def test_a_constant_says_nothing_of_the_order_and_is_no_last_value(spark, tmp_path):
    by_time = {"by": "time", "train_until": "2024-01-01", "validation_until": "2024-01-02", "test_until": "2024-01-03"}
    run = FakeRun(spark, tmp_path, pipeline({"metric": "concordance"}, label="id", split=by_time), sqlite(tmp_path))
    run.put("training_set", training_set(spark, "cast(id as double)", 300), facts("regression", []))
    problem = look(run)
    assert problem.folds[0].last is None
    assert best(problem) == Guess("constant", 0.5)
    alike = training_set(spark, "cast(if(split = 'validation', 1, id) as double)", 300)  # no two can be compared
    run.put("training_set", alike, facts("regression", []))
    assert np.isnan(best(look(run)).value)


def test_a_survival_regression_says_how_many_labels_are_no_times(prepared):
    rows, point = (
        prepared("regression", "linear"),
        Point("survival_regression", ESTIMATORS["survival_regression"].first),
    )
    wrong = rows.withColumn("label", F.when(F.col("label") < 0.3, 0.0).otherwise(F.col("label")))
    with pytest.raises(HeadraceError, match=f"^{wrong.where('label = 0').count()} labels are 0 or less"):
        run_trial(point, "regression", "concordance", Parts(wrong, wrong), 1, 1)
