"""Where a search begins, how it chooses, and when it has seen enough."""

from __future__ import annotations

import json
from functools import partial
from statistics import median

import pytest

from headrace.errors import HeadraceError
from headrace.search import halving, judging
from headrace.search.brackets import turns
from headrace.search.stage import steps
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import facts, pipeline, shared_home, sqlite, training_set

pytestmark = pytest.mark.usefixtures("interpreted")


@pytest.fixture(scope="module")
def searched(spark, tmp_path_factory):
    """Searches in turn over one training set; gives what a run said, and the parameters of its trials in order."""
    folder, uri = tmp_path_factory.mktemp("ways"), sqlite(shared_home(tmp_path_factory))
    table = training_set(spark, count=600).coalesce(1)

    def search(name, conf):
        run = FakeRun(spark, folder, pipeline(conf), uri, fingerprint=f"ways-{name}", run_id=name)
        if not run.exists("training_set"):
            run.put("training_set", table, facts())
        run.finish(steps(run.pipeline)[0].run(run))
        search.rows = partial(rows, run)
        return run.said, [(json.loads(r["params"]), r["loss"]) for r in rows(run, name)]

    def rows(run, name):
        found = run.read("trials").where(f"fingerprint = 'ways-{name}' and trial >= 0 and status <> 'winner'")
        return found.orderBy("finished_at").collect()

    return search


def _logistic(**more):
    return {"name": "logistic_regression", "params": {"l1_ratio": 0.0}, **more}


def test_a_grid_ends_when_all_is_tried_and_the_next_search_begins_with_its_best(searched):
    space = {"regularization": {"choice": [0.0005, 0.3]}}
    points = [{"estimator": "logistic_regression", "regularization": 0.3}]
    conf = {
        "estimators": [_logistic(space=space)],
        "algorithm": "grid",
        "max_evals": 9,
        "points": points,
        "parallelism": 1,
    }
    said, found = searched("grid", conf)
    assert [params for params, _ in found] == [{"l1_ratio": 0.0, "regularization": x} for x in (0.3, 0.0005)]
    assert "2 of at most 9 done, best 0." in said[-1]
    best = min(found, key=lambda one: one[1])[0]
    warm = {
        "estimators": ["logistic_regression"],
        "algorithm": "random",
        "max_evals": 3,
        "warm_start": 1,
        "parallelism": 1,
    }
    _, then = searched("warm", warm)
    assert [params for params, _ in then][:2] == [{"l1_ratio": 0.0, "regularization": 0.0001}, best]
    assert then[1][1] == pytest.approx(min(loss for _, loss in found), abs=1e-9)


def test_a_search_that_finds_nothing_better_ends(searched):
    space = {"regularization": {"choice": [0.001, 0.002]}}
    conf = {
        "estimators": [_logistic(space=space)],
        "algorithm": "random",
        "max_evals": 40,
        "patience": 2,
        "parallelism": 1,
    }
    _, found = searched("patience", conf)
    losses = [loss for _, loss in found]
    assert len(losses) - 1 - losses.index(min(losses)) == 2
    assert len(losses) < 40


def test_a_search_of_a_time_ends_when_all_is_tried_and_fits_each_point_once(searched, monkeypatch):
    fitted, plain = [], judging.run_trial
    monkeypatch.setattr(judging, "run_trial", lambda point, *of: fitted.append(point) or plain(point, *of))
    space = {"regularization": {"choice": [0.001, 0.3, 30.0]}}
    conf = {"estimators": [_logistic(space=space)], "algorithm": "random", "timeout": "5 minutes", "parallelism": 1}
    said, found = searched("timed", conf)
    assert said[-1] == "no more trials are started: all 3 points of the space are tried"
    each = {params["regularization"]: {loss for p, loss in found if p == params} for params, _ in found}
    assert [len(losses) for losses in each.values()] == [1, 1, 1]
    assert len(fitted) == 3 <= len(found) < 60
    assert len({json.dumps(params) for params, _ in found[:-1]}) == 2

    before = len(fitted)
    _, again = searched("numbered", conf | {"max_evals": 8})
    assert (len(again), len(fitted) - before) == (8, len({json.dumps(params) for params, _ in again}))


def test_a_search_of_a_time_in_which_all_fails_ends(searched):
    failing = {"name": "decision_tree", "params": {"depth": 40}}  # Spark's go down to 30
    with pytest.raises(HeadraceError, match="none of 20 trials finished"):
        searched("hopeless", {"estimators": [failing], "timeout": "5 minutes", "parallelism": 1})


