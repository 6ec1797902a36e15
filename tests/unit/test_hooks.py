"""What is told of the Python that a YAML names, without running it."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from headrace import flow
from headrace.config import hooks, modules
from headrace.config.learning import Search
from headrace.config.reading import read_pipeline
from headrace.config.schema import json_schema
from headrace.errors import ConfigError
from headrace.runtime import launch
from headrace.runtime.spark_errors import in_words, user_frames
from headrace.search import space
from headrace.search.estimators import Parameter, Recipe
from headrace.search.space import Point

PYTHON = """
import functools

try:
    import nothing as fast
except ImportError:
    fast = None


def orders(spark, since, *, until=None):
    pass


def anything(spark, **options):
    pass


def nothing():
    pass


def two(frame, more):
    pass


class Kind:
    pass


@functools.cache
def decorated():
    pass


if fast:
    late = 1
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "conf/p.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    write(PYTHON, "conf/mine.py")
    write("a\n1\n", "data.csv")
    return write


def mistakes(write, text: str) -> list[str]:
    try:
        read_pipeline(write(text))
    except ConfigError as error:
        return [f"{m.line} {m.where}: {m.message}" for m in error.mistakes]
    return []


def source(python: str, options: str = "{}") -> str:
    return f"pipeline: p\ntables:\n  t:\n    source:\n      python: '{python}'\n      options: {options}\n"


TABLE = "pipeline: p\ntables: {t: {source: {format: csv, path: data.csv}, transform: 'mine:%s'}}\n"
SEARCH = (
    "pipeline: p\ntables: {t: {source: {format: csv, path: data.csv}}}\n"
    "training_set: {from: t, label: a > 1, task: binary}\n"
)


@pytest.mark.parametrize(
    "text",
    [
        source("mine:orders", "{since: 2}"),
        source("mine:anything", "{a: 1, b: 2}"),
        source("mine:Kind", "{a: 1}"),
        TABLE % "fast",
        TABLE % "decorated",
        TABLE % "late",
        SEARCH + "search: {estimators: [xgboost, {name: bayes, class: 'pyspark.ml.classification:NaiveBayes'}]}\n",
        SEARCH + "metrics: {m: 'mine:anything'}\nsearch: {metric: m, transformers: 'mine:Kind'}\n",
        SEARCH + "metrics: {m: 'mine:anything'}\ngates: [{metric: m, at_least: 1}]\n",
    ],
)
def test_hooks_that_may_be_right_are_not_complained_of(write, text):
    assert mistakes(write, text) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (source("mine.orders"), "'mine.orders' names no Python; write module:name"),
        (source("../etc/mine:orders"), "names no Python"),
        (source("mein:orders"), "5 tables.t.source.python: there is no mein.py in"),
        (source("mein:orders"), "did you mean 'mine'?"),
        (source("mine:order", "{since: 1}"), "defines no 'order'; it defines"),
        (source("mine:order", "{since: 1}"), "did you mean 'orders'?"),
        (source("json:loads"), "'json' is a module of Python itself; call yours otherwise"),
        (source("mine:orders"), "mine.py:10: orders needs the option since; write it under `options`"),
        (source("mine:orders", "{since: 1, untl: 2}"), "takes no option 'untl'; options: since, until; did you mean"),
        (source("mine:orders", "{since: 1}") + "      path: x\n", "with `python` a source has no path"),
        (TABLE % "nothing", "nothing() cannot be called; wanted is a function DataFrame -> DataFrame"),
        (TABLE % "two", "two(frame, more) cannot be called"),
        (TABLE % "Kind", "Kind is a class; wanted is a function DataFrame -> DataFrame"),
        (SEARCH + "search: {transformers: ['mine:two']}\n", "two is a function; wanted is a class, a Transformer"),
        (SEARCH + "search: {estimators: [{name: gbt, class: 'mine:Kind'}]}\n", "'gbt' is one of Headrace's estimators"),
        (SEARCH + "search: {estimators: [{name: gbt, params: {a: 1}}]}\n", "gbt has no 'a'; allowed: trees, depth"),
        (SEARCH + "search: {estimators: [{name: gbt, features: tree}]}\n", "features belongs to a `class`"),
        (
            SEARCH + "search: {estimators: [{name: m, class: 'mine:Kind', space: {a: {uniform: [2, 1]}}}]}\n",
            "search.estimators[0].space.a: [low, high] with low < high is wanted; this is [2.0, 1.0]",
        ),
        (
            SEARCH + "search: {estimators: [{name: m, class: 'mine:Kind', space: {a: {normal: [2, 1]}}}]}\n",
            "unknown key 'normal'",
        ),
        (SEARCH + "metrics: {F1: 'mine:anything'}\n", "'f1' is a metric of Spark ML; rename yours"),
        (
            SEARCH + "metrics: {m: 'mine:anything'}\ngates: [{metric: m, at_least: 1, slice: a}]\n",
            "'m' is a metric in Python, which judges all rows at once",
        ),
        (SEARCH + "metrics: {profit: 'mine:anything'}\nsearch: {metric: profitt}\n", "did you mean 'profit'?"),
    ],
)
def test_a_hook_that_cannot_be_right_is_told_before_it_runs(write, text, told):
    assert any(told in mistake for mistake in mistakes(write, text)), mistakes(write, text)


