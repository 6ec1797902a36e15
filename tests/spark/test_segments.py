"""A model per segment: each as fitted alone by hand, the rest by the general one; judged, saved, compiled, registered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import functions as F

from headrace.cli.reproduce import reproduction
from headrace.config.preparation import Preparation
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError
from headrace.models.card import ModelCard
from headrace.models.compiled import agreement
from headrace.models.compiled.builder import build
from headrace.models.compiled.scorer import Compiled
from headrace.models.predict import predict
from headrace.models.segmented import SEGMENTS
from headrace.models.store import ModelStore
from headrace.search.columns import columns
from headrace.search.ensemble import ENSEMBLE
from headrace.search.plan import plan
from headrace.search.problem import look
from headrace.search.search import refitted
from headrace.search.segment_fits import Size
from headrace.search.segments import _Judged, _kept, divided
from headrace.search.space import Point
from headrace.search.trial import fit_whole
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import pipeline, shared_home
from tests.support.runs import Project, statuses

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


@pytest.fixture(scope="module")
def made(spark, tmp_path_factory):
    """A run, its problem and a point, by task, column of the segments and whether there are folds; made once."""
    known = {}

    def of_task(task, by="country", folds=False):
        if (task, by, folds) not in known:
            known[task, by, folds] = setup(spark, tmp_path_factory.mktemp("segments"), task, by, folds)
        return known[task, by, folds]

    return of_task


def setup(spark, home, task="binary", by="country", folds=False):
    label, estimator, labels = LABELS[task]
    conf = {"by": by, "min_rows": 100, "min_class_rows": 5}
    run = FakeRun(spark, home, pipeline({"estimators": [estimator], "segments": conf}), "none")
    table = rows(spark).selectExpr("id", "timestamp_seconds(id) predict_at", "split", f"{label} label", *FEATURES)
    facts = {"features": FEATURES, "key": ["id"], "task": task, "labels": labels}
    if folds:
        table = table.selectExpr("*", "if(split = 'test', null, int(id % 2 + 1)) fold")
        facts |= {"folds": {"count": 2, "by": "hash"}}
    run.put("training_set", table, facts)
    problem = look(run)
    return run, problem, Point(estimator, dict(problem.recipes[estimator].first))


def configured(problem, **changes):
    """The same problem, with another configuration of the segments."""
    segments = problem.search.segments.model_copy(update=changes)
    return replace(problem, search=problem.search.model_copy(update={"segments": segments}))


def of(point, values, by="country"):
    one = {"estimator": point.estimator, "params": dict(point.params)}
    return Point(SEGMENTS, {"by": by, "of": one, "values": values})


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


def card_of(problem, learned=None):
    target = problem.target
    return ModelCard(target.task, problem.features, target.label_type, target.labels, ("id",), learned=learned)


def agrees(spark, problem, again, folder):
    """The compiled form of a saved model, compared with `transform` on real rows and on rows of nothing."""
    card = card_of(problem, again.learned)
    compiled = Compiled.of(build(folder, card).files())
    real = rows(spark).select(*card.features).toArrow()
    empty = pa.table({name: pa.array([None, real[name][0].as_py()], real[name].type) for name in real.column_names})
    every = pa.concat_tables([real, empty])
    wrong = agreement.disagreement(spark, again.model, card, every, compiled.score(every))
    assert wrong is None, wrong
    assert compiled.score(every.slice(0, 1)).num_rows == 1


@pytest.mark.parametrize(("task", "by", "values"), [("binary", "country", ["AT", "BE"]),
                         ("multiclass", "country", ["BE"]), ("regression", "store", ["7"])])  # fmt: skip
def test_each_segment_is_answered_as_by_a_model_of_its_rows_alone_and_the_rest_by_the_general_one(
    spark, made, tmp_path, task, by, values
):
    run, problem, point = made(task, by)
    again = refitted(problem, of(point, values, by), 42, 2)
    judged, classes = run.read("training_set").cache(), task != "regression"
    again.model.save(str(tmp_path / "model"))
    said = PipelineModel.load(str(tmp_path / "model")).transform(judged).cache()
    order = [row["id"] for row in judged.select("id").collect()]
    assert [row["id"] for row in said.select("id").collect()] == order
    for value in values:
        mine = F.col(by) == value
        wanted = told(by_hand(problem, point, mine).transform(judged.where(mine)), classes)
        for ours, theirs in zip(told(said.where(mine), classes), wanted, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-6)
    rest = ~F.coalesce(F.col(by).cast("string"), F.lit("none")).isin(values)
    plain = refitted(problem, point, 42, 2)
    for ours, theirs in zip(told(said.where(rest), classes), told(plain.model.transform(judged.where(rest)), classes),
                            strict=True):  # fmt: skip
        np.testing.assert_array_equal(ours, theirs)
    agrees(spark, problem, again, tmp_path / "model")
    judged.unpersist(), said.unpersist()


def test_segments_of_an_ensemble_are_compiled(spark, made, tmp_path):
    _, problem, point = made("binary")
    tree = {"estimator": "decision_tree", "params": dict(problem.recipes["decision_tree"].first)}
    members = [{"estimator": point.estimator, "params": dict(point.params)}, tree]
    again = refitted(problem, of(Point(ENSEMBLE, {"by": "average", "members": members}), ["BE"]), 42, 2)
    again.model.save(str(tmp_path / "model"))
    agrees(spark, problem, again, tmp_path / "model")


@pytest.mark.parametrize(("task", "folds"), [("binary", False), ("regression", True)])
def test_a_segment_learns_alone_where_that_is_better_on_rows_that_neither_has_seen(made, task, folds):
    run, problem, point = made(task, folds=folds)
    found, notes = divided(run, problem, point, 2)
    assert found is not None, notes
    assert found.point.params["values"] == ["AT", "BE"]
    each = {one["value"]: one for one in found.told["each"]}
    counts = {row["country"]: row["count"] for row in problem.rows.groupBy("country").count().collect()}
    assert {value: one["rows"] for value, one in each.items()} == {value: counts[value] for value in ("AT", "BE")}
    for one in each.values():
        assert one["own"] > one["general"] + 0.1 if task == "binary" else one["own"] < one["general"] - 1
    assert found.value > 0.9 if task == "binary" else found.value < 1.7
    assert notes[0].startswith("2 of 2 values of country with rows enough have a model of their own; on rows that")


def test_what_has_too_few_rows_or_classes_or_gains_nothing_has_the_general_model(made):
    run, problem, point = made("binary")
    found, notes = divided(run, configured(problem, min_rows=100_000), point, 2)
    assert found is None
    assert "no country has 100,000 rows, 5 of each class; all rows have the general model" in notes[0]
    assert "same is gone after" in divided(run, configured(problem, by="same"), point, 2)[1][0]
    lone = replace(problem, rows=problem.rows.where("country <> 'BE' or label = 1"))  # one class only
    found, _ = divided(run, configured(lone, keep="all", min_class_rows=1), point, 2)
    assert found.point.params["values"] == ["AT"]


def test_better_is_by_more_than_the_margin_and_what_is_not_judged_is_not_better(made):
    _, problem, _ = made("binary")
    size = Size("AT", 100, 2, 50)
    for own, general, changes, kept in [
        (0.8, 0.7, {}, True), (0.8, 0.7, {"margin": 0.2}, False), (0.7, 0.7, {}, False), (0.6, 0.7, {}, False),
        (0.6, 0.7, {"keep": "all"}, True), (None, None, {}, False), (None, None, {"keep": "all"}, True),
    ]:  # fmt: skip
        conf = problem.search.segments.model_copy(update=changes)
        assert _kept(problem, conf, _Judged(size, own, general)) is kept
        failed = _kept(problem, conf, _Judged(size, None, None, failed=True))
        assert failed is False


def test_a_column_that_is_no_feature_of_few_values_is_refused(spark, tmp_path):
    with pytest.raises(
        ConfigError, match="'x' is double; write a feature of text, whole numbers, or true and false: cou"
    ):
        setup(spark, tmp_path, by="x")
    with pytest.raises(ConfigError, match=r"no feature is called 'cuntry'.*did you mean 'country'"):
        setup(spark, tmp_path, by="cuntry")


YAML = """
pipeline: lands
tables:
  visits: {source: {format: csv, path: visits.csv}, key: id}
