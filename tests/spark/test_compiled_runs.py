"""A run scores by the compiled scorer that was admitted, compares it, and writes anew what it got wrong."""

from __future__ import annotations

import io
import random
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import headrace
from headrace.config.reading import read_pipeline
from headrace.models.compiled import admitting, batch
from headrace.models.compiled.native.kernel.function import Function
from headrace.models.compiled.scorer import PLAN
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
    source: {format: csv, path: orders.csv}
    key: id
    event_time: at
training_set: {from: orders, label: late}
search: {estimators: random_forest, max_evals: 1}
"""


def write(scratch: Project, unlabelled: int) -> None:
    rng, lines = random.Random(5), ["id,customer,at,cents,late"]
    for i in range(300 + unlabelled):
        cents, at = rng.randint(100, 9999), datetime(2024, 1, 1) + timedelta(minutes=37 * i)
        late = "" if i >= 300 else str(rng.random() < (0.8 if cents > 6000 else 0.2)).lower()
        lines.append(f"{i},c{rng.randint(0, 9)},{at.isoformat()},{cents},{late}")
    scratch.write("orders.csv", "\n".join(lines) + "\n")


def test_a_run_scores_by_the_admitted_scorer_and_writes_anew_what_it_got_wrong(
    spark, scratch: Project, capsys, monkeypatch
):
    used: list[str] = []
    whole = batch.score
    monkeypatch.setattr(Function, "make", lambda self, session: False)  # else the forest were scored in Spark
    monkeypatch.setattr(batch, "score", lambda *a, **k: used.append("compiled") or whole(*a, **k))
    with held(spark, INTERPRETED):
        write(scratch, 60)
        scratch.run(YAML, to="score")
        assert "shop version 1 is scored in Python, at half the speed" in "".join(capsys.readouterr())
        pipeline, environment = read_pipeline(scratch.folder / "pipeline.yaml")
        store = ModelStore(places(pipeline, environment).tracking_uri)
        version = store.resolve("shop")
        card = store.card(version.run_id)
        assert (version.tags["compiled"], used) == ("admitted", ["compiled"])

        def expected() -> list[tuple]:
            rows = scratch.table("training_set").where("split = 'score'") if scratch else None
            scored = predict(store.load(version.uri), card, rows, ["id"])
            return sorted(tuple(row) for row in scored.collect())

        def found(below: int = 10**6) -> list[tuple]:
            return [row for row in scratch.rows("predictions", "id", "prediction", "probability") if row[0] < below]

        first = sorted(found())
        assert first == expected()
        again = headrace.score(scratch.table("training_set").where("split = 'score'"), "models:/shop@champion")
        assert sorted(tuple(row) for row in again.select("id", "prediction", "probability").collect()) == first

        folder = Path(store.client.get_run(version.run_id).info.artifact_uri.removeprefix("file://")) / "compiled"
        _tampered(folder)
        admitting._read.clear()
        write(scratch, 90)
        scratch.run(YAML, to="clean")
        capsys.readouterr()
        scratch.run(YAML, only="score")
        said = capsys.readouterr()
        assert (
            "the compiled scorer of shop version 1 differs from the model: 30 of 30 rows have another"
            in said.out + said.err
        )
        assert store.version("shop", 1).tags["compiled"].startswith("differs from transform: 30 of 30 rows")
        assert len(found()) == 90
        assert sorted(found(360)) == first
        scratch.run(YAML, to="training_set")
        assert sorted(found()) == expected()

        store.tag(version, {"compiled": "admitted"})
        (folder / PLAN).write_text("{")
        admitting._read.clear()
        write(scratch, 95)
        scratch.run(YAML, to="clean")
        scratch.run(YAML, only="score")
        assert "the compiled scorer cannot be read (JSONDecodeError" in "".join(capsys.readouterr())
        assert len(found()) == 95


def test_what_is_scored_in_sparks_own_columns_is_checked_as_well(spark, scratch: Project, capsys, monkeypatch):
    monkeypatch.setattr(batch, "score", lambda *a, **k: pytest.fail("in Python"))
    linear = YAML.replace("random_forest", "logistic_regression")
    with held(spark, INTERPRETED):
        write(scratch, 60)
        scratch.run(linear, to="score")
        pipeline, environment = read_pipeline(scratch.folder / "pipeline.yaml")
        store = ModelStore(places(pipeline, environment).tracking_uri)
        version = store.resolve("shop")
        scored = scratch.table("training_set").where("split = 'score'")
        wanted = predict(store.load(version.uri), store.card(version.run_id), scored, ["id"]).collect()
        found = {row[0]: row for row in scratch.rows("predictions", "id", "prediction", "probability")}
        assert sorted(found) == sorted(row["id"] for row in wanted)
        for row in wanted:
            assert found[row["id"]][1] == row["prediction"]
            assert abs(found[row["id"]][2] - row["probability"]) < 1e-12

        folder = Path(store.client.get_run(version.run_id).info.artifact_uri.removeprefix("file://")) / "compiled"
        _tampered(folder, ":weights")
        admitting._read.clear()
        write(scratch, 90)
        scratch.run(linear, to="clean")
        capsys.readouterr()
        scratch.run(linear, only="score")
        said = capsys.readouterr()
        assert "the compiled scorer of shop version 1 differs from the model: 30 of 30 rows" in said.out + said.err
        scratch.run(linear, to="training_set")
        scored = scratch.table("training_set").where("split = 'score'")
        wanted = predict(store.load(version.uri), store.card(version.run_id), scored, ["id"]).collect()
        later = {row[0]: row[2] for row in scratch.rows("predictions", "id", "prediction", "probability")}
        assert len(later) == 90
        assert all(abs(later[row["id"]] - row["probability"]) < 1e-12 for row in wanted)


def _tampered(folder: Path, what: str = ":value") -> None:
    """Another value in each leaf, or other weights."""
    with np.load(io.BytesIO((folder / "arrays.npz").read_bytes())) as held_:
        arrays = {name: held_[name] for name in held_.files}
    name = next(one for one in arrays if one.endswith(what))
    arrays[name] = arrays[name][:, ::-1] * 0.5 + 0.01
    np.savez_compressed(folder / "arrays.npz", **arrays)
