"""The winner's calibration and threshold: against scikit-learn and brute force, as plain stages, through the search."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import functions as F
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from headrace.config.deciding import Threshold
from headrace.errors import ConfigError
from headrace.models.predict import predict
from headrace.models.store import ModelStore
from headrace.runtime.settings import held
from headrace.search.calibration import calibrator
from headrace.search.cuts import Counts, best, counts_at
from headrace.search.problem import look
from headrace.search.reproduce import reproduced
from headrace.search.stage import steps
from tests.spark.conftest import INTERPRETED
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import facts, pipeline, shared_home, sqlite, training_set

COUNT = 2000


def _overconfident(seed: int) -> pd.DataFrame:
    """A model whose log odds are three times as large as they should be, with ties."""
    draw = np.random.default_rng(seed)
    odds = draw.normal(-0.8, 1.2, COUNT)
    label = (draw.random(COUNT) < 1 / (1 + np.exp(-odds))).astype(float)
    p = 1 / (1 + np.exp(-3 * odds))
    p[::3] = p[::3].round(2).clip(0.01, 0.99)
    return pd.DataFrame({"id": np.arange(COUNT), "label": label, "p": p})


def _frame(spark, rows):
    """As a classifier gives them."""
    made = spark.createDataFrame(rows.assign(q=1 - rows["p"], prediction=(rows["p"] > 0.5) * 1.0))
    return VectorAssembler(inputCols=["q", "p"], outputCol="probability").transform(made).drop("p", "q")


def _values(frame):
    from pyspark.ml.functions import vector_to_array

    pair = vector_to_array("probability")
    return frame.select("id", "label", pair[0].alias("no"), pair[1].alias("p"), "prediction").orderBy("id").toPandas()


def _brier(rows, p):
    return float(((rows["label"] - p) ** 2).mean())


def _ece(rows, p):
    cells = pd.DataFrame({"cell": (p * 10).clip(upper=9).astype(int), "gap": p - rows["label"]}).groupby("cell")["gap"]
    return float((cells.mean().abs() * cells.size()).sum() / len(rows))


def _log_odds(p):
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


@pytest.mark.parametrize("how", ["isotonic", "sigmoid"])
def test_calibration_is_that_of_scikit_learn_and_mends_an_overconfident_model(spark, tmp_path, how):
    held_out, fresh = _overconfident(1), _overconfident(2)
    stages = calibrator(how, _frame(spark, held_out).repartition(3)).stages(0.4)
    PipelineModel(stages).save(str(tmp_path / "model"))
    again = PipelineModel.load(str(tmp_path / "model"))
    assert all(type(stage).__module__.startswith("pyspark.ml.") for stage in again.stages)
    found = _values(again.transform(_frame(spark, fresh)))
    pd.testing.assert_frame_equal(found, _values(PipelineModel(stages).transform(_frame(spark, fresh))))
    if how == "isotonic":
        reference = IsotonicRegression(out_of_bounds="clip").fit(held_out["p"], held_out["label"]).predict(fresh["p"])
    else:
        reference = (
            _SigmoidCalibration().fit(_log_odds(held_out["p"]), held_out["label"]).predict(_log_odds(fresh["p"]))
        )
    np.testing.assert_allclose(found["p"], reference, atol=1e-6 if how == "isotonic" else 1e-3)
    np.testing.assert_allclose(found["no"], 1 - found["p"], atol=1e-12)
    assert (found["prediction"] == (found["p"] >= 0.4)).all()
    assert _brier(fresh, found["p"]) < 0.95 * _brier(fresh, fresh["p"])
    assert _ece(fresh, found["p"]) < 0.04 < 0.1 < _ece(fresh, fresh["p"])


def test_without_calibration_only_the_answer_changes(spark, tmp_path):
    rows = _overconfident(3)
    before = _values(_frame(spark, rows))
    PipelineModel(calibrator("none", _frame(spark, rows)).stages(0.2)).save(str(tmp_path / "model"))
    found = _values(PipelineModel.load(str(tmp_path / "model")).transform(_frame(spark, rows)))
    pd.testing.assert_frame_equal(found, before.assign(prediction=(rows["p"] >= 0.2) * 1.0))


WANTED = [
    {"metric": "f1"},
    {"metric": "accuracy"},
    {"recall": 0.8},
    {"precision": 0.7},
    {"cost": {"false_positive": 1, "false_negative": 5}},
    {"cost": {"false_positive": 50, "false_negative": 0.1}},
]


def _worth(wanted, right, wrong, positive, negative):
    """By the book: of cuts that do what is asked for at least, what is made as large as can be."""
    said = right + wrong
    if "cost" in wanted:
        return -(wanted["cost"]["false_positive"] * wrong + wanted["cost"]["false_negative"] * (positive - right))
    if "metric" in wanted:
        hits = right + negative - wrong
        return 2 * right / (positive + said) if wanted["metric"] == "f1" else hits / (positive + negative)
    precision, recall = right / said if said else 0.0, right / positive
    if "recall" in wanted:
        return precision if recall >= wanted["recall"] else -1.0
    return recall if precision >= wanted["precision"] else -1.0


def _brute(rows, wanted):
    """Every cut, one after the other, from the highest."""
    positive, negative, found = int(rows["label"].sum()), int((1 - rows["label"]).sum()), None
    for cut in [1.1, *sorted(rows["p"].unique(), reverse=True)]:
        yes = rows[rows["p"] >= cut]["label"]
        right, wrong = int(yes.sum()), int((1 - yes).sum())
        worth = _worth(wanted, right, wrong, positive, negative)
        if found is None or worth > found[0]:
            found = worth, Counts(right, wrong, positive, negative)
    return found[1]


def test_the_cut_is_the_best_of_all(spark):
    rows = _overconfident(4)
    rows["p"] = rows["p"].clip(0, 0.98)  # above all rows there is room for one cut more
    frame = spark.createDataFrame(rows).repartition(3).cache()
    for wanted in WANTED:
        found = best(frame, Threshold.model_validate(wanted))
        assert (found.counts, found.met) == (_brute(rows, wanted), True), wanted
        assert counts_at(frame, found.at) == found.counts
        assert (rows["p"] - found.at).abs().min() > 0  # in the middle: no row lies on it
    again = best(frame.repartition(1), Threshold.model_validate({"metric": "f1"}))
    assert again == best(frame, Threshold.model_validate({"metric": "f1"}))
    frame.unpersist()


def test_few_rows_have_cuts_too(spark):
    rows = spark.createDataFrame([(1.0, 1.0), (0.0, 1.0), (0.0, 0.0), (1.0, 0.0)], "label double, p double").coalesce(1)
    dear = best(rows, Threshold.model_validate({"cost": {"false_positive": 9}}))
    assert (dear.at, dear.counts) == (0.5, Counts(1, 1, 2, 2))  # nothing lies above 1
    cheap = best(rows, Threshold.model_validate({"cost": {"false_negative": 9}}))
    assert (cheap.at, cheap.counts) == (0.0, Counts(2, 2, 2, 2))
    short = best(rows, Threshold(precision=0.9))
    assert (short.met, short.at) == (False, 0.5)


@pytest.fixture(scope="module")
def search(spark, tmp_path_factory):
    """A search, done: its run, what it noted, its model and card."""
    uri = sqlite(shared_home(tmp_path_factory))

    def done(name, conf, known=None, table=None):
        run = FakeRun(
            spark,
            tmp_path_factory.mktemp(name),
            pipeline({"estimators": ["logistic_regression"], "max_evals": 1, **conf}),
            uri,
            fingerprint=f"calibration-{name}",
            name=f"calibration-{name}",
        )
        rows = training_set(spark, count=600) if table is None else table
        run.put("training_set", rows.coalesce(1), {**facts(), **(known or {})})
        with held(spark, INTERPRETED):
            notes = run.finish(steps(run.pipeline)[0].run(run)).notes
        found, store = run.facts("trials")["facts"], ModelStore(uri)
        return run, notes, store.load(found["model_uri"]), store.card(found["mlflow_run_id"])

    return done


def _agrees(run, model, card):
    scored = predict(model, card, run.read("training_set"), ["id"])
    told = scored.select(
        F.count_if(F.col("prediction") != (F.col("probability") >= card.learned["threshold"])),
        F.countDistinct("prediction"),
    ).first()
    assert tuple(told) == (0, 2)


def test_a_search_calibrates_and_cuts_by_cost_and_its_model_is_reproduced(spark, search):
    conf = {"calibration": "isotonic", "threshold": {"cost": {"false_negative": 5}}, "balance": "weights"}
    run, notes, model, card = search("cost", conf)
    rows = run.read("training_set").where("split = 'validation'").count()
    cost = {"false_positive": 1.0, "false_negative": 5.0}
    at = card.learned["threshold"]
    assert card.learned == {
        "calibration": "isotonic", "threshold": at, "threshold_by": {"cost": cost}, "held_out_rows": rows
    }  # fmt: skip
    assert 0 < at < 0.4
    assert any(note == f"probabilities are calibrated (isotonic) on {rows} held-out rows" for note in notes)
    assert any(
        note.startswith(f"the answer is yes from probability {at:.6g}; on {rows} held-out rows") for note in notes
    )
    logged = ModelStore(run.tracking_uri).client.get_run(run.facts("trials")["facts"]["mlflow_run_id"]).data
    assert (logged.metrics["threshold"], logged.metrics["held_out_rows"]) == (at, rows)
    assert logged.tags["calibration"] == "isotonic"
    _agrees(run, model, card)
    with held(spark, INTERPRETED):
        again = reproduced(run, model, card, 1e-6)
    assert again.same, again


def test_folds_calibrate_on_the_rows_of_all(spark, search):
    table = training_set(spark, count=600).withColumn("fold", F.expr("if(split = 'test', null, int(id % 3) + 1)"))
    conf = {"calibration": "sigmoid", "threshold": {"metric": "f1"}}
    run, _, model, card = search("folds", conf, {"folds": {"count": 3, "by": "hash"}}, table)
    assert card.learned["held_out_rows"] == table.where("split <> 'test'").count()
    _agrees(run, model, card)


def test_a_threshold_that_is_written_needs_no_rows(spark, search):
    run, notes, model, card = search("number", {"threshold": 0.3})
    assert notes[-1] == "the answer is yes from probability 0.3"
    assert card.learned == {
        "calibration": "none", "threshold": 0.3, "threshold_by": {"at": 0.3}, "held_out_rows": 0
    }  # fmt: skip
    _agrees(run, model, card)


def test_a_task_that_only_the_rows_tell_is_refused_too(spark, search, tmp_path):
    run = FakeRun(spark, tmp_path, pipeline({"threshold": 0.3}, label="carrier"), "", fingerprint="calibration-three")
    table = training_set(spark, label="coalesce(carrier, 'none')", count=100)
    run.put("training_set", table, facts("multiclass", ["AA", "BB", "CC", "none"]))
    with pytest.raises(ConfigError, match=r"search.threshold: it is for two classes, and the task is multiclass"):
        look(run)
