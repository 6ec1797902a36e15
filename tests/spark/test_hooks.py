"""Python that the YAML names: sources, transforms, metrics, estimators, transformers, and what is told when it fails."""

from __future__ import annotations

import json
import math
import textwrap

import pytest

from headrace.cli.reproduce import reproduction
from headrace.config.reading import read_pipeline
from headrace.config.types import Pipeline
from headrace.errors import ConfigError, DataError, HeadraceError
from headrace.runtime.runner import Options
from headrace.runtime.transforms import prove_rows, transformed
from tests.support.hooks import written
from tests.support.runs import statuses

SHOP = """
pipeline: shop
tables:
  orders:
    source: {python: "my_sources:orders", options: {rows: 8, names: [x, y]}}
    transform: my_tables:with_words
    columns: {words_twice: 2 * words}
    key: order_id
    event_time: placed_at
training_set:
  from: orders
  label: amount > 12
  row_features: {half: amount_before / 2}
  exclude: [amount, note]
  transform: my_features:risk
  split: {by: time, train_until: 2024-01-03, validation_until: 2024-01-05, test_until: 2024-01-07}
"""
SOURCES = """
from pyspark.sql import functions as F

import my_helpers


def orders(spark, rows, names=()):
    assert names == ["x", "y"]
    return my_helpers.numbers(spark, rows).select(
        F.col("id").alias("Order ID"),
        F.expr("timestamp '2024-01-01' + make_dt_interval(id)").alias("placed at"),
        F.expr("10.0D + id % 2 * 5").alias("amount"),
        F.expr("double(id)").alias("amount_before"),
        F.expr("repeat('word ', int(id))").alias("note"),
    )
"""
HELPERS = """
def numbers(spark, rows):
    return spark.range(rows)


def words(text):
    return len(text.split())
"""
TABLES = """
from pyspark.sql import functions as F
from my_helpers import words


def with_words(frame):
    return frame.withColumn("Words", F.udf(words, "int")("note"))
"""
FEATURES = """
from pyspark.sql import functions as F


def risk(frame):
    assert "label" not in frame.columns and "split" not in frame.columns
    return frame.withColumn("risk", F.col("half") + F.col("words")).drop("amount_before")
"""


def test_sources_and_transforms_from_python_and_what_an_edit_runs_again(scratch):
    for name, text in {"my_sources": SOURCES, "my_tables": TABLES, "my_features": FEATURES}.items():
        scratch.write(f"{name}.py", text)
    scratch.write("hooks/my_helpers.py", HELPERS)
    assert set(statuses(scratch.run(SHOP, to="training_set")).values()) == {"done"}
    assert scratch.rows("orders", "order_id", "note", "words", "words_twice")[:2] == [(0, "", 0, 0), (1, "word ", 1, 2)]
    features = scratch.rows("training_set", "order_id", "half", "risk", "split", "label")
    assert features[2] == (2, 1.0, 3.0, "validation", False)
    assert features[7] == (7, 3.5, 10.5, "score", True)
    assert "amount_before" not in scratch.table("training_set").columns

    again = statuses(scratch.run(SHOP, to="training_set"))
    assert set(again.values()) == {"unchanged"}  # read again: nothing but its rows can tell whether it changed
    assert scratch.table("raw_orders").count() == 8

    over_all = FEATURES.replace('F.col("words")', 'F.expr("avg(words) over ()")')
    scratch.write("my_features.py", over_all)
    with pytest.raises(DataError, match=r"training_set.transform: called for \d rows alone, .* gives other values"):
        scratch.run(SHOP, only="training_set")

    scratch.write("hooks/my_helpers.py", HELPERS.replace("len(text.split())", "-len(text.split())"))
    scratch.write("my_features.py", FEATURES)
    edited = statuses(scratch.run(SHOP.replace("rows: 8", "rows: 9"), to="training_set"))
    assert set(edited.values()) == {"done"}
    assert scratch.rows("orders", "order_id", "words")[1] == (1, -1)  # also by workers that ran the old code
    assert (scratch.table("raw_orders").count(), scratch.table("orders").count()) == (17, 9)


