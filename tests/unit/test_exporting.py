"""Exports without a JVM: files that Python reads without Spark, places, and what is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost

from headrace.config.learning import UNLABELLED
from headrace.errors import ConfigError, DataError
from headrace.models.compiled.builder import TASKS
from headrace.models.exporting import formats, loose, places
from headrace.models.exporting.portable import Boosted, Model, as_arrow
from tests.conftest import PROJECT
from tests.unit.test_compiled import NAN
from tests.unit.test_graphs import LEARNERS, NAMES, ROWS, WIDTH, boosted, learner

ABOUT = {"model": "shop", "version": 3, "signature": {"inputs": "[]"}}


def trees(task: str = "binary", objective: str = "binary:logistic", labels: int = 2):
    held, _ = boosted(objective, labels)
    step = ("xgboost", {**NAMES, "task": task, "missing": NAN, "iterations": 0}, {"booster": held})
    return learner(task, step)


def same(one: pa.Table, other: pa.Table) -> bool:
    return repr(one.to_pydict()) == repr(other.to_pydict())


def test_a_pickle_says_the_same_in_a_python_that_has_nothing_but_its_files(tmp_path: Path):
    made = LEARNERS["machines"]
    loose.pickled(tmp_path, made, ABOUT)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["headrace.zip", "model.pkl", "requirements.txt"]
    assert same(loose.asked("pickle", tmp_path, ROWS), made.score(ROWS))
    assert "xgboost-cpu==" in (tmp_path / "requirements.txt").read_text()


def test_a_pickled_model_takes_and_gives_frames_of_pandas():
    frame = pd.DataFrame(
        {"x": [1.0, None], "y": [0.5, 2.0], "n": [1, 2], "c": ["a", None], "d": [None, "q"], "flag": [True, None],
         "day": pd.to_datetime(["2024-02-29", None]), "at": pd.to_datetime([None, "2024-02-29T01:02:03.123456789"]),
         "money": [1.5, NAN], "more": [0, 0]},
        index=[7, 9],
    )  # fmt: skip
    for name, columns in (
        ("logistic", ["prediction", "probability"]),
        ("forest", ["prediction", "probability_a", "probability_b", "probability_c"]),
        ("linear", ["prediction"]),
    ):
        made = LEARNERS[name]
        model = pickle.loads(pickle.dumps(Model(made.files(), ABOUT)))
        told = model.predict(frame)
        assert (list(told.columns), list(told.index)) == (columns, [7, 9])
        expected = made.score(as_arrow(made, frame))
        assert told["prediction"].tolist() == expected.column("prediction").to_pylist()
        assert (model.name, model.version, model.card) == ("shop", 3, made.card)
    assert LEARNERS["forest"].score(as_arrow(LEARNERS["forest"], frame)).column("probability").to_pylist()[1] == [
        (name, told[f"probability_{name}"].iloc[1])
        for told in [Model(LEARNERS["forest"].files(), ABOUT).predict(frame)]
        for name in "abc"
    ]
    assert len(model.predict(frame.iloc[:0])) == 0
    with pytest.raises(DataError, match=r"the column x \(double\) is missing"):
        model.predict(frame.drop(columns="x"))
    with pytest.raises(DataError, match=r"x is object, and the model reads double: .*many"):
        model.predict(frame.assign(x="many"))


def test_a_booster_and_its_features_make_the_whole(tmp_path: Path):
    made = trees()
    loose.boosted(tmp_path, made, ABOUT)
    assert same(loose.asked("xgboost", tmp_path, ROWS), made.score(ROWS))
    whole = Boosted.read(tmp_path)
    assert whole.columns == json.loads((tmp_path / "preparation.json").read_text())["columns"]
    assert whole.columns[:5] == ["x_", "h=b", "h=a", "h=", "h=(other)"]
    frame = ROWS.slice(0, 128).drop_columns(["day", "at"]).to_pandas()
    frame["day"], frame["at"] = None, None
    features = whole.features(frame)
    assert features.shape == (len(frame), WIDTH)
    alone = xgboost.Booster(model_file=str(tmp_path / "model.ubj"))
    told = alone.inplace_predict(features.to_numpy())
    np.testing.assert_allclose(told, whole.predict(frame)["probability"], rtol=1e-6)
    assert pickle.loads(pickle.dumps(whole)).predict(frame).equals(whole.predict(frame))


def leave_half(out: Path) -> None:
    with places.left_whole(out, False) as folder:
        (folder / "half").write_text("")
        raise DataError("differs")


def leave_two(out: Path) -> None:
    with places.left_whole(out, False) as first:
        (first / places.ABOUT).write_text("first")
        with places.left_whole(out, False) as second:
            (second / places.ABOUT).write_text("second")


def test_an_export_is_there_whole_or_not_at_all(tmp_path: Path):
    out = tmp_path / "deep" / "shop"
    with pytest.raises(DataError):
        leave_half(out)
    assert list(tmp_path.rglob("*")) == [tmp_path / "deep"]

    def leave(text: str, force: bool) -> None:
        with places.left_whole(out, force) as folder:
            assert folder.parent == out.parent
            (folder / places.ABOUT).write_text(text)

    leave("one", False)
    with pytest.raises(ConfigError, match="is there already; name another place, or replace it with --force"):
        leave("two", False)
    leave("two", True)
    with pytest.raises(RuntimeError), places.left_whole(out, True):
        raise RuntimeError
    assert [file.read_text() for file in out.iterdir()] == ["two"]
    assert [file.name for file in out.parent.iterdir()] == ["shop"]
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "taxes").write_text("")
    for other in (tmp_path / "home", tmp_path / "home" / "taxes"):
        with pytest.raises(ConfigError, match="is no export"):
            places.check(other, True)


def test_two_at_once_do_not_mix(tmp_path: Path):
    out = tmp_path / "shop"
    with pytest.raises(ConfigError, match="is there already"):
        leave_two(out)
    assert (out / places.ABOUT).read_text() == "second"
    assert [file.name for file in tmp_path.iterdir()] == ["shop"]


def test_what_cannot_be_written_says_why_and_what_is_nearest():
    formats.check("onnx", "gbt", "binary")
    formats.check("pmml", "gbt", "binary")
    for asked, estimator, task, why in (
        ("pmml", "kmeans", "clustering", r"kmeans \(clustering\) has no form without Spark.*--format spark"),
        ("pfa", "als", "recommendation", "last release is of 2015.*--format spark"),
        ("mojo", "xgboost", "binary", "H2O's own.*--format onnx"),
        ("pojo", "xgboost", "binary", "H2O's own.*--format onnx"),
        ("hdf5", "gbt", "binary", "Keras.*--format onnx"),
        ("coreml", "kmeans", "clustering", "Apple's.*--format spark"),
        ("xgboost", "gbt", "binary", "this is gbt. The nearest that works: --format onnx"),
        ("pickle", "kmeans", "clustering", r"kmeans \(clustering\) has no form without Spark.*--format spark"),
        ("pmml", "survival_regression", "regression", "may be infinite.*--format onnx"),
        ("onnx", "ensemble", "binary", r"ensemble \(binary\) has no form without Spark.*--format spark"),
    ):
        with pytest.raises(ConfigError, match=why):
            formats.check(asked, estimator, task)
    with pytest.raises(ConfigError, match="no such format; write any of spark, pickle, onnx, pmml, xgboost"):
        formats.check_name("onxx")


def test_the_page_has_the_table_of_formats():
    page = (PROJECT / "docs" / "export.md").read_text()
    for name, tasks, able in formats.table():
        marks = " | ".join("yes" if form in able else "" for form in formats.FORMATS)
        line = f"| {name}{f' ({tasks})' if tasks else ''} | {marks} |".replace("|  |", "| |").replace("|  |", "| |")
        assert line in page, line
    for form, why in formats.REFUSED.items():
        assert f"| {form} | {why} |" in page, f"| {form} | {why} |"
    assert set(UNLABELLED).isdisjoint(TASKS)
