"""`headrace export`: versions of a pipeline in every format, compared row by row; what differs is not left."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnxruntime
import pypmml
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer

from headrace.cli.export import exporting
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError, DataError
from headrace.models.exporting import formats
from headrace.models.exporting.export import prepared
from headrace.models.predict import predict
from headrace.models.store import ModelStore
from headrace.runtime.home import places
from headrace.runtime.settings import held
from tests.spark.conftest import INTERPRETED
from tests.support.runs import Project

YAML = """
pipeline: shop
tables:
  orders:
    source: {{format: csv, path: orders.csv}}
    key: id
    event_time: at
training_set: {{from: orders, label: late}}
search: {{estimators: {estimator}, max_evals: 1{more}}}
"""
CARRIED = ["export.json", "headrace.json", "input_example.json", "model_card.md", "signature.json", "version.json"]
FILES = {
    "spark": ["model", "requirements.txt"],
    "pickle": ["headrace.zip", "model.pkl", "requirements.txt"],
    "onnx": ["model.onnx"],
    "pmml": ["model.pmml"],
    "xgboost": ["headrace.zip", "model.ubj", "preparation.json", "requirements.txt"],
}


def write(scratch: Project) -> None:
    rng, lines = random.Random(5), ["id,customer,at,cents,paid,late"]
    for i in range(300):
        cents, at = rng.randint(100, 9999), datetime(2024, 1, 1) + timedelta(minutes=37 * i)
        customer = "" if rng.random() < 0.1 else f"c{rng.randint(0, 9)}"
        paid = rng.choice(["", "true", "false"])
        lines.append(f"{i},{customer},{at.isoformat()},{cents},{paid},{str(rng.random() < cents / 10000).lower()}")
    scratch.write("orders.csv", "\n".join(lines) + "\n")


def test_versions_are_written_in_each_format_that_they_go_to(spark, scratch: Project, monkeypatch):
    with held(spark, INTERPRETED):
        write(scratch)
        for estimator, more in (
            ("xgboost", ", calibration: isotonic, threshold: 0.4, max_categories: 5"),  # of ten customers: their mean
            ("logistic_regression", ""),
        ):
            scratch.run(YAML.format(estimator=estimator, more=more), to="register")
        pipeline, environment = read_pipeline(scratch.folder / "pipeline.yaml")
        store = ModelStore(places(pipeline, environment).tracking_uri)
        _register_one_that_is_not_compiled(store)
        cards = {number: store.card(store.version("shop", number).run_id) for number in (1, 2, 3)}

        def run(version: int, form: str, force: bool = False) -> list[str]:
            out = scratch.folder / f"{form}-{version}"
            return exporting(lambda: spark, pipeline, environment, str(version), form, out, force)

        for version, card in cards.items():
            for form in formats.FORMATS:
                able = ("spark",) if version == 3 else formats.goes_to(card.estimator, card.task)
                if form in able:
                    lines = run(version, form)
                    folder = scratch.folder / f"{form}-{version}"
                    carried = CARRIED if version < 3 else ["export.json", "headrace.json", "signature.json"]
                    assert sorted(file.name for file in folder.iterdir()) == sorted([*carried, *FILES[form]])
                    assert lines[0] == f"shop version {version} ({card.estimator}) as {form}, compared with Spark"
                    _carries(folder, form, version, card)
                else:
                    with pytest.raises(ConfigError, match=f"--format {form} cannot be written: .* The nearest"):
                        run(version, form)
        with pytest.raises(ConfigError, match=r"because of SQL with UPPER.* --format spark"):
            run(3, "onnx")
        for form in formats.REFUSED:
            with pytest.raises(ConfigError, match=f"--format {form} cannot be written"):
                run(1, form)

        assert "customer__target" in (scratch.folder / "xgboost-1" / "preparation.json").read_text()
        rows = scratch.table("training_set").select("id", *cards[1].features).orderBy("id").limit(50)
        for version in (1, 2):
            expected = (
                predict(store.load(f"models:/shop/{version}"), cards[version], rows, ["id"]).orderBy("id").collect()
            )
            _read_by_others(scratch.folder, version, rows.toPandas(), expected)
        again = PipelineModel.load(f"file://{scratch.folder}/spark-3/model")
        found = predict(again, cards[3], rows, ["id"]).collect()
        assert sorted(found) == sorted(predict(store.load("models:/shop/3"), cards[3], rows, ["id"]).collect())

        with pytest.raises(ConfigError, match="is there already"):
            run(2, "onnx")
        run(2, "onnx", force=True)
        _refuses_what_differs(run, scratch.folder, monkeypatch)


def _register_one_that_is_not_compiled(store: ModelStore) -> None:
    """Version 2 with a stage before it whose SQL is not known, from before there were records."""
    second = store.version("shop", 2)
    loud = SQLTransformer(statement="select *, upper(customer) as loud from __THIS__")
    model = PipelineModel([loud, *store.load(second.uri).stages])
    uri = store.log_model(second.run_id, model, store.card(second.run_id), ("pyspark",))
    kept = {name: second.tags[name] for name in ("training_set_version", "task", "estimator")}
    assert store.register("shop", uri, kept).number == 3


def _carries(folder: Path, form: str, version: int, card) -> None:
    about = json.loads((folder / "export.json").read_text())
    assert (about["format"], about["model"], about["version"], about["estimator"]) == (
        form,
        "shop",
        version,
        card.estimator,
    )
    compared = about["compared"]
    assert compared["real"] == 300
    assert compared["made_up"] == 19  # of customer, cents and paid
    assert compared["largest"] <= compared["tolerance"] == (1e-5 if version == 1 and form in ("onnx", "pmml") else 1e-6)
    assert json.loads((folder / "headrace.json").read_text())["features"] == [
        list(one) for one in card.features.items()
    ]
    assert "customer" in (folder / "signature.json").read_text()
    if form == "onnx":
        told = onnxruntime.InferenceSession(str(folder / "model.onnx")).get_modelmeta().custom_metadata_map
        assert (told["headrace.model"], told["headrace.version"]) == ('"shop"', str(version))
        assert json.loads(told["headrace.card"])["labels"] == [False, True]
    if form == "pmml":
        root = ElementTree.parse(folder / "model.pmml").getroot()
        told = {
            one.attrib["name"]: json.loads(one.attrib["value"]) for one in root.iterfind(".//{*}Header/{*}Extension")
        }
        assert (told["headrace.model"], told["headrace.version"]) == ("shop", version)
        assert told["headrace.card"]["labels"] == [False, True]


def _read_by_others(folder: Path, version: int, frame, expected) -> None:
    """As the page shows it: by a Python that has only the files, by ONNX Runtime, and by PMML4S."""
    said, likely = [row["prediction"] for row in expected], [row["probability"] for row in expected]
    frame.to_pickle(folder / "rows.pkl")
    code = (
        "import pickle, sys; sys.path.insert(0, sys.argv[1] + '/headrace.zip'); import pandas\n"
        "model = pickle.load(open(sys.argv[1] + '/model.pkl', 'rb'))\n"
        "told = model.predict(pandas.read_pickle(sys.argv[2]))\n"
        "print(told.to_json(orient='split', double_precision=15), model.name, model.version, 'pyspark' in sys.modules)"
    )
    command = [sys.executable, "-I", "-c", code, f"{folder}/pickle-{version}", str(folder / "rows.pkl")]
    told, *rest = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert rest == ["shop", str(version), "False"]
    assert [row[0] for row in json.loads(told)["data"]] == said
    np.testing.assert_allclose([row[1] for row in json.loads(told)["data"]], likely, rtol=1e-9)

    session = onnxruntime.InferenceSession(str(folder / f"onnx-{version}" / "model.onnx"))
    feeds = {}
    for one in session.get_inputs():
        column = frame[one.name]
        if one.type == "tensor(string)":
            feeds[one.name] = column.fillna("\u2400").to_numpy(dtype=object)[:, None]
        elif one.type == "tensor(int64)":
            feeds[one.name] = column.astype("datetime64[us]").astype("int64").to_numpy()[:, None]
        else:
            feeds[one.name] = column.astype("float64").to_numpy()[:, None]
    prediction, probability = session.run(["prediction", "probability"], feeds)
    assert prediction.tolist() == said
    np.testing.assert_allclose(probability, likely, rtol=1e-5)

    model = pypmml.Model.load(str(folder / f"pmml-{version}" / "model.pmml"))
    for row, one, p in zip(frame.to_dict("records"), said, likely, strict=True):
        given = {name: value for name, value in row.items() if name in model.inputNames and value == value}
        found = model.predict(given)
        assert found["prediction"] == one
        np.testing.assert_allclose(found["probability"], p, rtol=1e-5)


def _refuses_what_differs(run, folder: Path, monkeypatch) -> None:
    """A form that says something else is not left, in any format."""

    def tampered(store, version, form):
        one = prepared(store, version, form)
        if one.compiled is not None:
            _, _, arrays = one.compiled.described[-1]
            arrays["weights"] *= 1.001
        return one

    monkeypatch.setattr("headrace.models.exporting.export.prepared", tampered)
    before = (folder / "pickle-2" / "export.json").read_text()
    with pytest.raises(DataError, match=r"differs from Spark's transform: .* rows have another probability \(by up to"):
        run(2, "pickle", force=True)
    assert (folder / "pickle-2" / "export.json").read_text() == before
    assert [one.name for one in folder.iterdir() if one.name.startswith(".")] == []
