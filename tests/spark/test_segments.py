"""A model per segment: each as fitted alone by hand, the rest by the general one; judged, saved, compiled, registered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import functions as F

from headrace.config.preparation import Preparation
from headrace.errors import ConfigError
from headrace.models.compiled import agreement, batch
from headrace.models.compiled.builder import build
from headrace.models.compiled.scorer import Compiled
from headrace.models.predict import predict
from headrace.models.segmented import SEGMENTS
from headrace.search.columns import columns
from headrace.search.ensemble import ENSEMBLE
from headrace.search.plan import plan
from headrace.search.problem import look
from headrace.search.search import refitted
from headrace.search.segments import divided
from headrace.search.space import Point
from headrace.search.trial import fit_whole
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import pipeline

pytestmark = pytest.mark.usefixtures("interpreted")
FEATURES = ["x", "y", "country", "store", "web", "shape"]
TYPES = (
    "id bigint, x double, y double, country string, store int, web boolean, shape string, noise double, split string"
)


def rows(spark, count=1200):
    """AT and BE have opposite slopes; CH is like AT, but small; null, and ZZ that is only scored, are the general model's."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"id": np.arange(count), "x": rng.normal(size=count), "y": rng.normal(size=count)})
    frame["country"] = rng.choice(["AT", "BE", "CH", None], count, p=[0.45, 0.4, 0.05, 0.1])
    frame["store"] = rng.choice([7, 12], count)
    frame["web"] = rng.random(count) < 0.5
    frame["shape"] = np.where(
        frame["country"] == "AT", rng.choice(["a", "b"], count), rng.choice(["c", "d", None], count)
    )
    frame["noise"] = rng.normal(size=count)
    frame["split"] = rng.choice(["train", "validation", "test"], count, p=[0.6, 0.25, 0.15])
    frame.loc[frame["split"].eq("test") & (frame["id"] % 7 == 0), "country"] = "ZZ"
    frame["y"] = frame["y"].where(rng.random(count) > 0.2, None)
    values = [tuple(None if pd.isna(v) else v for v in row) for row in frame.astype(object).itertuples(index=False)]
    return spark.createDataFrame(values, TYPES).coalesce(1)


SLOPE = "if(country <=> 'BE', -1, 1) * x"
LABELS = {
    "binary": (f"{SLOPE} + 0.3 * noise > 0", "logistic_regression", [False, True]),
    "regression": (f"10 + 3 * {SLOPE} + 0.3 * noise", "linear_regression", []),
    "multiclass": (f"case when {SLOPE} + 0.1 * noise < -0.5 then 'low' when {SLOPE} < 0.5 then 'mid' else 'top' end",
                   "logistic_regression", ["low", "mid", "top"]),
}  # fmt: skip


def setup(spark, tmp_path, task="binary", segments=None, name=None, folds=False, count=1200, **search):
    label, estimator, labels = LABELS[task]
    conf = {"by": "country", "min_rows": 100, "min_class_rows": 5} | (segments or {})
    made = pipeline({"estimators": [name or estimator], "segments": conf, **search})
    run = FakeRun(spark, tmp_path, made, "none")
    table = rows(spark, count).selectExpr(
        "id", "timestamp_seconds(id) predict_at", "split", f"{label} label", *FEATURES
    )
    known = {"features": FEATURES, "key": ["id"], "task": task, "labels": labels}
    if folds:
        table = table.selectExpr("*", "if(split = 'test', null, int(id % 2 + 1)) fold")
        known |= {"folds": {"count": 2, "by": "hash"}}
    run.put("training_set", table, known)
    problem = look(run)
    chosen = problem.estimators[0]
    return run, problem, Point(chosen, dict(problem.recipes[chosen].first))


def of(point, values, by="country"):
    return Point(
        SEGMENTS, {"by": by, "of": {"estimator": point.estimator, "params": dict(point.params)}, "values": values}
    )


def told(frame, classes):
    """Sorted by row: predictions, and probabilities."""
    table = frame.select("id", "prediction", *(["probability"] if classes else [])).toPandas().sort_values("id")
    parts = [np.stack([one.toArray() for one in table["probability"]])] if classes else []
    return [table["prediction"].to_numpy(), *parts]


def by_hand(problem, point, segment):
    """The recipe on the rows of a segment alone, as if there were no others."""
    mine = problem.rows.where(segment)
    known = columns(mine, list(problem.columns.used), problem.search.max_categories, Preparation())
    how = plan(problem.recipes[point.estimator].kind, known, Preparation(), point.params)
    return fit_whole(point, problem.target.task, mine, known, how, problem.known.goal, 42, 1, problem.recipes)