@pytest.mark.parametrize("algorithm", ["genetic", "optuna"])
def test_algorithms_that_learn_from_what_was_tried(searched, algorithm):
    conf = {"estimators": [_logistic(), "naive_bayes"], "algorithm": algorithm, "max_evals": 14, "parallelism": 2}
    _, found = searched(algorithm, conf)
    tried = [tuple(sorted(params.items())) for params, _ in found]
    assert len(tried) == len(set(tried)) == 14
    assert all(loss is not None for _, loss in found)


def test_a_trial_that_is_behind_with_few_rows_learns_from_no_more(searched, monkeypatch):
    monkeypatch.setattr(halving, "LEAST", 10)
    monkeypatch.setattr(halving, "LEAST_OF_CLASS", 2)
    space = {"regularization": {"loguniform": [1e-4, 100.0]}}
    conf = {"estimators": [_logistic(space=space)], "algorithm": "random", "max_evals": 10, "parallelism": 1}
    said, found = searched("halving", conf | {"pruning": "halving"})
    rows = searched.rows("halving")
    assert [len(row["rungs"]) for row in rows if row["status"] == "ok"] == [2] * sum(r["status"] == "ok" for r in rows)
    pruned = [row for row in rows if row["status"] == "pruned"]
    assert len(found) == 10 > len(pruned) >= 3
    gains = {0: [], 1: []}  # what all rows brought those that went on to their end before
    for row in rows:
        for rung, loss in enumerate(row["rungs"] if row["status"] == "ok" else []):
            gains[rung].append(loss - row["loss"])
        if row["status"] == "pruned":
            seen = gains[len(row["rungs"]) - 1]
            assert row["loss"] == pytest.approx(row["rungs"][-1] - (median(seen) if seen else 0.0), abs=1e-12)
    for row in pruned:
        assert row["value"] is None
        assert "trials were better; the best" in row["error"]
    first = [row["rungs"][0] for row in rows]
    assert len(set(first)) > 1
    best = min((r for r in rows if r["status"] == "ok"), key=lambda row: row["loss"])
    _, whole = searched("unpruned", conf)
    assert best["loss"] == pytest.approx(min(loss for _, loss in whole), abs=0.02)
    assert "best 0." in said[-1]


def _by_the_rule(rows, kind):
    """Whether each trial, in order, ended as it must: among those of its bracket and kind that were at its rungs before."""
    there = {}
    for row in rows:
        stopped = False
        for place, loss in enumerate(row["rungs"] or []):
            seen = there.setdefault((row["bracket"], kind(row), place), [])
            seen.append(loss)
            stopped = len(seen) >= 3 and loss > sorted(seen)[-(-len(seen) // 3) - 1]
            assert stopped == (row["status"] == "pruned" and place == len(row["rungs"]) - 1)
        yield stopped


def test_hyperband_over_iterations_learns_with_few_trees_first_and_remembers_who_was_where(searched):
    points = [{"estimator": "hist_gradient_boosting", "trees": 90, "learning_rate": 0.05}]
    trees = {"name": "hist_gradient_boosting", "space": {"learning_rate": {"loguniform": [1e-3, 0.5]}}}
    conf = {"estimators": [trees, _logistic()], "algorithm": "random", "parallelism": 1, "points": points}
    hyperband = conf | {"pruning": {"hyperband": {"over": "iterations"}}}
    searched("hyperband", hyperband | {"max_evals": 9})
    searched("hyperband", hyperband | {"max_evals": 24})  # goes on where the first ended
    rows = searched.rows("hyperband")
    assert [row["trial"] for row in rows] == list(range(24))
    assert [row["bracket"] for row in rows] == [turns(2)[number % 17] for number in range(24)]
    for row in rows:  # 600 rows are too few for a share of them
        most = row["bracket"] if row["estimator"] == "hist_gradient_boosting" else 0
        assert len(row["rungs"] or []) == most or (row["status"] == "pruned" and len(row["rungs"]) <= most)
    stopped = list(_by_the_rule(rows, lambda row: row["estimator"]))
    assert sum(stopped) >= 3

    first = rows[0]
    assert json.loads(first["params"])["trees"] == 90
    fewer = [{**points[0], "trees": count} for count in (10, 30)]
    _, found = searched("fewer", conf | {"points": fewer, "max_evals": 2})
    assert [params["trees"] for params, _ in found] == [10, 30]
    assert first["rungs"] == pytest.approx([loss for _, loss in found], abs=1e-12)
