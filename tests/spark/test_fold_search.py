"""A search over folds: what is learned of a fold's training rows alone, a trial's value by brute force, racing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from statistics import fmean

import numpy as np
import pytest

from headrace.engine.folds import Cut
from headrace.errors import DataError
from headrace.metrics.evaluators import model_metric
from headrace.models.store import ModelStore
from headrace.search import judging
from headrace.search.baseline import best
from headrace.search.begun import Folded
from headrace.search.ledger import Ledger, Row, read_back
from headrace.search.prepared import Prepared
from headrace.search.problem import look
from headrace.search.space import Point
from headrace.search.stage import steps
from headrace.search.trial import fit_whole
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import facts, pipeline, shared_home, sqlite, training_set
from tests.support.runs import Project

pytestmark = pytest.mark.usefixtures("interpreted")

HASHED = Cut(4, "hash")
PAIR = Cut(2, "hash")
TIMED = Cut(2, "time", tuple(datetime.fromtimestamp(at, UTC) for at in (300, 500)), "expanding", "40 seconds")
LATE = "timestamp_seconds(id + 30)"
BY_TIME = "if(split = 'test', null, int(id >= 300) + int(id >= 500))"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return shared_home(tmp_path_factory)


def folded(spark, cut: Cut, count: int = 600):
    """A training set with folds; labels are known half a minute after the prediction."""
    fold = BY_TIME if cut.by == "time" else f"if(split = 'test', null, int(id * 7919 % 97 % {cut.count} + 1))"
    rows = training_set(spark, count=count)
    return rows.selectExpr("*", f"{fold} fold").selectExpr(
        *[f"{LATE} label_known_at" if name == "label_known_at" else name for name in rows.columns], "fold"
    )


@pytest.mark.parametrize(("cut", "unseen"), [(PAIR, "fold = 1"), (TIMED, "id + 30 > 300 - 40")], ids=["hash", "time"])
def test_a_fold_learns_nothing_of_rows_that_do_not_train_in_it(spark, home, tmp_path, cut, unseen):
    """Canaries: outlier bounds, medians, kept categories, encoded labels, selection. All other rows are made wild."""
    table = folded(spark, cut).coalesce(2)
    changes = {
        "x0": "1e6 * id",
        "x1": "-1e9",
        "same": "double(id)",
        "carrier": "concat('Z', id)",
        "label": "id % 2 = 0",
    }
    wild = table.selectExpr(
        *[f"if({unseen}, {changes[c]}, {c}) {c}" if c in changes else c for c in table.columns],
    )
    search = {
        "outliers": [{"column": name, "method": "iqr", "treat": ["cap"]} for name in ("x0", "x1")],
        "preparation": {
            "categories": {"encode": ["target"]},
            "numbers": {"scale": ["robust"]},
            "select": {"correlation": 0.9, "top": 5},
        },
    }
    made = []
    for number, frame in enumerate((table, wild)):
        run = FakeRun(spark, tmp_path / str(number), pipeline(search), sqlite(home))
        run.put("training_set", frame, facts() | {"folds": cut.as_dict()})
        problem = look(run)
        first, second = problem.folds
        of = problem.plan(Point("logistic_regression", {}), first.known)
        prepared = Prepared(problem.folds, [(1, of)])
        prepared.start()
        with prepared.using(1, of) as parts:
            rows = parts.preparation.transform(first.known.made.transform(table)).orderBy("id")
            values = np.array([row["features"].toArray() for row in rows.select("id", "features").collect()])
            assert parts.train.count() == table.where(cut.trains(1)).count() > 100
        prepared.release()
        made.append((first.known.columns, of, values, second.known.columns))
    one, other = made
    assert one[:2] == other[:2]
    np.testing.assert_array_equal(one[2], other[2])
    assert one[3] != other[3]  # the other fold does train on these rows: the canary sings


def test_folds_that_cannot_be_learned_are_named(spark, home, tmp_path):
    run = FakeRun(spark, tmp_path, pipeline({}), sqlite(home))
    one = folded(spark, HASHED, 300).selectExpr("* except (label)", "label and fold <> 2 label")
    run.put("training_set", one, facts() | {"folds": HASHED.as_dict()})
    with pytest.raises(
        DataError, match=r"fold 2 of 4: there validates rows of one class only\. Mend training_set.split"
    ):
        look(run)
    early = Cut(2, "time", TIMED.starts, "expanding", "300 seconds")
    run.put("training_set", folded(spark, TIMED), facts() | {"folds": early.as_dict()})
    with pytest.raises(DataError, match="fold 1 of 2: the training part has no row with a label"):
        look(run)


def test_the_baseline_is_the_mean_over_folds_and_by_time_knows_a_last_value(spark, home, tmp_path):
    run = FakeRun(spark, tmp_path, pipeline({}), sqlite(home))
    rows = folded(spark, TIMED).selectExpr("* except (label)", "double(id + 500 * int(id % 7 = 0)) label")
    run.put("training_set", rows, facts("regression", []) | {"folds": TIMED.as_dict()})
    problem, frame, rmse = look(run), rows.toPandas(), {"mean": [], "last value": []}
    for fold, start in ((1, 300), (2, 500)):
        train = frame[(frame["fold"] < fold) & (frame["id"] + 30 <= start - 40)]
        valid = frame[frame["fold"] == fold]["label"]
        for name, guess in (("mean", train["label"].mean()), ("last value", train.sort_values("id")["label"].iloc[-1])):
            rmse[name].append(np.sqrt(np.mean((valid - guess) ** 2)))
    found = best(problem)
    assert found.name == min(rmse, key=lambda name: fmean(rmse[name]))
    assert found.value == pytest.approx(min(fmean(values) for values in rmse.values()))


@pytest.mark.parametrize(("task", "more"), [("anomaly", {}), ("topics", {"texts": "carrier"})])
def test_tasks_without_a_label_have_folds_as_well(spark, home, tmp_path, task, more):
    run = FakeRun(spark, tmp_path, pipeline({"max_evals": 1}, task=task, label=None, **more), sqlite(home), name=task)
    rows = folded(spark, PAIR, 300).selectExpr("* except (label)", "cast(null as double) label")
    run.put("training_set", rows.coalesce(1), facts(task, []) | {"folds": PAIR.as_dict()})
    run.finish(steps(run.pipeline)[0].run(run))
    row = run.read("trials").where("status = 'ok'").first()
    assert len(row["fold_values"]) == 2
    assert row["value"] == fmean(row["fold_values"])


SEARCH = {
    "max_evals": 3,
    "parallelism": 1,
    "algorithm": "random",
    "estimators": ["logistic_regression", "decision_tree"],
}


def searched(spark, home, folder, name, **more):
    run = FakeRun(spark, folder, pipeline(SEARCH | {"pruning": name} | more), sqlite(home), run_id=name, name=name)
    run.put("training_set", folded(spark, HASHED).coalesce(2), facts() | {"folds": HASHED.as_dict()})
    run.finish(steps(run.pipeline)[0].run(run))
    return run


@pytest.fixture(scope="module")
def both(spark, home, tmp_path_factory):
    """The same search with and without racing."""
    return {name: searched(spark, home, tmp_path_factory.mktemp(name), name) for name in ("none", "racing")}


def trials(run):
    rows = run.read("trials").where("status not in ('baseline', 'winner')").orderBy("trial")
    return [row.asDict() for row in rows.collect()]


def test_a_trial_is_worth_the_mean_of_its_folds(spark, both):
    run = both["none"]
    rows = trials(run)
    assert [(row["status"], len(row["fold_values"])) for row in rows] == [("ok", 4)] * 3
    problem = look(run)
    for row in rows[:1]:
        point = Point(row["estimator"], json.loads(row["params"]))
        values = []
        for fold in range(1, 5):  # slow and obvious: all of it, anew, from the table
            known = problem.folds[fold - 1].known
            train, valid = (
                known.target.with_index(run.read("training_set").where(condition)).select("label", *known.columns.used)
                for condition in (f"fold is not null and fold <> {fold}", f"fold = {fold}")
            )
            of = (problem.plan(point, known), known.goal, 42, 2)
            model = fit_whole(point, "binary", train, known.columns, *of)
            values.append(model_metric(model.transform(valid), "binary", "areaUnderROC"))
        assert row["fold_values"] == pytest.approx(values, abs=1e-6)
        assert row["value"] == pytest.approx(fmean(values), abs=1e-6)
    winner, first = run.read("trials").where("status = 'winner'").first(), max(rows, key=lambda row: row["value"])
    assert (winner["value"], winner["fold_values"]) == (first["value"], first["fold_values"])
    assert run.read("trials").where("status = 'baseline'").first()["value"] == 0.5


def test_mlflow_has_the_metric_of_each_fold(both):
    run = both["none"]
    client = ModelStore(run.tracking_uri).client
    parent = run.facts("trials")["facts"]["mlflow_run_id"]
    found = client.search_runs([client.get_experiment_by_name("none").experiment_id])
    children = [one for one in found if one.data.tags.get("mlflow.parentRunId") == parent]
    by_name = {one.info.run_name: one for one in children}
    for row in trials(run):
        child = by_name[f"trial {row['trial']} {row['estimator']}"]
        history = client.get_metric_history(child.info.run_id, "fold_areaUnderROC")
        assert [(one.step, one.value) for one in sorted(history, key=lambda one: one.step)] == list(
            enumerate(row["fold_values"], 1)
        )
        assert child.data.metrics["areaUnderROC"] == row["value"]


def test_racing_stops_jobs_and_finds_the_same_winner(spark, both):
    whole, raced = trials(both["none"]), trials(both["racing"])
    assert [(row["estimator"], row["params"]) for row in raced] == [(row["estimator"], row["params"]) for row in whole]
    pruned = [row for row in raced if row["status"] == "pruned"]
    assert pruned
    tracker = spark.sparkContext.statusTracker()
    for row, other in zip(raced, whole, strict=True):
        jobs = [len(tracker.getJobIdsForGroup(f"headrace-{name}-trial-{row['trial']}")) for name in ("racing", "none")]
        seen = len(row["fold_values"])
        assert row["fold_values"] == pytest.approx(other["fold_values"][:seen], abs=1e-9)
        if row["status"] == "pruned":
            assert 2 <= seen < 4
            assert 0 < jobs[0] < jobs[1]
            assert row["value"] is None
            assert row["error"].startswith(f"racing: after {seen} of 4 folds ")
            assert row["loss"] > min(one["loss"] for one in raced if one["status"] == "ok")
        else:
            assert (row["status"], seen) == ("ok", 4)
    winners = [run.read("trials").where("status = 'winner'").first() for run in both.values()]
    assert len({(row["trial"], row["params"], round(row["value"], 9)) for row in winners}) == 1
    assert not tracker.getActiveJobsIds()


def test_pruned_trials_are_not_repeated(both):
    kept = read_back(both["racing"], "f1")
    assert [row.status for row in kept] == [row["status"] for row in trials(both["racing"])]
    assert [row.fold_values for row in kept] == [row["fold_values"] for row in trials(both["racing"])]


YAML = """
pipeline: people
tables: {people: {source: {format: csv, path: people.csv}, key: id, event_time: at}}
training_set:
  from: people
  label: bought
  split: {by: time, train_until: 2024-03-01, validation_until: 2024-04-01, test_until: 2024-05-01, folds: 3}