@pytest.mark.parametrize("task", LABELS)
def test_each_segment_is_answered_as_by_a_model_of_its_rows_alone_and_the_rest_by_the_general_one(
    spark, tmp_path, task
):
    run, problem, point = setup(spark, tmp_path, task)
    again = refitted(problem, of(point, ["AT", "BE"]), 42, 2)
    plain = refitted(replace(problem, search=problem.search.model_copy(update={"segments": None})), point, 42, 2)
    judged = run.read("training_set").cache()
    classes = task != "regression"
    again.model.save(str(tmp_path / "model"))
    for model in (again.model, PipelineModel.load(str(tmp_path / "model"))):
        said = model.transform(judged)
        assert [row["id"] for row in said.select("id").collect()] == [
            row["id"] for row in judged.select("id").collect()
        ]
        for country in ("AT", "BE"):
            mine = F.col("country") == country
            wanted = told(by_hand(problem, point, mine).transform(judged.where(mine)), classes)
            for ours, theirs in zip(told(said.where(mine), classes), wanted, strict=True):
                assert ours == pytest.approx(theirs, abs=1e-6)
        rest = F.coalesce("country", F.lit("none")).isin("CH", "ZZ", "none")
        wanted = told(plain.model.transform(judged.where(rest)), classes)
        for ours, theirs in zip(told(said.where(rest), classes), wanted, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    judged.unpersist()


CASES = [("binary", "country", ["AT", "BE"], None), ("multiclass", "country", ["BE"], "random_forest"),
         ("regression", "store", ["7"], "gbt"), ("regression", "web", ["true", "false"], None),
         ("binary", "country", ["AT", "BE"], ENSEMBLE)]  # fmt: skip


@pytest.mark.parametrize(("task", "by", "values", "name"), CASES)
def test_the_compiled_scorer_says_the_same(spark, tmp_path, task, by, values, name):
    search = {"calibration": "isotonic"} if task == "binary" else {}
    _, problem, point = setup(spark, tmp_path, task, {"by": by}, None if name == ENSEMBLE else name, **search)
    if name == ENSEMBLE:
        tree = {"estimator": "decision_tree", "params": dict(problem.recipes["decision_tree"].first)}
        linear = {"estimator": point.estimator, "params": dict(point.params)}
        point = Point(ENSEMBLE, {"by": "average", "members": [linear, tree]})
    again = refitted(problem, of(point, values, by), 42, 2)
    again.model.save(str(tmp_path / "model"))
    card = _card(problem, again.learned)
    made = Compiled.of(build(tmp_path / "model", card).files())
    table = rows(spark).select(*[f"`{one}`" for one in card.features]).toArrow()
    odd = pa.table({one: pa.array([None, table[one][0].as_py()], table[one].type) for one in table.column_names})
    everything = pa.concat_tables([table, odd])
    wrong = agreement.disagreement(spark, again.model, card, everything, made.score(everything))
    assert wrong is None, wrong
    assert made.score(everything.slice(0, 1)).num_rows == 1
    scored = batch.score(made, rows(spark), ["id"]).toPandas().sort_values("id")
    whole = predict(again.model, card, rows(spark), ["id"]).toPandas().sort_values("id")
    compared = "prediction" if task == "regression" else "probability"
    if task != "multiclass":
        assert scored[compared].to_numpy(float) == pytest.approx(whole[compared].to_numpy(float), rel=1e-6)


def _card(problem, learned):
    from headrace.models.card import ModelCard

    return ModelCard(problem.target.task, problem.features, problem.target.label_type, problem.target.labels,
                     ("id",), learned=learned)  # fmt: skip


@pytest.mark.parametrize(("task", "folds"), [("binary", False), ("regression", True)])
def test_a_segment_learns_alone_where_that_is_better_on_rows_that_neither_has_seen(spark, tmp_path, task, folds):
    run, problem, point = setup(spark, tmp_path, task, folds=folds)
    found, notes = divided(run, problem, point, 2)
    assert found is not None, notes
    assert found.point.params["values"] == ["AT", "BE"]
    each = {one["value"]: one for one in found.told["each"]}
    assert set(each) == {"AT", "BE"}
    counts = {row["country"]: row["count"] for row in problem.rows.groupBy("country").count().collect()}
    assert {value: one["rows"] for value, one in each.items()} == {value: counts[value] for value in each}
    for one in each.values():
        assert one["own"] > one["general"] + 0.1 if task == "binary" else one["own"] < one["general"] - 1
    assert found.value > 0.9 if task == "binary" else found.value < 1.7
    assert notes[0].startswith("2 of 2 values of country with rows enough have a model of their own; on rows that")


def test_what_has_too_few_rows_or_classes_or_gains_nothing_has_the_general_model(spark, tmp_path):
    run, problem, point = setup(spark, tmp_path)
    for conf, says in [
        ({"min_rows": 100_000}, "no country has 100,000 rows, 5 of each class; all rows have the general model"),
        (
            {"margin": 0.9},
            "0 of 2 values of country with rows enough have a model of their own; all rows have the general",
        ),
    ]:
        segments = problem.search.segments.model_copy(update=conf)
        changed = replace(problem, search=problem.search.model_copy(update={"segments": segments}))
        found, notes = divided(run, changed, point, 2)
        assert found is None
        assert says in notes[0]
    segments = problem.search.segments.model_copy(update={"by": "same"})
    changed = replace(problem, search=problem.search.model_copy(update={"segments": segments}))
    assert "same is gone after" in divided(run, changed, point, 2)[1][0]
    lone = replace(problem, rows=problem.rows.where("country <> 'BE' or label = 1"))  # one class only
    segments = problem.search.segments.model_copy(update={"keep": "all", "min_class_rows": 1})
    found, _ = divided(run, replace(lone, search=problem.search.model_copy(update={"segments": segments})), point, 2)
    assert found.point.params["values"] == ["AT"]


def test_a_column_that_is_no_feature_of_few_values_is_refused(spark, tmp_path):
    with pytest.raises(
        ConfigError, match="'x' is double; write a feature of text, whole numbers, or true and false: country"
    ):
        setup(spark, tmp_path, segments={"by": "x"})
    with pytest.raises(ConfigError, match="no feature is called 'cuntry'.*did you mean 'country'"):
        setup(spark, tmp_path, segments={"by": "cuntry"})
