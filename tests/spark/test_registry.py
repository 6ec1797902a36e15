"""Evaluation of a model on the test part, its registration, and the gates."""

from __future__ import annotations

import json

import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer
from sklearn.metrics import roc_auc_score

from headrace.config.metrics import METRICS
from headrace.errors import ConfigError, DataError
from headrace.evaluation.stage import steps as evaluation_steps
from headrace.models.card import ModelCard
from headrace.models.changes import who
from headrace.models.promotion import Word, promote
from headrace.models.store import ModelStore
from headrace.monitoring import versions
from headrace.registry.stage import steps as registry_steps
from headrace.search.columns import columns
from headrace.search.plan import plan
from headrace.search.space import Point
from headrace.search.tallies import Goal
from headrace.search.target import target
from headrace.search.trial import fit_whole
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import FEATURES, facts, pipeline, shared_home, sqlite, training_set

NAME = "judged"
GOOD = [
    {"metric": "areaUnderROC", "at_least": 0.7},
    {"metric": "areaUnderROC", "at_least": 0.6, "slice": "carrier", "min_rows": 10},
    {"beats": "champion"},
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return shared_home(tmp_path_factory)


@pytest.fixture(scope="module")
def table(spark):
    frame = training_set(spark).coalesce(2).cache()
    frame.count()
    yield frame
    frame.unpersist()


def _logged(run: FakeRun, table, features: list[str]) -> None:
    """A model as the search leaves it: logged in a run, named by the facts of `trials`."""
    store = ModelStore(run.tracking_uri)
    rows = table.where("split <> 'test'")
    found = target(rows, {}, None)
    known = columns(rows, features, 10)
    point = Point("logistic_regression", {"regularization": 0.001, "l1_ratio": 0.0})
    model = fit_whole(point, "binary", found.with_index(rows), known, plan("linear", known), Goal(2), 1, 1)
    assert isinstance(model, PipelineModel)
    card = ModelCard("binary", known.used, "boolean", found.labels, ("id",), "logistic_regression")
    mlflow_run = store.client.create_run(store.experiment(NAME)).info.run_id
    uri = store.log_model(mlflow_run, model, card, ("pyspark",))
    trials = run.spark.sql("select 'winner' status")
    run.put("trials", trials, {"model_uri": uri, "mlflow_run_id": mlflow_run} | card.as_dict())


@pytest.fixture(scope="module")
def evaluated(spark, home, table):
    run = FakeRun(spark, home / NAME, pipeline(gates=GOOD), sqlite(home), name=NAME)
    run.put("training_set", table, facts())
    _logged(run, table, FEATURES)
    done = run.finish(evaluation_steps(run.pipeline)[0].run(run))
    return run, done


def test_the_test_part_is_predicted_once_and_whole(evaluated, table):
    run, done = evaluated
    found = run.read("test_predictions")
    assert found.columns == ["id", "predict_at", "split", "label", "prediction", "probability", "model_name", "run_id"]
    expected = table.where("split = 'test'").select("id", "predict_at", "split", "label")
    assert sorted(found.select(expected.columns).collect()) == sorted(expected.collect())
    assert done.rows_out == expected.count()


def test_the_evaluation_is_of_these_predictions(evaluated):
    run, done = evaluated
    rows = run.read("test_predictions").toPandas()
    found = {(r["metric"], r["slice_value"]): r for r in run.read("evaluation").collect()}
    value = roc_auc_score(rows["label"], rows["probability"])
    assert found["areaUnderROC", None]["value"] == pytest.approx(value, abs=1e-12)
    assert {metric for metric, slice_value in found if slice_value is None} == set(METRICS["binary"])
    assert {slice_value for _, slice_value in found} == {None, "AA", "BB", "CC", "null"}
    assert sum(r["rows"] for (m, v), r in found.items() if m == "accuracy" and v) == len(rows)
    assert done.metrics["test"]["areaUnderROC"]["lower"] < value < done.metrics["test"]["areaUnderROC"]["upper"]


def test_a_model_logged_once_more_is_the_one_that_is_loaded(spark, home):
    store = ModelStore(sqlite(home))
    run_id = store.client.create_run(store.experiment("logged-twice")).info.run_id
    card = ModelCard("binary", {"id": "bigint"}, "boolean", (False, True), ("id",), "logistic_regression")
    found = {}
    for value in (1, 2):  # a search that was interrupted just after it had logged its winner
        model = PipelineModel([SQLTransformer(statement=f"select *, {value} as found from __THIS__")])
        uri = store.log_model(run_id, model, card, ("pyspark",))
        found[uri] = [row["found"] for row in store.load(uri).transform(spark.range(1)).collect()]
    assert found == {f"runs:/{run_id}/model": [1], f"runs:/{run_id}/model-2": [2]}


def test_versions_gates_and_the_champion(spark, home, table, evaluated):
    run, _ = evaluated
    store = ModelStore(run.tracking_uri)

    def register(fingerprint: str, gates=GOOD):
        again = FakeRun(spark, run.home, pipeline(gates=gates), run.tracking_uri, name=NAME, fingerprint=fingerprint)
        step = registry_steps(again.pipeline)[0]
        return step.done(again), step.run(again)

    before, done = register("one")
    assert before is None
    assert (done.model, done.refused) == ({"name": NAME, "version": 1, "alias": "champion"}, None)
    tags = store.version(NAME, 1).tags
    assert tags["outcome"] == "passed"
    assert json.loads(tags["tables"])["training_set"] == run.version("training_set")
    overall = {r["metric"]: r["value"] for r in run.read("evaluation").where("slice_column is null").collect()}
    own = versions.Tested(overall, run.version("test_predictions"))
    assert versions.tested(run.tracking_uri, NAME) == {"1": own}
    known, _ = register("one")
    assert (known.model, known.refused) == (done.model, None)

    _, refused = register("two", [{"metric": "areaUnderROC", "at_least": 0.999}])
    assert refused.model["version"] == 1  # other gates judge the same version
    assert "wanted >= 0.999" in refused.refused

    worse = FakeRun(spark, run.home, run.pipeline, run.tracking_uri, name=NAME)
    kept = worse.facts("trials")
    _logged(worse, table, ["count", "weekend"])
    worse.finish(evaluation_steps(worse.pipeline)[0].run(worse))
    _, refused = register("three", [{"beats": "champion"}])
    assert refused.model == {"name": NAME, "version": 2, "alias": None}
    assert "wanted above zero" in refused.refused
    assert "version 1 stays champion" in refused.refused
    seen = versions.tested(run.tracking_uri, NAME)
    assert seen["1"] == own  # though the tables are those of the candidate now
    assert seen["2"].predictions == run.version("test_predictions") > own.predictions
    assert seen["2"].metrics["areaUnderROC"] < own.metrics["areaUnderROC"]
    assert store.alias(NAME).number == 1
    known, _ = register("three", [{"beats": "champion"}])
    assert known.refused == refused.refused

    promote(store, NAME, 2, Word("the test part is odd", force=True))
    run.put("trials", spark.sql("select 'winner' status"), kept["facts"])
    with pytest.raises(ConfigError, match="evaluation is of another model"):
        register("four", [{"beats": "champion"}])
    run.finish(evaluation_steps(run.pipeline)[0].run(run))
    _, better = register("four", [{"beats": "champion"}])
    assert (better.refused, better.model) == (None, {"name": NAME, "version": 1, "alias": None})
    assert "better by +" in better.notes[0]
    assert "version 1 has been champion and is no more: promote by" in better.notes[1]  # a person's word stands
    assert store.resolve(NAME).number == 2
    assert store.resolve(NAME, "1").number == 1
    promote(store, NAME, 1, Word())
    run.finish(registry_steps(run.pipeline)[1].run(run))
    columns = ["change", "model", "alias", "action", "from_version", "to_version", "who", "why", "forced", "run_id"]
    assert [tuple(row) for row in run.read("model_changes").orderBy("change").select(columns).collect()] == [
        (1, NAME, "champion", "register", None, 1, who(), "its gates passed (3 of 3)", False, "r1"),
        (2, NAME, "champion", "promote", 1, 2, who(), "the test part is odd", True, None),
        (3, NAME, "champion", "promote", 2, 1, who(), "", False, None),
    ]
    with pytest.raises(ConfigError, match="no version or alias '7'"):
        store.resolve(NAME, "7")


def test_a_champion_of_other_columns_is_no_hindrance(spark, home, table, evaluated):
    run, _ = evaluated
    store = ModelStore(run.tracking_uri)
    if store.alias(NAME) is None:
        registry_steps(run.pipeline)[0].run(run)
    other = FakeRun(spark, home / "other", pipeline(gates=[{"beats": "champion"}]), run.tracking_uri, name=NAME)
    other.put("training_set", table.drop("x0"), facts())
    _logged(other, table.drop("x0"), ["x1", "count", "carrier"])
    other.put("evaluation", run.read("evaluation"), {})
    done = registry_steps(other.pipeline)[0].run(other)
    assert done.refused is None
    assert "cannot score these rows" in done.notes[0]
    assert "x0 double   (missing)" in done.notes[0]


def test_what_cannot_be_evaluated_is_refused(spark, home, table, evaluated):
    run, _ = evaluated
    gates = [{"metric": "f1", "at_least": 0.1, "slice": "nowhere"}]
    bad = FakeRun(spark, run.home, pipeline(gates=gates), run.tracking_uri, name=NAME)
    with pytest.raises(ConfigError, match="slice nowhere is no column"):
        evaluation_steps(bad.pipeline)[0].run(bad)
    empty = FakeRun(spark, home / "empty", pipeline(), run.tracking_uri, name=NAME)
    empty.put("training_set", table.where("split = 'train'"), facts())
    empty.put("trials", run.read("trials"), run.facts("trials")["facts"])
    with pytest.raises(DataError, match="the test part has no row with a label"):
        evaluation_steps(empty.pipeline)[0].run(empty)