DATA_SOURCE = """
from pyspark.sql.datasource import DataSource, DataSourceReader


class Numbers(DataSource):
    @classmethod
    def name(cls):
        return "numbers"

    def schema(self):
        return "n int, square int"

    def reader(self, schema):
        return Reader(int(self.options["until"]))


class Reader(DataSourceReader):
    def __init__(self, until):
        self.until = until

    def read(self, partition):
        for n in range(self.until):
            yield n, n * n
"""
LAZY = """
from pyspark.sql import functions as F


def broken(frame):
    return frame.withColumn("c", F.udf(lambda n: 1 // (n - n), "int")("n"))
"""


def test_a_data_source_of_spark_and_an_error_in_a_worker(scratch):
    scratch.write("my_sources.py", DATA_SOURCE)
    scratch.write("my_tables.py", LAZY)
    source = '{python: "my_sources:Numbers", options: {until: 3}}'
    scratch.run(f"pipeline: p\ntables: {{n: {{source: {source}}}}}\n")
    assert scratch.rows("n", "n", "square") == [(0, 0), (1, 1), (2, 4)]
    with pytest.raises(HeadraceError) as raised:
        scratch.run(f"pipeline: p\ntables: {{n: {{source: {source}, transform: 'my_tables:broken'}}}}\n")
    assert "ZeroDivisionError: integer division or modulo by zero (" in raised.value.message
    assert "my_tables.py:6 in <lambda>) [PYTHON_EXCEPTION]" in raised.value.message
    assert raised.value.message.startswith("tables.n.transform: the hook my_tables:broken raised PythonException: ")
    assert raised.value.exit_code == 1


def _pipeline(folder, body):
    text = f"from pyspark.sql import functions as F\n\n\ndef f(frame):\n{textwrap.indent(body, '    ')}\n"
    (folder / "my_tables.py").write_text(text)
    table = {"source": {"format": "csv", "path": "x.csv"}, "transform": "my_tables:f"}
    return Pipeline.model_validate({"pipeline": "p", "tables": {"t": table}}).beside(folder)


@pytest.fixture
def frame(spark):
    return spark.sql("select * from values (1, 'x'), (2, 'y'), (2, 'y') as t(a, b)")


def _transformed(frame, folder, body):
    pipeline = _pipeline(folder, body)
    made = transformed(pipeline, "tables.t.transform", frame, kept=("b",), hidden=("b",))
    prove_rows(pipeline, "tables.t.transform", frame, made, ("b",))
    return made


def test_what_headrace_needs_of_a_row_goes_through_a_transform_unseen(frame, tmp_path):
    made = _transformed(
        frame, tmp_path, "assert 'b' not in frame.columns\nreturn frame.withColumn('C', F.col('a') + 1)"
    )
    assert made.columns == ["b", "a", "c"]
    assert sorted(map(tuple, made.collect())) == [("x", 1, 2), ("y", 2, 3), ("y", 2, 3)]


