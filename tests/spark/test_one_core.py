"""Learners of one core: as estimators of Spark ML, and tried in Spark tasks on rows that are handed over once."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql.types import DoubleType, StructField, StructType
from sklearn.linear_model import RidgeClassifier
from sklearn.tree import DecisionTreeClassifier

from headrace.errors import HeadraceError
from headrace.models import single_node
from headrace.models.predict import predict
from headrace.models.single_node import SingleNode
from headrace.models.store import ModelStore
from headrace.search.estimators import ESTIMATORS
from headrace.search.handed import Handed
from headrace.search.prepared import Parts
from headrace.search.space import Point
from headrace.search.stage import steps
from headrace.search.task_trials import Trial, in_task
from headrace.search.trial import run_trial
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import facts, pipeline, shared_home, sqlite, training_set

pytestmark = pytest.mark.usefixtures("interpreted")
CHANCE = np.random.default_rng(3)
X = CHANCE.normal(size=(400, 3))
X[::7, 1] = np.nan
LABELS = {
    "binary": (X[:, 0] + 0.5 * CHANCE.normal(size=400) > 0.8).astype(float),
    "multiclass": np.digitize(X[:, 0], [-0.5, 0.7]).astype(float),
    "regression": X[:, 0] * 2 + 1,
}
SCHEMA = StructType([StructField("features", VectorUDT()), StructField("label", DoubleType())])
METRICS = {
    "binary": ("areaUnderROC", "areaUnderPR", "f1", "accuracy", "logLoss", "weightedPrecision", "weightedRecall"),
    "multiclass": ("f1", "logLoss"),
    "regression": ("rmse", "r2", "mae", "mse"),
}


@pytest.fixture(scope="module")
def prepared(spark):
    """Per task: rows that train and rows that validate."""
    made = {}

    def parts(task):
        if task not in made:
            rows = [(Vectors.dense(x), float(y)) for x, y in zip(X, LABELS[task], strict=True)]
            both = (spark.createDataFrame(some, SCHEMA).coalesce(2).cache() for some in (rows[:300], rows[300:]))
            made[task] = tuple(both)
        return made[task]

    yield parts
    for frame in [frame for frames in made.values() for frame in frames]:
        frame.unpersist()


@pytest.mark.parametrize("task", LABELS)
def test_a_learner_is_the_same_in_a_task_in_a_job_by_itself_and_when_read_again(prepared, spark, tmp_path, task):
    train, validation = prepared(task)
    recipe = ESTIMATORS["hist_gradient_boosting"]
    params = {**recipe.first, "trees": 12}
    alone = recipe.alone(task, params, 1).fit(X[:300], LABELS[task][:300])
    model = recipe.build(task, params, 1, 1).fit(train)
    PipelineModel([model]).save(str(tmp_path / "model"))
    for one in (model, PipelineModel.load(str(tmp_path / "model"))):
        told = one.transform(validation).collect()
        assert [row["prediction"] for row in told] == list(alone.predict(X[300:]))
        if task != "regression":
            given = np.array([row["probability"].toArray() for row in told])
            assert (given == alone.predict_proba(X[300:])).all()
    rows = Handed(train, validation, 400)
    assert rows.size == 400 * 3 * 8
    for metric in METRICS[task]:
        wanted = run_trial(Point("hist_gradient_boosting", params), task, metric, Parts(train, validation), 1, 1)
        trial = Trial(rows.handle(), recipe.alone(task, params, 1), task, metric)
        assert in_task(spark.sparkContext, trial) == pytest.approx(wanted["value"], abs=1e-12), metric
    rows.unpersist()


def test_xgboost_says_the_same_in_a_task_and_in_jobs_of_one_worker(prepared, spark):
    train, validation = (frame.coalesce(1) for frame in prepared("binary"))
    recipe = ESTIMATORS["xgboost"]
    params = {**recipe.first, "trees": 10, "min_child_weight": 1}
    wanted = run_trial(Point("xgboost", params), "binary", "logLoss", Parts(train, validation), 1, 1)
    rows = Handed(train, validation, 400)
    trial = Trial(rows.handle(), recipe.alone("binary", params, 1), "binary", "logLoss")
    assert in_task(spark.sparkContext, trial) == pytest.approx(wanted["value"], rel=1e-3)
    rows.unpersist()


def test_weights_make_rare_classes_count_and_probabilities_stay_honest(prepared, spark):
    train, validation = prepared("binary")
    params = {**ESTIMATORS["hist_gradient_boosting"].first, "trees": 12}
    point, rows = Point("hist_gradient_boosting", params), Handed(train, validation, 400)
    for metric in ("logLoss", "weightedRecall"):
        learner = ESTIMATORS["hist_gradient_boosting"].alone("binary", params, 1)
        weighted = in_task(spark.sparkContext, Trial(rows.handle(), learner, "binary", metric, weighted=True))
        wanted = run_trial(point, "binary", metric, Parts(train, validation), 1, 1, balance="weights")["value"]
        assert weighted == pytest.approx(wanted, abs=1e-9)
        assert weighted != in_task(spark.sparkContext, Trial(rows.handle(), learner, "binary", metric))
    rows.unpersist()


def test_one_without_probabilities_and_with_gaps_between_classes(prepared):
    train, validation = (frame.where("label <> 1").na.drop() for frame in prepared("multiclass"))
    told = SingleNode(DecisionTreeClassifier(random_state=1), True).fit(train).transform(validation)
    assert {row["prediction"] for row in told.collect()} == {0.0, 2.0}
    assert {tuple(row["probability"].toArray()) for row in told.collect()} == {(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)}
    sure = [
        (row.features.toArray(), row.label) for row in train.collect() if not np.isnan(row.features.toArray()).any()
    ]
    learner = RidgeClassifier().fit([x for x, _ in sure], [y for _, y in sure])
    assert not hasattr(learner, "predict_proba")
    clean = train.sparkSession.createDataFrame([(Vectors.dense(x), y) for x, y in sure], SCHEMA)
    told = SingleNode(RidgeClassifier(), True).fit(clean).transform(clean).collect()
    assert [row["prediction"] for row in told] == list(learner.predict([x for x, _ in sure]))
    assert {row["probability"].toArray().max() for row in told} == {1.0}
    assert SingleNode(RidgeClassifier(), True).fit(clean).transform(clean.where("false")).count() == 0


def test_too_many_rows_for_one_core_are_refused_in_words(prepared, monkeypatch):
    train, _ = prepared("regression")
    monkeypatch.setattr(single_node, "LARGEST", 1000)
    with pytest.raises(HeadraceError, match=r"DecisionTreeClassifier learns on one core, and 300 rows of 3 features"):
        SingleNode(DecisionTreeClassifier(), True).fit(train)
    with pytest.raises(HeadraceError, match="no rows"):
        SingleNode(DecisionTreeClassifier(), True).fit(train.where("false"))


MINE = """
from sklearn.ensemble import RandomForestClassifier