def test_a_file_that_python_cannot_read_is_told_with_its_line(write):
    write("def f(:\n", "conf/bad.py")
    found = mistakes(write, source("bad:f"))
    assert len(found) == 1
    assert "bad.py:1: Python cannot read it: invalid syntax" in found[0]


def test_checking_a_hook_does_not_run_it(write):
    write("raise SystemExit('ran')\n\ndef f(frame):\n    pass\n", "conf/loud.py")
    assert mistakes(write, source("loud:f")) == []
    assert "loud" not in sys.modules


def test_the_code_of_a_hook_is_its_module_and_what_that_imports_of_the_users_own(write, tmp_path):
    write("from pack import inner\nimport json, beside\n\ndef f(spark):\n    pass\n", "conf/outer.py")
    write("from . import deep\n", "conf/hooks/pack/inner.py")
    write("x = 1\n", "conf/hooks/pack/deep.py")
    write("y = 1\n", "hooks/beside.py")
    write("raise SystemExit\n", "conf/json.py")
    pipeline, _ = read_pipeline(write(source("outer:f")))
    own = hooks.own_modules(pipeline)
    assert list(own) == ["beside", "outer", "pack.deep", "pack.inner"]
    assert list(modules.archive_of(own)) == [
        "beside.py",
        "outer.py",
        "pack/__init__.py",
        "pack/deep.py",
        "pack/inner.py",
    ]
    before = {step.name: step.hooks for step in flow.steps(pipeline)}
    assert {name for name, code in before.items() if code} == {"ingest:t"}
    write("x = 2\n", "conf/hooks/pack/deep.py")
    after = {step.name: step.hooks for step in flow.steps(pipeline)}
    assert {name for name in before if before[name] != after[name]} == {"ingest:t"}
    write("z = 3\n", "conf/unrelated.py")
    assert {step.name: step.hooks for step in flow.steps(pipeline)} == after


def test_hooks_are_shipped_with_the_job(write, tmp_path, monkeypatch):
    from headrace.runtime import hooks as running

    pipeline, _ = read_pipeline(write(source("mine:anything")))
    file = running.archive(tmp_path / "home", hooks.own_modules(pipeline))
    assert zipfile.ZipFile(file).namelist() == ["mine.py"]
    monkeypatch.setattr(launch.settings, "driver_memory", lambda: "1g")
    for master in ("local[2]", "yarn"):
        wishes = launch.Wishes(user={"spark.master": master}, hooks=hooks.own_modules(pipeline))
        own, _ = launch._own(tmp_path / "home", wishes, ("/jars/delta.jar",))
        assert str(file) in own[launch.settings.PY_FILES].split(",")