search: {estimators: logistic_regression, max_evals: 1, pruning: racing}
"""


def test_an_older_table_of_trials_gets_the_new_column(scratch: Project):
    days = [f"{i},2024-0{i % 4 + 1}-{i % 28 + 1:02d},{i * 37 % 11},{'yn'[i * 7919 % 13 > 6]}" for i in range(600)]
    scratch.write("people.csv", "\n".join(["id,at,age,bought", *days]) + "\n")
    types = "run_id string, fingerprint string, trial bigint, status string, value double"
    older = scratch.spark.createDataFrame([("r0", "f0", 0, "ok", 0.7)], types)
    older = older.selectExpr("*", "current_timestamp() finished_at")
    older.write.format("delta").save(str(scratch.folder / "home" / "warehouse" / "people" / "trials"))
    scratch.run(YAML, to="search")
    rows = {row["status"]: row for row in scratch.table("trials").where("run_id <> 'r0'").collect()}
    assert set(rows) == {"baseline", "ok", "winner"}
    assert len(rows["ok"]["fold_values"]) == 3
    assert scratch.table("trials").where("run_id = 'r0'").first()["fold_values"] is None


def test_folds_of_a_killed_trial_are_not_tried_again(spark, home, tmp_path, monkeypatch):
    run = FakeRun(spark, tmp_path, pipeline(SEARCH), sqlite(home), fingerprint="begun", run_id="first", name="begun")
    run.put("training_set", folded(spark, HASHED).coalesce(2), facts() | {"folds": HASHED.as_dict()})
    begun = Point("decision_tree", {"depth": 5, "min_rows": 7.5})
    with Ledger(run, "begun", ModelStore(run.tracking_uri), {}) as ledger:  # a run that is killed in a third fold
        now = datetime.now(UTC)
        ledger.put(
            Row("first", "begun", -1, "baseline", '{"guess": "g"}', "baseline", "m", 0.5, None, 1.0, None, now, now)
        )
        for fold, value in ((1, 0.111), (2, 0.222)):
            ledger.fold(Folded(begun, "areaUnderROC", fold, value))
    tried = []
    before = judging.run_trial
    monkeypatch.setattr(judging, "run_trial", lambda *given: tried.append(given[0]) or before(*given))
    again = FakeRun(spark, tmp_path, pipeline(SEARCH), sqlite(home), fingerprint="begun", run_id="second", name="begun")
    again.finish(steps(again.pipeline)[0].run(again))
    rows = trials(again)
    assert [len(row["fold_values"]) for row in rows] == [4] * 3
    first = next(row for row in rows if json.loads(row["params"]) == begun.params)
    assert first["trial"] == 0
    assert first["fold_values"][:2] == [0.111, 0.222]
    assert len(tried) == 3 * 4 - 2
    client = ModelStore(run.tracking_uri).client
    found = client.search_runs([client.get_experiment_by_name("begun").experiment_id])
    children = [one for one in found if one.data.tags.get("mlflow.parentRunId")]
    assert sorted(one.data.tags["headrace.status"] for one in children) == ["interrupted", "ok", "ok", "ok"]
    whole = next(one for one in children if one.info.run_name == "trial 0 decision_tree")
    history = client.get_metric_history(whole.info.run_id, "fold_areaUnderROC")
    assert sorted((one.step, one.value) for one in history) == list(enumerate(first["fold_values"], 1))
    assert whole.data.params == {"estimator": "decision_tree", "depth": "5", "min_rows": "7.5"}
    assert {one.info.status for one in children} == {"FINISHED", "KILLED"}


def test_halving_over_folds_judges_in_few_first_and_fits_nothing_twice(spark, home, tmp_path, both):
    """The mean of the first fold alone decides who sees the others."""
    run = searched(spark, home, tmp_path, "halving", pruning={"halving": {"over": "folds"}}, max_evals=6)
    rows, seen = trials(run), []
    assert [row["params"] for row in rows][:3] == [row["params"] for row in trials(both["none"])]
    for row in rows:
        assert row["rungs"] == [-row["fold_values"][0]]  # larger is better
        seen.append(row["rungs"][0])
        pruned = len(seen) >= 3 and row["rungs"][0] > sorted(seen)[-(-len(seen) // 3) - 1]
        assert row["status"] == ("pruned" if pruned else "ok")
        assert len(row["fold_values"]) == (1 if pruned else 4)
        assert row["bracket"] is None
        if pruned:
            assert row["error"].startswith("halving: with 1 of 4 folds ")
    assert any(row["status"] == "pruned" for row in rows)