class Mine(RandomForestClassifier):
    pass
"""


def test_a_search_tries_them_in_tasks_and_registers_the_winner(spark, tmp_path, tmp_path_factory, monkeypatch):
    uri = sqlite(shared_home(tmp_path_factory))
    (tmp_path / "my_forest.py").write_text(MINE)
    own = {
        "name": "mine",
        "class": "my_forest:Mine",
        "space": {"max_depth": {"uniformint": [2, 6]}},
        "params": {"n_estimators": 10},
        "features": "tree",
    }
    conf = {
        "estimators": [own, {"name": "xgboost", "params": {"trees": 20}}, "extra_trees"],
        "max_evals": 7,
        "balance": ["none", "weights", "undersample"],
        "pruning": "none",
    }
    monkeypatch.chdir(tmp_path)  # where the user's modules are looked for as well
    made = pipeline(conf)
    run = FakeRun(spark, tmp_path, made, uri, fingerprint="one-core", run_id="one-core")
    run.put("training_set", training_set(spark, count=600), facts())
    tracker = spark.sparkContext.statusTracker()
    done = steps(made)[0].run(run)
    run.finish(done)
    rows = run.read("trials").where("trial >= 0").collect()
    trials = [row for row in rows if row["status"] == "ok"]
    assert len(trials) == 7, [(row["status"], row["error"]) for row in rows]
    assert {row["estimator"] for row in trials} == {"mine", "xgboost", "extra_trees"}
    assert min(row["value"] for row in trials) > 0.7
    jobs = [len(tracker.getJobIdsForGroup(f"headrace-one-core-trial-{row['trial']}")) for row in trials]
    in_tasks = [n for row, n in zip(trials, jobs, strict=True) if '"undersample"' not in row["params"]]
    assert in_tasks
    assert set(in_tasks) <= {1, 3}, in_tasks  # one task; the first of a preparation hands its rows over as well
    winner = next(row for row in rows if row["status"] == "winner")
    store = ModelStore(uri)
    card = store.card(done.outputs[-1].facts["mlflow_run_id"])
    said = predict(store.load(winner["model_uri"]), card, run.read("training_set"), ["id"]).collect()
    assert len(said) == 600
    assert 0 < np.mean([row["prediction"] for row in said]) < 1
