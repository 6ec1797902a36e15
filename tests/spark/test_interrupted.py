"""What is written before a step has ended does not end it; results of a rescoring are compared by value."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from headrace.config.types import Environment
from headrace.runtime.progress import Progress
from headrace.runtime.runner import Options, Outcome, Runner
from headrace.runtime.step import Done, Output, Run, Step
from headrace.scoring.candidates import changed
from tests.support.runs import Project


def test_rows_appended_on_the_way_do_not_end_a_step(scratch: Project) -> None:
    scratch.write("a.csv", "id\n1\n")
    scratch.run("pipeline: p\ntables: {a: {source: {format: csv, path: a.csv}}}\n")
    runner = Runner(scratch.spark, scratch.pipeline, Environment(), Options(), Progress())
    step = Step("search", "search", ("a",), ("trials",), {}, run=lambda run: Done())
    run = runner._prepare(step)
    run.append("trials", run.read("a"))
    assert runner._earlier(step, runner._prepare(step)) is None
    runner.tables.write(Output("trials", run.read("a"), mode="append"), run.note)
    assert runner._earlier(step, runner._prepare(step)) is not None


def test_rescoring_compares_probabilities_of_many_classes(spark: SparkSession) -> None:
    rows = "select {} k, timestamp'2024-01-01' predict_at, 1 revision, 'a' prediction, map({}) probability"
    before = spark.sql(f"{rows.format(1, chr(39) + 'a' + chr(39) + ',0.5D,' + chr(39) + 'b' + chr(39) + ',0.5D')} "
                       f"union all {rows.format(2, chr(39) + 'a' + chr(39) + ',0.9D')}")  # fmt: skip
    after = spark.sql(f"{rows.format(1, chr(39) + 'b' + chr(39) + ',0.5D,' + chr(39) + 'a' + chr(39) + ',0.5D')} "
                      f"union all {rows.format(2, chr(39) + 'a' + chr(39) + ',0.8D')}")  # fmt: skip
    assert [(r["k"], r["revision"]) for r in changed(after, before, ("k",)).collect()] == [(2, 2)]


def test_rescoring_takes_last_digits_for_the_same(spark: SparkSession) -> None:
    rows = "select col1 k, timestamp'2024-01-01' predict_at, 1 revision, {} prediction, {} probability from values {}"
    near, wide = (
        "(1, 0.7D), (2, 0.7D), (3, null), (4, null)",
        "(1, 0.7000000000000001D), (2, 0.70001D), (3, null), (4, 0D)",
    )
    for prediction, probability in (
        ("col2", "cast(null as double)"),
        ("'a'", "col2"),
        ("'a'", "map('a', col2, 'b', 1D)"),
    ):
        before, after = (spark.sql(rows.format(prediction, probability, values)) for values in (near, wide))
        assert sorted(r["k"] for r in changed(after, before, ("k",)).collect()) == [2, 4]


class Killed(BaseException):
    """What ends a run in the middle, in place of a SIGKILL."""


def kill(rows: int) -> Output | None:
    """In place of a comparison."""
    raise Killed


def test_what_a_killed_run_had_not_verified_is_taken_back_and_made_again(scratch: Project) -> None:
    scratch.write("a.csv", "id\n1\n")
    scratch.run("pipeline: p\ntables: {a: {source: {format: csv, path: a.csv}}}\n")

    def scored(by: str, last: int, verify: Callable[[int], Output | None] = lambda rows: None) -> Outcome:
        def work(run: Run) -> Done:
            frame = run.spark.range(1, last + 1).select("id", F.lit(by).alias("by"))
            return Done((Output("scored", frame, "insert", ("id",), verify=verify),), rows_in=last)

        step = Step("score", "score", ("a",), ("scored",), {"last": last}, run=work)
        return Runner(scratch.spark, scratch.pipeline, Environment(), Options(), Progress()).run([step])

    for by, last, before in (("first", 2, []), ("later", 3, [(1, "first"), (2, "first")])):
        with pytest.raises(Killed):
            scored("killed", last, kill)
        assert len(scratch.rows("scored", "id", "by")) == last  # they are there, and nobody has verified them
        done = scored(by, last)
        expected = [*before, *[(id, by) for id in range(len(before) + 1, last + 1)]]
        assert sorted(scratch.rows("scored", "id", "by")) == expected
        again = scored("again", last)
        told = [(one.records[0].status, one.records[0].rows_in, one.records[0].rows_out) for one in (done, again)]
        assert told == [("done", last, last - len(before)), ("unchanged", last, last - len(before))]
        assert sorted(scratch.rows("scored", "id", "by")) == expected


def test_while_one_run_verifies_another_may_take_it_back(scratch: Project) -> None:
    """Both end; each row is there once, and what stands was verified."""
    scratch.write("a.csv", "id\n1\n")
    scratch.run("pipeline: p\ntables: {a: {source: {format: csv, path: a.csv}}}\n")
    tables = Runner(scratch.spark, scratch.pipeline, Environment(), Options(), Progress()).tables

    def write(by: str, verify: Callable[[int], Output | None]) -> None:
        frame = scratch.spark.range(3).select("id", F.lit(by).alias("by"))
        tables.write(Output("scored", frame, "insert", ("id",), verify=verify), {"fingerprint": by})

    def other(rows: int) -> None:
        assert tables.take_back("scored") == 3
        write("other", lambda rows: None)

    tables.write(Output("scored", scratch.spark.range(0).select("id", F.lit("").alias("by"))), {})
    write("one", other)
    assert sorted(scratch.rows("scored", "id", "by")) == [(0, "other"), (1, "other"), (2, "other")]
    assert tables.log.last("scored").note["fingerprint"] == "other"
    assert tables.take_back("scored") is None
