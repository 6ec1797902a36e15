"""A search that is forced begins anew; one that was killed goes on, forced or not."""

from __future__ import annotations

import sys

import pytest

from headrace.search import search
from headrace.search.attempt import attempt
from headrace.search.stage import steps
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import facts, pipeline, shared_home, sqlite, training_set

F1, R2, R3 = "f1", "f1+r2", "f1+r3"


@pytest.mark.parametrize(
    ("trials", "unforced", "forced"),
    [
        ([], F1, "f1+r9"),
        ([("f2", "ok"), ("f2", "winner"), ("f2+r2", "ok")], F1, "f1+r9"),  # of another search
        ([(F1, "ok")], F1, "f1+r9"),  # was interrupted, and nobody had forced it
        ([(F1, "ok"), (F1, "winner")], F1, "f1+r9"),
        ([(F1, "ok"), (F1, "winner"), (R2, "ok")], R2, R2),  # forced and interrupted: goes on
        ([(F1, "ok"), (F1, "winner"), (R2, "failed")], R2, R2),
        ([(F1, "ok"), (F1, "winner"), (R2, "ok"), (R2, "winner")], R2, "f1+r9"),
        ([(R2, "ok"), (R3, "ok"), (R3, "winner")], R3, "f1+r9"),  # an older attempt was given up
        ([(R2, "failed"), (R2, "timed_out"), (R2, "failed")], R2, "f1+r9"),  # there is no trial left to hope for
    ],
)
def test_which_attempt_goes_on(spark, tmp_path, trials, unforced, forced):
    rows = [(name, status, f"2024-01-01 00:00:{second:02d}") for second, (name, status) in enumerate(trials)]
    run = FakeRun(spark, tmp_path, pipeline({"max_evals": 3}), "nowhere", run_id="r9")
    if rows:
        frame = spark.createDataFrame(rows, "fingerprint string, status string, at string")
        run.put("trials", frame.selectExpr("fingerprint", "status", "cast(at as timestamp) finished_at"), {})
    assert attempt(run) == unforced
    run.forced = True
    assert attempt(run) == forced


def test_a_forced_search_tries_anew_and_goes_on_when_it_was_killed(spark, tmp_path, tmp_path_factory, monkeypatch):
    uri = sqlite(shared_home(tmp_path_factory))

    def run(run_id: str, evals: int, forced: bool) -> FakeRun:
        asked = pipeline({"max_evals": evals, "parallelism": 1, "estimators": ["logistic_regression"]})
        return FakeRun(spark, tmp_path, asked, uri, run_id=run_id, forced=forced, name="forced")

    def finished() -> list[tuple]:
        rows = run("", 1, False).read("trials").where("trial >= 0").orderBy("finished_at").collect()
        return [(r.run_id, r.fingerprint, r.trial, r.status) for r in rows]

    first = run("r1", 1, forced=False)
    first.put("training_set", training_set(spark, count=300).coalesce(1), facts())
    first.finish(steps(first.pipeline)[0].run(first))
    model = first.facts("trials")["facts"]["model_uri"]
    before = [("r1", F1, 0, "ok"), ("r1", F1, 0, "winner")]
    assert finished() == before

    killed = run("r2", 1, forced=True)
    with monkeypatch.context() as patch:
        patch.setattr(search, "best_row", lambda rows: sys.exit())
        with pytest.raises(SystemExit):
            steps(killed.pipeline)[0].run(killed)
    assert finished() == [*before, ("r2", R2, 0, "ok")]

    again = run("r3", 2, forced=True)
    again.finish(steps(again.pipeline)[0].run(again))
    *trials, winner = finished()
    assert trials == [*before, ("r2", R2, 0, "ok"), ("r3", R2, 1, "ok")]
    assert (winner[0], winner[1], winner[3]) == ("r3", R2, "winner")
    assert "1 finished trials of an earlier run are kept" in again.said
    assert again.facts("trials")["facts"]["trials"] == 2
    assert again.facts("trials")["facts"]["model_uri"] != model  # a model of its own: the registered one stays
