"""What is written before a step has ended does not end it; results of a rescoring are compared by value."""

from __future__ import annotations

from pyspark.sql import SparkSession

from headrace.config.types import Environment
from headrace.runtime.progress import Progress
from headrace.runtime.runner import Options, Runner
from headrace.runtime.step import Done, Output, Step
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
