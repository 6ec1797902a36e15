"""What goes with rows and is no feature: there only where it is needed, and never seen by the user's stages."""

from __future__ import annotations

import textwrap
from dataclasses import replace

import pytest
from pyspark.ml import Estimator, PipelineModel, Transformer
from pyspark.ml.feature import SQLTransformer
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as F

from headrace.config.hooks import Use
from headrace.config.learning import Search
from headrace.errors import DataError
from headrace.metrics.frame import FLAG
from headrace.runtime.transforms import KEPT
from headrace.search.balance import fit_balanced
from headrace.search.own import Stage, fit_stages, through
from headrace.search.problem import look
from headrace.search.search import refitted
from headrace.search.segment_fits import fit_segmented
from headrace.search.space import Point
from headrace.search.tallies import ROW
from headrace.search.wanted import by_label
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import FEATURES, facts, pipeline, training_set

pytestmark = pytest.mark.usefixtures("interpreted")
USE = Use("search.transformers[0].class", "mine:Mine", "transformer")


class Picks(Transformer, DefaultParamsWritable, DefaultParamsReadable):
    """Knows its columns, and drops all others."""

    def _transform(self, frame):
        assert not {FLAG, ROW} & set(frame.columns)
        return frame.select("label", (F.col("x") * 2).alias("x"))


class Doubled(Transformer, DefaultParamsWritable, DefaultParamsReadable):
    """Keeps what it does not know."""

    def _transform(self, frame):
        assert not {FLAG, ROW} & set(frame.columns)
        return frame.withColumn("x", F.col("x") * 2)


class Greedy(Estimator, DefaultParamsWritable, DefaultParamsReadable):
    """Learns from every column but the label."""

    def _fit(self, dataset):
        self.seen = sorted(dataset.columns)
        return Doubled()


@pytest.fixture
def rows(spark):
    return spark.range(40).selectExpr(
        "double(id % 2) as label", "double(id) as x", f"id % 3 = 0 as {FLAG}", f"xxhash64(id) as {ROW}"
    )


def test_what_goes_with_rows_goes_around_stages(rows):
    greedy = Greedy()
    fitted = PipelineModel(fit_stages([Stage(USE, greedy), Stage(USE, Doubled())], rows))
    assert greedy.seen == ["label", "x"]
    made = through(fitted, rows)
    assert sorted(made.columns) == sorted(rows.columns)
    wanted = rows.withColumn("x", F.col("x") * 4)
    assert sorted(made.select(*rows.columns).collect()) == sorted(wanted.collect())
    assert through(PipelineModel([]), rows) is rows
    for how in ("none", "oversample"):
        fit_balanced(greedy, rows.drop(FLAG), how)
        assert greedy.seen == ["label", "x"]


def test_a_stage_may_drop_all_but_its_columns_where_nothing_goes_with_rows(rows):
    plain = rows.drop(FLAG, ROW)
    fitted = PipelineModel(fit_stages([Stage(USE, Picks())], plain))
    assert sorted(through(fitted, plain).collect()) == sorted(plain.withColumn("x", F.col("x") * 2).collect())
    with pytest.raises(DataError, match=f"mine:Mine dropped the column {KEPT}; a transformer keeps"):
        fit_stages([Stage(USE, Picks())], rows)


@pytest.mark.parametrize(
    ("conf", "task", "kinds", "types", "wanted"),
    [
        ({}, "binary", ("tree",), {"a": "string"}, True),
        ({}, "regression", ("linear", "native"), {"a": "string"}, True),
        ({}, "multiclass", ("tree",), {"a": "string"}, False),
        ({}, "survival", ("tree",), {"a": "string"}, False),
        ({}, "binary", ("linear",), {"a": "string"}, False),
        ({}, "binary", ("tree",), {"a": "double"}, False),
        ({"preparation": {"columns": {"a": {"role": "category"}}}}, "binary", ("tree",), {"a": "int"}, True),
        ({"preparation": {"categories": {"encode": "ordinal"}}}, "binary", ("tree",), {"a": "string"}, False),
        ({"transformers": ["mine:Mine"]}, "binary", ("tree",), {"a": "string"}, False),
        ({"outliers": [{"column": "x", "method": "iqr", "treat": "cap"}]}, "binary", ("tree",), {"a": "string"}, True),
    ],
)
def test_where_the_label_tells_many_values_apart(conf, task, kinds, types, wanted):
    assert by_label(Search.model_validate(conf), task, kinds, types) == wanted


MINE = """
    from pyspark.ml import Transformer
    from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable


    class Mine(Transformer, DefaultParamsWritable, DefaultParamsReadable):
        def _transform(self, frame):
            return frame.select(*[name for name in ("label", "x0", "carrier") if name in frame.columns])
"""


def looked_at(spark, folder, label="late", search=None, task="binary", labels=None):
    (folder / "mine.py").write_text(textwrap.dedent(MINE))
    conf = {"estimators": ["decision_tree"], "max_categories": 2, **(search or {})}
    run = FakeRun(spark, folder, pipeline(conf).beside(folder), "none")
    run.put("training_set", training_set(spark, label, 300).coalesce(1), facts(task, labels))
    return look(run)


def test_transformers_are_given_features_and_label_alone(spark, tmp_path):
    problem = looked_at(spark, tmp_path, search={"transformers": [{"class": "mine:Mine"}]})
    assert sorted(problem.known.raw.columns) == sorted(["label", *FEATURES])
    assert sorted(problem.known.rows.columns) == ["carrier", "label", "x0"]
    assert (problem.known.by_label, problem.columns.many) == (False, ())
    point = Point("decision_tree", problem.recipes["decision_tree"].first)
    assert refitted(problem, point, 1, 1).model.transform(problem.rows.drop("label")).count() == problem.rows.count()


@pytest.mark.parametrize(
    ("changes", "there"),
    [
        ({}, True),
        ({"search": {"estimators": ["logistic_regression"]}}, False),
        ({"search": {"estimators": ["logistic_regression"], "balance": "undersample"}}, True),
        ({"search": {"outliers": [{"column": "x0", "method": "iqr", "treat": "cap"}]}}, True),
        ({"label": "carrier", "task": "multiclass", "labels": ["AA", "BB", "CC"]}, False),
        ({"label": "x0 + count", "task": "regression", "labels": []}, True),
    ],
)
def test_rows_have_their_hash_where_it_is_needed(spark, tmp_path, changes, there):
    known = looked_at(spark, tmp_path, **changes).known
    encoded = there and "balance" not in changes.get("search", {})
    for frame in (known.raw, known.rows):
        assert (ROW in frame.columns) == there
        assert KEPT not in frame.columns
    assert (known.by_label, known.columns.many) == (encoded, ("carrier",) if encoded else ())


def test_a_model_of_a_segment_prepares_as_the_general_one(spark, tmp_path):
    problem = looked_at(spark, tmp_path)
    one = {"estimator": "decision_tree", "params": dict(problem.recipes["decision_tree"].first)}
    point = Point("segments", {"by": "weekend", "of": one, "values": ["true", "false"]})
    made = fit_segmented(problem, point, problem.rows, problem.known, 1, 1)
    assert not made.failed
    for model in (made.model.general, *made.model.members.values()):
        said = " ".join(stage.getStatement() for stage in model.stages if isinstance(stage, SQLTransformer))
        assert "`carrier__target`" in said
    plain = replace(problem.known, by_label=False)
    again = fit_segmented(problem, point, problem.rows, plain, 1, 1).model.members["true"]
    assert not any("carrier__target" in s.getStatement() for s in again.stages if isinstance(s, SQLTransformer))
