"""The compiled scorer says what `transform` says: all estimators, all preparations, odd rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from onnx import helper
from pyspark.ml import PipelineModel
from pyspark.ml.classification import NaiveBayes
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.config.outliers import OutlierTreatment
from headrace.engine.outliers import Thresholds
from headrace.models.card import ModelCard
from headrace.models.compiled import admitting, agreement, batch, extremes, running
from headrace.models.compiled.builder import NotCompiled, _needed, _steps, build
from headrace.models.compiled.columns import arrow_type, column
from headrace.models.compiled.saved import Saved
from headrace.models.compiled.scorer import KINDS, Compiled
from headrace.models.exporting import documents, formats
from headrace.models.exporting.graphs import boosting, run
from headrace.models.exporting.graphs import build as graphs
from headrace.models.exporting.graphs.graph import NotExported
from headrace.runtime.settings import held
from headrace.search import outliers
from headrace.search.balance import fit_balanced
from headrace.search.calibration import calibrator
from headrace.search.columns import columns
from headrace.search.estimators import ESTIMATORS
from headrace.search.plan import plan
from headrace.search.preparation import fit_preparation
from headrace.search.tallies import ROW, Goal, with_rows
from headrace.search.target import target
from tests.spark import preparing
from tests.spark.conftest import INTERPRETED
from tests.spark.modelling import FEATURES, training_set
from tests.support import pmml

BANDS = "case when x0 < -0.5 then 'low' when x0 < 0.5 then 'mid' else 'top' end"
LABELS = {"binary": "late", "multiclass": BANDS, "regression": "exp(x0)"}
STRONG = {"regularization": 1.0}
"""Learned in a few steps."""
SMALL = {"trees": 3, "depth": 3}


@pytest.fixture(scope="module")
def trained(spark, tmp_path_factory):
    """Per task and kind: preparation, prepared rows, card."""
    made = {}

    def of(task, kind):
        if (task, kind) not in made:
            rows = with_rows(training_set(spark, LABELS[task], 300).coalesce(1), ["id"])
            found = target(rows, {}, task)
            known = columns(rows, FEATURES, 5)
            indexed = found.with_index(rows)
            preparation = fit_preparation(indexed, known, plan(kind, known)).model
            card = ModelCard(task, known.used, found.label_type, found.labels, ("id",))
            made[task, kind] = (
                preparation,
                preparation.transform(indexed).select("features", "label", ROW).cache(),
                card,
            )
        return made[task, kind]

    with held(spark, INTERPRETED):
        yield of
    for _, rows, _ in made.values():
        rows.unpersist()


@pytest.fixture(scope="module")
def rows(spark):
    """Real rows and odd ones, as Arrow."""
    chosen = training_set(spark, count=300).select(*FEATURES)
    real = chosen.toArrow()
    return pa.concat_tables([real, extremes.rows(real)])


def agrees(spark, folder: Path, stages: list, card: ModelCard, rows: pa.Table, endless: bool = False) -> Compiled:
    """Compile a pipeline, and compare it with `transform` on rows."""
    model = PipelineModel(stages)
    model.save(str(folder / "model"))
    made = build(folder / "model", card)
    again = Compiled.of(made.files())
    told = again.score(rows)
    theirs = agreement.transformed(spark, model, card, rows)
    wrong = agreement.different(card, told, theirs)
    assert wrong is None, wrong
    boosted = any(kind == "xgboost" for kind, _, _ in made.described)
    graph = run.asked(graphs.graph_of(made, {}).SerializeToString(), made, rows)
    wrong = agreement.different(card, graph, theirs, boosting.TOLERANCE if boosted else agreement.TOLERANCE)
    assert wrong is None, wrong
    if endless:
        with pytest.raises(NotExported, match="may be infinite"):
            pmml.told(made, rows)
    else:
        wrong = agreement.different(card, pmml.told(made, rows), theirs, documents.tolerance(made))
        assert wrong is None, f"as PMML: {wrong}"
    np.testing.assert_equal(told.to_pydict(), made.score(rows).to_pydict())
    if running.planned(spark, again):
        ours = agreement.answered(spark, card, rows, lambda frame, keep: running.score(again, frame, keep))
        wrong = agreement.different(card, ours, theirs)
        assert wrong is None, f"in Spark's own columns: {wrong}"
    return made


EVERY = [
    ("binary", "xgboost", SMALL), ("binary", "logistic_regression", STRONG), ("binary", "gbt", SMALL),
    ("binary", "random_forest", SMALL), ("binary", "decision_tree", {}), ("binary", "linear_svc", STRONG),
    ("binary", "naive_bayes", {}), ("multiclass", "xgboost", SMALL), ("multiclass", "logistic_regression", STRONG),
    ("multiclass", "gbt", {"trees": 2, "depth": 2}), ("multiclass", "random_forest", SMALL),
    ("multiclass", "decision_tree", {}), ("multiclass", "linear_svc", STRONG),
    ("multiclass", "naive_bayes", {}), ("regression", "xgboost", SMALL), ("regression", "linear_regression", {}),
    ("regression", "gbt", SMALL), ("regression", "random_forest", SMALL), ("regression", "decision_tree", {}),
    ("regression", "generalized_linear_regression", {"family": "gamma/log"}),
    ("regression", "survival_regression", {}),
]  # fmt: skip


IN_SPARK = {
    ("binary", "xgboost"), ("binary", "logistic_regression"), ("binary", "gbt"), ("binary", "random_forest"),
    ("binary", "decision_tree"), ("regression", "xgboost"), ("regression", "linear_regression"), ("regression", "gbt"),
    ("regression", "random_forest"), ("regression", "decision_tree"), ("regression", "generalized_linear_regression"),
    ("regression", "survival_regression"),
}  # fmt: skip


@pytest.mark.parametrize(("task", "name", "params"), EVERY)
def test_every_estimator_says_the_same_compiled(spark, trained, rows, tmp_path, task, name, params):
    recipe = ESTIMATORS[name]
    preparation, prepared, card = trained(task, recipe.kind)
    model = recipe.build(task, {**recipe.first, **params}, 1, 1).fit(prepared)
    made = agrees(spark, tmp_path, [*preparation.stages, model], card, rows, name in formats.ENDLESS)
    assert set(made.inputs) == set(card.features)
    assert bool(running.planned(spark, made)) == ((task, name) in IN_SPARK)


def test_naive_bayes_of_counts_refuses_rows_as_spark_does(spark, trained, rows, tmp_path):
    preparation, prepared, card = trained("multiclass", "linear")
    for kind in ("multinomial", "complement"):
        model = ESTIMATORS["naive_bayes"].build("multiclass", {"model": kind, "smoothing": 1.0}, 1, 1).fit(prepared)
        PipelineModel([*preparation.stages, model]).save(str(tmp_path / kind))
        made = build(tmp_path / kind, card)
        some = admitting.scorable(made, rows)
        assert 250 < some.num_rows < rows.num_rows
        found = agreement.disagreement(spark, PipelineModel([*preparation.stages, model]), card, some, made.score(some))
        assert found is None


def test_balance_calibration_and_threshold_are_compiled_too(spark, trained, rows, tmp_path):
    preparation, prepared, card = trained("binary", "tree")
    forest = ESTIMATORS["random_forest"].build("binary", {**ESTIMATORS["random_forest"].first, **SMALL}, 1, 1)
    model = fit_balanced(forest, prepared, "weights")
    said = model.transform(prepared).select("label", "probability")
    for how in ("isotonic", "sigmoid", "none"):
        after = calibrator(how, said).stages(0.3)
        (tmp_path / how).mkdir()
        cut = ModelCard(**{**card.__dict__, "learned": {"threshold": 0.3}})
        made = agrees(spark, tmp_path / how, [*preparation.stages, model, *after], cut, rows)
        told = made.score(rows).to_pydict()
        assert told["prediction"] == [p >= 0.3 for p in told["probability"]]


PREPARED = [
    ("linear", {
        "numbers": {"scale": "robust"}, "moments": {"parts": ["year", "quarter", "month", "weekday", "day", "hour", "minute"]},
        "columns": {
            "x": {"curve": "yeo_johnson", "impute": "mean"}, "z": {"bins": "quantile", "bin_count": 4},
            "gross": {"curve": "log"}, "count": {"edges": [0, 1, 3], "impute": "mode"}, "money": {"curve": "sqrt"},
            "tail": {"encode": "woe"}, "note": {"role": "category"}, "flag": {"role": "category"},
        },
        "interactions": [["carrier", "tail"], ["x", "z"]],
    }),
    ("tree", {
        "categories": {"encode": "target"}, "moments": {"parts": ["year", "month", "hour"], "cyclic": False},
        "columns": {
            "tail": {"encode": "frequency"}, "note": {"role": "number"}, "x": {"bins": "uniform", "bin_count": 5},
            "day": {"role": "category"}, "count": {"role": "category"}, "carrier": {"encode": "one_hot"},
        },
        "select": {"variance": 1e-9, "correlation": 0.99},
    }),
    ("native", {"columns": {"note": {"role": "category"}}, "reduce": {"pca": 4}}),
    ("native", {"columns": {"note": {"role": "category"}}}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "label"), [("xgboost", "int(label)"), ("gbt", "int(label)"), ("gbt", "id * 1.5D")])
def test_many_values_that_are_the_labels_mean_by_default(spark, tmp_path, name, label):
    recipe, task = ESTIMATORS[name], "binary" if "int" in label else "regression"
    train = preparing.framed(spark, preparing.rows(150, 1)).withColumn("label", F.expr(label))
    found = target(train, {}, task)
    known = columns(train, ["x", "carrier", "tail"], 5, by_label=True)
    how = plan(recipe.kind, known)
    assert {one: told.encode for one, told in how.categories} == {"carrier": "ordinal", "tail": "target"}
    with held(spark, INTERPRETED):
        indexed = found.with_index(train)
        preparation = fit_preparation(indexed, known, how, Goal(len(found.labels)))
        model = recipe.build(task, {**recipe.first, **SMALL}, 1, 1).fit(preparation.training.transform(indexed))
        real = train.unionByName(preparing.framed(spark, preparing.new_rows()).withColumn("label", F.lit(0)))
        real = real.select("x", "carrier", "tail").toArrow()
        card = ModelCard(task, known.used, found.label_type, found.labels, ("id",))
        rows = pa.concat_tables([real, extremes.rows(real)])
        made = agrees(spark, tmp_path, [*preparation.model.stages, model], card, rows)
    assert running.planned(spark, made)


NOT_IN_A_GRAPH = [None, "text that is read as double|a date that is taken for a category", None, None]


@pytest.mark.parametrize(
    ("kind", "conf", "why"), [(*one, why) for one, why in zip(PREPARED, NOT_IN_A_GRAPH, strict=True)]
)
def test_every_preparation_gives_the_same_features(spark, tmp_path, kind, conf, why):
    train = preparing.framed(spark, preparing.rows(150, 1))
    with held(spark, INTERPRETED):
        made = preparing.fitted(train, conf, kind).model
        chosen = train.unionByName(preparing.framed(spark, preparing.new_rows())).select(*preparing.FEATURES)
        real = chosen.toArrow()
        table = pa.concat_tables([real, extremes.rows(real)])
        made.save(str(tmp_path / "made"))
        frame: DataFrame = spark.createDataFrame(table.append_column("id", pa.array(range(table.num_rows))))
        expected = preparing.features(made, frame.withColumn("money", frame["money"].cast("decimal(10,2)")))
    wanted = _needed(_steps(Saved(tmp_path / "made")), "features")
    frame_ = {name: column(table.column(name).combine_chunks()) for name in preparing.FEATURES}
    with np.errstate(all="ignore"):
        for one in wanted:
            KINDS[one.kind](one.params, one.arrays)(frame_, table.num_rows)
    found = frame_["features"].dense()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert np.isfinite(expected).mean() > 0.5
    if why is None:
        np.testing.assert_allclose(in_a_graph(wanted, table), expected, rtol=1e-9, atol=1e-9)
        whole = pmml.of_whole_milliseconds(table)
        assert 0.9 < whole.mean() < 1
        found = pmml.features(wanted, kinds_of(wanted), table.filter(pa.array(whole)))
        np.testing.assert_allclose(found, expected[whole], rtol=1e-9, atol=1e-9)
    else:
        with pytest.raises(NotExported, match=why):
            in_a_graph(wanted, table)
        with pytest.raises(NotExported, match=why):
            pmml.features(wanted, kinds_of(wanted), table)


def kinds_of(steps: list) -> dict[str, str]:
    """Types of the columns that steps read."""
    kinds = dict(part.split() for part in preparing.SCHEMA.split(", ")[3:]) | {"money": "double"}
    return {name: kind for name, kind in kinds.items() if any(name in str(one.params) for one in steps)}


def in_a_graph(steps: list, table: pa.Table) -> np.ndarray:
    """The features that a graph of ONNX makes."""
    kinds = kinds_of(steps)
    graph, frame, inputs = graphs.opened(kinds)
    for one in steps:
        graphs.KINDS[one.kind](graph, one.params, one.arrays, frame)
    vector = frame["features"]
    output = helper.make_tensor_value_info(vector.name, graphs.DOUBLE, ["rows", vector.width])
    made = graphs.closed(graph, inputs, [output], {}).SerializeToString()
    return run.run(made, run.feeds({name: arrow_type(kind) for name, kind in kinds.items()}, table))[0]


def test_outliers_are_treated_alike(spark, tmp_path):
    from pyspark.ml.feature import SQLTransformer, VectorAssembler

    treatment = OutlierTreatment.model_validate({"column": "x", "method": "iqr", "treat": ["cap", "flag"]})
    sql = outliers.statement("x", treatment, Thresholds((-1.0, None), {}, 9))
    stages = [
        SQLTransformer(statement=sql),
        VectorAssembler(inputCols=["x", "x__outlier"], outputCol="features", handleInvalid="keep"),
    ]
    PipelineModel(stages).save(str(tmp_path / "made"))
    table = pa.table({"x": pa.array([-2.0, -1.0, 5.0, float("nan"), None, float("-inf")])})
    frame = {"x": column(table.column("x").combine_chunks())}
    for one in _needed(_steps(Saved(tmp_path / "made")), "features"):
        KINDS[one.kind](one.params, one.arrays)(frame, table.num_rows)
    made = PipelineModel(stages).transform(spark.createDataFrame(table))
    np.testing.assert_array_equal(frame["features"].dense(), [row["features"].toArray() for row in made.collect()])


def test_what_is_not_compiled_says_why(spark, trained, tmp_path):
    preparation, prepared, card = trained("binary", "linear")
    unknown = NaiveBayes(featuresCol="unit", modelType="bernoulli")
    from pyspark.ml.feature import Binarizer

    binary = Binarizer(inputCol="features", outputCol="unit", threshold=0.5)
    model = unknown.fit(binary.transform(prepared))
    PipelineModel([*preparation.stages, binary, model]).save(str(tmp_path / "model"))
    with pytest.raises(NotCompiled, match="its stage Binarizer"):
        build(tmp_path / "model", card)
    with pytest.raises(NotCompiled, match="task clustering"):
        build(tmp_path / "model", ModelCard("clustering", {}, ""))


def test_a_worker_that_fails_is_heard_and_without_a_watch_it_raises(spark, trained, tmp_path):
    preparation, prepared, card = trained("regression", "linear")
    model = (
        ESTIMATORS["linear_regression"].build("regression", ESTIMATORS["linear_regression"].first, 1, 1).fit(prepared)
    )
    PipelineModel([*preparation.stages, model]).save(str(tmp_path / "model"))
    made = build(tmp_path / "model", card)
    frame = training_set(spark, LABELS["regression"], 300)
    watch = batch.Watch(spark, 300)
    scored = batch.score(made, frame, ["id"], watch).collect()
    some, wrong = watch.found()
    assert (len(scored), wrong) == (300, None)
    assert some.num_rows == 300
    made.described[-1][2]["weights"] = np.zeros((1, 1))  # what the workers get
    made.files()
    watch = batch.Watch(spark, 10**6)
    assert batch.score(made, frame, ["id"], watch).where("prediction is null").count() == 300
    assert watch.found()[1].startswith(("IndexError", "ValueError"))
    with pytest.raises(Exception, match=r"IndexError|ValueError"):
        batch.score(made, frame, ["id"]).collect()
