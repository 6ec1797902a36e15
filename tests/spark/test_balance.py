"""Rare classes: weights and samples in training only, honest probabilities; preparation and balance as hyperparameters."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pyspark.sql import functions as F

from headrace.config.learning import Search
from headrace.errors import HeadraceError
from headrace.models.predict import predict
from headrace.models.store import ModelStore
from headrace.search.balance import fit_balanced, sampled, shares, weighted
from headrace.search.columns import columns
from headrace.search.estimators import ESTIMATORS
from headrace.search.plan import plan, with_choices
from headrace.search.prepared import Parts, Prepared
from headrace.search.problem import look
from headrace.search.search import refitted
from headrace.search.space import Point
from headrace.search.stage import steps
from headrace.search.tallies import ROW, Goal, with_rows
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import FEATURES, facts, pipeline, shared_home, sqlite, training_set

COUNT = 6000


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return shared_home(tmp_path_factory)


@pytest.fixture(scope="module")
def rare(spark):
    """Prepared rows, one in twenty positive, whose true probabilities are known."""
    from pyspark.ml.feature import VectorAssembler

    draw = np.random.default_rng(3)
    x = draw.normal(size=COUNT)
    true = 1 / (1 + np.exp(3.9 - 1.5 * x))
    label = (draw.random(COUNT) < true).astype(float)
    values = [(i, float(a), float(t), float(y)) for i, (a, t, y) in enumerate(zip(x, true, label, strict=True))]
    frame = with_rows(spark.createDataFrame(values, "id bigint, x double, true double, label double"), ["id"])
    frame = VectorAssembler(inputCols=["x"], outputCol="features").transform(frame).repartition(2).cache()
    frame.count()
    yield frame
    frame.unpersist()


def _build(name, **params):
    return ESTIMATORS[name].build("binary", {**ESTIMATORS[name].first, **params}, 1, 1)


def _probability(frame):
    from pyspark.ml.functions import vector_to_array

    return vector_to_array(F.col("probability"))[1]


@pytest.mark.parametrize("how", ["weights", "undersample", "oversample"])
def test_probabilities_are_those_of_the_true_shares(rare, how):
    model = fit_balanced(_build("logistic_regression", regularization=0.0), rare, how)
    found = model.transform(rare).select("label", "true", "prediction", _probability(rare).alias("p")).toPandas()
    few = how == "undersample"  # 600 rows of 6,000
    assert found["p"].mean() == pytest.approx(found["label"].mean(), abs=0.01 if few else 0.005)
    assert (found["p"] - found["true"]).abs().mean() < (0.03 if few else 0.01)
    assert found["prediction"].mean() > 2 * found["label"].mean()  # the balanced model says yes more often


@pytest.mark.parametrize(("name", "params"), [("xgboost", {"trees": 20}), ("naive_bayes", {})])
def test_weights_reach_estimators_of_several_stages_and_of_others(rare, tmp_path, name, params):
    model = fit_balanced(_build(name, **params), rare, "weights")
    plain = fit_balanced(_build(name, **params), rare, "none")
    told = [m.transform(rare).select(F.avg(_probability(rare)), F.avg("prediction")).first() for m in (model, plain)]
    assert told[0][0] == pytest.approx(told[1][0], abs=0.03)
    assert told[0][1] > told[1][1] + 0.05


def test_samples_are_the_same_in_each_run_and_whole_where_a_class_is_rare(spark, rare):
    counts = {int(row["label"]): row["count"] for row in rare.groupBy("label").count().collect()}
    for how in ("undersample", "oversample"):
        factors = shares(counts, how)
        one = sampled(rare, factors).groupBy("id", "label").count().orderBy("id").collect()
        again = sampled(rare.repartition(5), factors).groupBy("id", "label").count().orderBy("id").collect()
        assert one == again
        made = {label: sum(row["count"] for row in one if row["label"] == label) for label in counts}
        assert made[1] == pytest.approx(made[0], rel=0.1)
        full = 1 if how == "undersample" else 0
        assert made[full] == counts[full]
        most = {label: max(row["count"] for row in one if row["label"] == label) for label in counts}
        assert most[0] == 1
        assert most[1] == (1 if how == "undersample" else int(counts[0] / counts[1]) + 1)


def test_an_estimator_without_weights_is_told():
    from pyspark.ml.classification import MultilayerPerceptronClassifier

    with pytest.raises(
        HeadraceError, match=r"MultilayerPerceptronClassifier takes no weights; write search.balance: undersample"
    ):
        weighted(MultilayerPerceptronClassifier())


SEARCH = {
    "max_evals": 5,
    "parallelism": 2,
    "algorithm": "random",
    "estimators": ["logistic_regression", "xgboost"],
    "balance": ["weights", "none", "oversample"],
    "preparation": {
        "numbers": {"scale": ["robust", "standard"], "curve": ["none", "log"]},
        "categories": {"encode": ["target", "one_hot"]},
        "columns": {"count": {"bins": ["quantile", "none"], "bin_count": 4}},
    },
}


@pytest.fixture(scope="module")
def searched(spark, home, tmp_path_factory):
    table = training_set(spark).coalesce(2)
    run = FakeRun(spark, tmp_path_factory.mktemp("choices"), pipeline(SEARCH), sqlite(home), fingerprint="choices")
    run.put("training_set", table, facts())
    done = steps(run.pipeline)[0].run(run)
    run.finish(done)
    return run


def test_choices_are_hyperparameters(spark, searched):
    run = searched
    rows = [row.asDict() for row in run.read("trials").where("trial >= 0").orderBy("trial").collect()]
    assert {row["status"] for row in rows} == {"ok", "winner"}, {row["error"] for row in rows}
    params = [json.loads(row["params"]) for row in rows if row["status"] == "ok"]
    chosen = {name for one in params for name in one if "." in name}
    assert chosen == {
        "search.balance",
        "search.preparation.numbers.scale",
        "search.preparation.numbers.curve",
        "search.preparation.categories.encode",
        "search.preparation.columns.count.bins",
    }
    first = {name: params[0][name] for name in chosen}
    assert first["search.balance"] == "weights"
    assert first["search.preparation.columns.count.bins"] == "quantile"
    assert len({json.dumps({name: one[name] for name in sorted(chosen)}) for one in params}) > 1
    store = ModelStore(run.tracking_uri)
    known = run.facts("trials")["facts"]
    card = store.card(known["mlflow_run_id"])
    assert list(card.features) == ["x0", "x1", "count", "weekend", "carrier"]
    scored = predict(store.load(known["model_uri"]), card, run.read("training_set"), ["id", "label"]).cache()
    assert scored.selectExpr("avg(double(label = prediction))").first()[0] > 0.75
    problem = look(run)
    again = refitted(problem, Point(card.estimator, dict(card.params)), card.trained["seed"], card.trained["slots"])
    other = predict(again.model, card, run.read("training_set"), ["id"])
    both = scored.join(other.withColumnRenamed("probability", "p"), "id")
    assert both.selectExpr("max(abs(probability - p))").first()[0] < 1e-9
    assert not any(one.is_cached for one in (problem.folds[0].parts.train, problem.folds[0].parts.validation))


def test_only_so_many_prepared_rows_are_in_memory(spark, searched):
    problem = look(searched)
    persistent = spark.sparkContext._jsc.getPersistentRDDs
    before = len(persistent())
    recipes = with_choices(ESTIMATORS, Search.model_validate(SEARCH))
    names = ["search.preparation.numbers.scale", "search.preparation.categories.encode"]
    plans = [
        plan("linear", problem.columns, problem.search.preparation, dict(zip(names, (a, b), strict=True)))
        for a in ("robust", "standard")
        for b in ("target", "one_hot")
    ]
    assert set(names) <= set(recipes["logistic_regression"].space)
    prepared = Prepared(problem.folds, [(0, plans[0])], most=2)
    prepared.start()
    held = {}
    for one in [*plans, plans[-1]]:
        with prepared.using(0, one) as parts:
            held.setdefault(one, parts)
            assert held[one] is parts  # the last is not prepared again
            assert parts.train.columns == ["features", "label", ROW]
            assert parts.validation.columns == ["features", "label"]
        assert len(persistent()) - before <= 2 * 2
    with prepared.using(0, plans[0]) as one, prepared.using(0, plans[1]) as two, prepared.using(0, plans[2]) as three:
        assert all(part.train.is_cached for part in (one, two, three))  # none in use is given back
    prepared.release()
    assert len(persistent()) == before


def test_rows_of_other_parts_teach_preparation_nothing(spark, home, tmp_path):
    table = training_set(spark)
    wild = table.selectExpr(
        *[
            {
                "x0": "if(split = 'train', x0, 1e6 * id) x0",
                "x1": "if(split = 'train', x1, -1e9) x1",
                "carrier": "if(split = 'train', carrier, concat('Z', id)) carrier",
                "label": "if(split = 'train', label, id % 2 = 0) label",
            }.get(name, name)
            for name in table.columns
        ]
    )
    made = []
    preparation = {**SEARCH["preparation"], "select": {"correlation": 0.9, "top": 5}}
    for number, frame in enumerate((table, wild)):
        run = FakeRun(spark, tmp_path / str(number), pipeline({"preparation": preparation}), sqlite(home))
        run.put("training_set", frame, facts())
        problem = look(run)
        of = problem.plan(Point("logistic_regression", {}))
        prepared = Prepared(problem.folds, [(0, of)])
        prepared.start()
        with prepared.using(0, of) as parts:
            rows = parts.preparation.transform(table).select("id", "features").orderBy("id").collect()
            made.append((problem.columns, of, np.array([row["features"].toArray() for row in rows])))
        prepared.release()
    assert made[0][:2] == made[1][:2]
    np.testing.assert_array_equal(made[0][2], made[1][2])


def test_known_columns_of_a_search_are_those_of_its_estimators(spark):
    frame = training_set(spark, count=100)
    known = columns(frame, FEATURES, 5)
    assert plan("tree", known) != plan("native", known)
    assert plan("tree", known) == plan("tree", known, None, {"search.preparation.numbers.scale": "none"})
    assert Goal().columns == 1
    assert Parts(frame, frame).preparation is None
