"""What is written before a step has ended does not end it; results of a rescoring are compared by value."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from headrace.config.types import Environment
from headrace.runtime.progress import Progress
from headrace.runtime.runner import Options, Outcome, Runner
from headrace.runtime.settling import unsettled
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
            made = f"by = '{by}'"
            return Done((Output("scored", frame, "insert", ("id",), verify=verify, made=made),), rows_in=last)

        step = Step("score", "score", ("a",), ("scored",), {"last": last}, run=work, verified=("scored",))
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


def test_a_stream_takes_back_when_it_begins_and_lets_others_be_afterwards(scratch: Project) -> None:
    scratch.write("a.csv", "id\n1\n")
    scratch.run("pipeline: p\ntables: {a: {source: {format: csv, path: a.csv}}}\n")
    runner = Runner(scratch.spark, scratch.pipeline, Environment(), Options(), Progress())

    def step(first: int, verify: Callable[[int], Output | None] = lambda rows: None) -> Step:
        def work(run: Run) -> Done:
            frame = run.spark.range(first, first + 2).select("id", F.lit(f"r{first}").alias("by"))
            made = Output("scored", frame, "insert", ("id",), serializable=True, verify=verify, made=f"by = 'r{first}'")
            return Done((made,), rows_in=2)

        return Step("score", "score", ("a",), ("scored",), {}, run=work, always=True, verified=("scored",))

    with pytest.raises(Killed):
        runner.again(step(0, kill))
    other = Runner(scratch.spark, scratch.pipeline, Environment(), Options(), Progress())
    assert other.again(step(10)) == 2
    assert {row[0] for row in scratch.rows("scored", "id")} == {10, 11}  # what was killed is gone, and not made here
    with pytest.raises(Killed):
        runner.again(step(20, kill))
    assert other.again(step(30)) == 2
    assert {row[0] for row in scratch.rows("scored", "id")} == {10, 11, 20, 21, 30, 31}  # it may be alive


def test_while_one_run_verifies_another_may_take_it_back(scratch: Project) -> None:
    """Both end; each row is there once, and what stands was verified. The other writes other rows as well, or before."""
    scratch.write("a.csv", "id\n1\n")
    scratch.run("pipeline: p\ntables: {a: {source: {format: csv, path: a.csv}}}\n")
    tables = Runner(scratch.spark, scratch.pipeline, Environment(), Options(), Progress()).tables
    tables.write(Output("scored", scratch.spark.range(0).select("id", F.lit("").alias("by"))), {})
    heard: list[tuple[str, int]] = []

    def write(by: str, ids: range, verify: Callable[[int], Output | None] = lambda rows: None) -> None:
        frame = scratch.spark.range(ids.start, ids.stop).select("id", F.lit(by).alias("by"))
        output = Output("scored", frame, "insert", ("id",), serializable=True, verify=verify, made=f"by = '{by}'")
        tables.write(output, {"fingerprint": by})

    def takes_back(rows: int) -> None:
        heard.append(("one", rows))
        if len(heard) == 1:
            assert tables.take_back("scored") == 3
            assert tables.take_back("scored") is None
            write("other", range(2, 5))

    write("one", range(3), takes_back)
    assert sorted(scratch.rows("scored", "id", "by")) == [(0, "one"), (1, "one"), *[(n, "other") for n in (2, 3, 4)]]
    assert heard == [("one", 3), ("one", 2)]  # it saw it, and wrote what was missing again
    assert tables.log.last("scored").note["fingerprint"] == "one"

    def goes_on(rows: int) -> None:
        write("beside", range(20, 22))

    write("third", range(10, 12), goes_on)  # another one writes in between, and takes nothing back: it had begun before
    assert {row[0] for row in scratch.rows("scored", "id")} == {0, 1, 2, 3, 4, 10, 11, 20, 21}
    assert unsettled(tables.log, "scored") == []

    def wrong(rows: int) -> Output:
        write("between", range(40, 42))
        frame = scratch.spark.range(30, 33).select("id", F.lit("right").alias("by"))
        return Output("scored", frame, "insert", ("id",), serializable=True)

    write("wrong", range(30, 33), wrong)
    assert sorted(row for row in scratch.rows("scored", "id", "by") if row[0] >= 30) == [
        (30, "right"), (31, "right"), (32, "right"), (40, "between"), (41, "between")]  # fmt: skip
    assert unsettled(tables.log, "scored") == []


def test_of_settling_and_taking_back_one_wins(scratch: Project) -> None:
    """A run that is killed below what another one wrote is found as well; of two that take it back one does."""
    scratch.write("a.csv", "id\n1\n")
    scratch.run("pipeline: p\ntables: {a: {source: {format: csv, path: a.csv}}}\n")
    tables = Runner(scratch.spark, scratch.pipeline, Environment(), Options(), Progress()).tables

    def write(by: str, verify: Callable[[int], Output | None]) -> None:
        frame = scratch.spark.range(3).select((F.col("id") + 10 * len(by)).alias("id"), F.lit(by).alias("by"))
        tables.write(
            Output("scored", frame, "insert", ("id",), serializable=True, verify=verify, made=f"by = '{by}'"), {}
        )

    with pytest.raises(Killed):
        write("killed", kill)
    (left,) = unsettled(tables.log, "scored")
    write("fine", lambda rows: None)
    assert unsettled(tables.log, "scored") == [left]
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda _: tables.take_back("scored"), range(2)))
    assert sorted(told, key=str) in ([3, None], [None, None])  # the loser leaves it to the winner, and to the next run
    tables.take_back("scored")
    assert {row[0] for row in scratch.rows("scored", "by")} == {"fine"}
    assert unsettled(tables.log, "scored") == []