@pytest.mark.parametrize(
    ("body", "error", "told"),
    [
        ("frame.withColumn('c', F.lit(1))", DataError, "returned nothing (is a `return` missing?)"),
        ("return frame.where('a > 1')", DataError, "was given 3 rows and returned 2"),
        ("return frame.union(frame)", DataError, "was given 3 rows and returned 6"),
        (
            "one = frame.where('a = 1')\nreturn one.union(one).union(one)",
            DataError,
            "returned 3, some of them twice and others not at all",
        ),
        ("return frame.select('a')", DataError, "without the column _kept"),
        ("return frame.withColumn('_x', F.lit(1))", DataError, "_x (a name has letters, digits and underscores"),
        ("return frame.withColumn('b', F.lit(1))", DataError, "b (Headrace's own columns are called so)"),
        ("return frame.select('*', F.lit(1).alias('A'))", DataError, "a (a name stands once"),
        ("return frame.select('nowhere')", HeadraceError, "my_tables.py:5 in f\n    return frame.select('nowhere')"),
        ("return {}['key']", HeadraceError, "the hook my_tables:f raised KeyError: 'key'"),
        ("from headrace.errors import ConfigError\nraise ConfigError('mend it')", ConfigError, "mend it"),
    ],
)
def test_a_transform_that_fails_is_told_in_words(frame, tmp_path, body, error, told):
    with pytest.raises(error) as raised:
        _transformed(frame, tmp_path, body)
    assert type(raised.value) is error
    assert told in raised.value.message
    assert "site-packages" not in raised.value.message
    if "mend it" not in told:
        assert raised.value.message.startswith("tables.t.transform: the hook my_tables:f ")


CURVE = """
import math


def curve(x):
    return 1 / (1 + math.exp(-x))
"""


def test_the_users_classes_are_searched_registered_and_score_as_they_were_trained(scratch):
    yaml = written(scratch.folder)
    models = (scratch.folder / "my_models.py").read_text()
    formula = '1 / (1 + F.exp(-self.getOrDefault("scale") * vector_to_array("features")[0]))'
    called = 'F.udf(my_curve.curve, "double")(self.getOrDefault("scale") * vector_to_array("features")[0])'
    assert formula in models
    models = f"import my_curve\n{models.replace(formula, called)}"  # in Python workers, by a module of its own
    scratch.write("my_models.py", models)
    scratch.write("my_curve.py", CURVE)
    outcome = scratch.run(yaml, to="score")
    assert set(statuses(outcome).values()) == {"done"}
    assert outcome.refused is None

    winner = scratch.table("trials").where("status = 'winner'").first()
    assert (winner["estimator"], winner["metric"]) == ("steep", "profit")
    scale = json.loads(winner["params"])["scale"]
    expected = {i: 1 / (1 + math.exp(-scale * min(3 * (i * 37 % 100 / 100) - 1, 1.0))) for i in range(360, 400)}
    scored = dict(scratch.rows("predictions", "id", "probability"))
    assert scored == pytest.approx(expected)  # as in training, by the stage that scores

    evaluation = {r["metric"]: r for r in scratch.table("evaluation").collect()}
    told = scratch.table("test_predictions").where("label is not null").collect()
    gains = [(10.0 if r["label"] else -5.0) if r["prediction"] else 0.0 for r in told]
    assert evaluation["profit"]["value"] == pytest.approx(sum(gains) / len(gains))
    assert evaluation["mistakes"]["value"] == sum(r["label"] != r["prediction"] for r in told)
    assert (evaluation["profit"]["lower"], evaluation["profit"]["upper"]) == (None, None)
    assert evaluation["areaUnderROC"]["lower"] is not None
    assert list((scratch.folder / "home" / "mlflow").rglob("code/my_models.py"))  # who reads the model elsewhere has it
    notes = [note for done in outcome.done for note in done.notes]
    assert any("(no interval: a metric in Python)" in note for note in notes)

    again = reproduction(scratch.spark, *read_pipeline(scratch.folder / "pipeline.yaml"), "1", 1e-6)
    assert again[0][-1] == "reproduced bit by bit", again
    scratch.write("my_curve.py", CURVE.replace("1 + ", "3 + "))  # for the next model
    assert statuses(scratch.run(yaml, only="score", options=Options(rescore=True))) == {"score": "done"}
    assert dict(scratch.rows("predictions", "id", "probability")) == scored  # the champion goes on as it was
    assert scratch.table("predictions").count() == len(scored)

    scratch.write("my_models.py", models.replace("class Steep(Estimator, ", "class Steep("))
    with pytest.raises(ConfigError, match=r"search.estimators\[0\].class: my_models:Steep is no Estimator of Spark ML"):
        scratch.run(yaml, to="search")