def test_each_stage_depends_on_the_hooks_that_it_runs(write):
    text = (
        "pipeline: p\ntables: {t: {source: {python: 'a:f'}, transform: 'b:f'}}\n"
        "training_set: {from: t, label: x, transform: 'c:f', task: binary}\n"
        "metrics: {m: 'd:f'}\nsearch: {metric: m, transformers: ['e:F'], estimators: [{name: mine, class: 'g:F'}]}\n"
    )
    for name in "abcd":
        write(f"def f(x):\n    return '{name}'\n", f"conf/{name}.py")
    for name in "eg":
        write("class F:\n    pass\n", f"conf/{name}.py")
    pipeline, _ = read_pipeline(write(text))

    def codes():
        return {step.stage: step.hooks for step in flow.steps(pipeline)}

    first, depends = codes(), {}
    for name in "abcdeg":
        file = Path("conf", f"{name}.py")
        before = file.read_text()
        file.write_text(before + "# edited\n")
        depends[name] = {stage for stage, code in codes().items() if code != first[stage]}
        file.write_text(before)
    models = {"search", "evaluate", "register", "score"}
    assert depends == {
        "a": {"ingest"}, "b": {"validate", "clean"}, "c": {"training_set", "score"},
        "d": {"search", "evaluate", "register"}, "e": models, "g": models,
    }  # fmt: skip


def test_a_point_of_an_own_estimator_survives_hyperopt():
    from hyperopt import space_eval
    from hyperopt.base import spec_from_misc

    parameters = {
        "kind": Parameter(0, 1, "choice", ("a", "b")),
        "n": Parameter(1, 9, "int"),
        "x": Parameter(0.1, 1, "log"),
    }
    recipes = {"mine": Recipe(("binary",), "linear", {"kind": "b", "n": 3, "x": 0.5}, parameters, lambda *_: None)}
    point = space.first_points(["mine"], 1, recipes)[0]
    doc = space.document(0, point, ["mine"], recipes=recipes)
    back = Point.of(space_eval(space.space(["mine"], recipes), spec_from_misc(doc["misc"])), recipes)
    assert (back.estimator, dict(back.params)) == ("mine", {"kind": "b", "n": 3, "x": pytest.approx(0.5)})


def test_editors_know_both_forms():
    schema = json_schema()["$defs"]
    assert {"type": "string"} in schema["Estimator"]["anyOf"]
    assert {"type": "string"} in schema["Metric"]["anyOf"]
    assert {"required": ["python"]} in schema["Source"]["anyOf"]
    assert Search().names == ("logistic_regression", "random_forest", "gbt", "xgboost")


def test_an_error_of_a_worker_is_told_with_the_users_lines_only():
    text = (
        "\n  An exception was thrown from the Python worker: Traceback (most recent call last):\n"
        '  File "/opt/venv/lib/python3.11/site-packages/pyspark/python/lib/pyspark.zip/pyspark/worker.py", line 9, in main\n'
        '  File "/tmp/spark-1/userFiles-2/hooks-0a1b.zip/pack/my_features.py", line 3, in risk\n'
        '  File "/home/me/headrace/my_features.py", line 7, in <lambda>\n'
        '  File "/tmp/headrace-77.zip/headrace/engine/kernels.py", line 5, in run\n'
        "ValueError: no such carrier\n\n\nJVM stacktrace:\norg.apache.spark.SparkException: Job aborted: x\n"
    )
    lines = "pack/my_features.py:3 in risk, /home/me/headrace/my_features.py:7 in <lambda>"
    assert in_words(Exception(text)) == f"ValueError: no such carrier ({lines}) [PYTHON_EXCEPTION]"
    assert user_frames('File "/w/lib/headrace/engine/x.py", line 1, in f') == []