training_set: {from: visits, label: bought}
search: {estimators: logistic_regression, max_evals: 1, segments: {by: country, min_rows: 60}, threshold: {metric: f1}}
gates: [{metric: areaUnderROC, at_least: 0.8, slice: country, min_rows: 20}]
"""


def write(scratch: Project, count: int) -> None:
    rng, lines = np.random.default_rng(1), ["id,country,x,bought"]
    for number in range(count):
        country, x = rng.choice(["AT", "BE", "CH", ""], p=[0.45, 0.45, 0.05, 0.05]), rng.normal()
        bought = (x if country != "BE" else -x) + 0.3 * rng.normal() > 0
        lines.append(f"{number},{country},{x:.4f},{'' if number % 10 == 0 else str(bool(bought)).lower()}")
    scratch.write("visits.csv", "\n".join(lines) + "\n")


def test_a_pipeline_registers_them_as_one_version_scores_and_trains_it_again(spark, scratch, tmp_path_factory):
    shared, home = shared_home(tmp_path_factory) / "mlflow", scratch.folder / "home"
    shared.mkdir(parents=True, exist_ok=True)
    home.mkdir(exist_ok=True)
    (home / "mlflow").symlink_to(shared)
    write(scratch, 700)
    first = scratch.run(YAML, to="score")
    assert set(statuses(first).values()) == {"done"}
    assert any("1 of 2 values of country" in note for done in first.done for note in done.notes)
    assert set(statuses(scratch.run(YAML, to="score")).values()) == {"unchanged"}
    slices = scratch.table("evaluation").where("slice_column = 'country' and metric = 'areaUnderROC'").toPandas()
    assert set(slices["slice_value"]) == {"AT", "BE"}
    assert slices["value"].min() > 0.8
    store = ModelStore(f"sqlite:///{home}/mlflow/mlflow.db")
    version = store.resolve("lands")
    card = store.card(version.run_id)
    assert (version.tags["compiled"], version.tags["estimator"]) == ("admitted", SEGMENTS)
    kept = [one["value"] for one in card.learned["segments"]["each"] if one["kept"]]
    assert kept == card.params["values"] == ["BE"]  # the general model ranks all others as well as their own
    record = Path(mlflow.artifacts.download_artifacts(f"runs:/{version.run_id}/model_card.md")).read_text()
    assert "| country | rows | areaUnderROC of its own | of the general model | answered by |" in record
    due = scratch.table("training_set").where("split = 'score'")
    wanted = sorted(tuple(row) for row in predict(store.load(version.uri), card, due, ["id"]).collect())
    found = scratch.rows("predictions", "id", "prediction", "probability")
    assert [row[:2] for row in sorted(found)] == [row[:2] for row in wanted]
    assert [row[2] for row in sorted(found)] == pytest.approx([row[2] for row in wanted], rel=1e-6)
    features = due.select(*card.features).toPandas()
    again = mlflow.pyfunc.load_model(version.uri).predict(features)
    whole = store.load(version.uri).transform(due).select("id", "prediction").toPandas()["prediction"]
    assert list(again) == list(whole)
    lines, same = reproduction(spark, *read_pipeline(scratch.folder / "pipeline.yaml"), "champion", 1e-6)
    assert same, lines
