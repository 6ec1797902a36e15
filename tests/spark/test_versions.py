"""What a version carries: where it comes from, what its features mean, and enough to train it again."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import datetime, timedelta

import mlflow
import pytest

from headrace.cli.reproduce import of_release, reproduction
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError
from headrace.models.promotion import Word, promote
from headrace.models.record import EXAMPLE_FILE, PAGE_FILE, record_of
from headrace.models.store import ModelStore
from headrace.runtime.home import places
from headrace.runtime.runner import Options
from headrace.search import reproduce
from tests.support.runs import Project, statuses

YAML = """
pipeline: shop
description: Which orders come late
tables:
  orders:
    source: {format: csv, path: orders.csv}
    columns: {paid: cents / 100}
    keep: [id, customer, at, paid, late]
    key: id
    event_time: at
feature_tables:
  habits:
    from: orders
    entity: customer
    aggregates: [{column: paid, functions: [mean], windows: [7 days]}]
training_set:
  from: orders
  label: late
  features: habits
  row_features: {relative: paid / habits__paid_mean_7d}
search: {estimators: random_forest, max_evals: 1}
"""


def write(scratch: Project, unlabelled: int) -> None:
    rng, lines = random.Random(5), ["id,customer,at,cents,late"]
    for i in range(400 + unlabelled):
        cents, at = rng.randint(100, 9999), datetime(2024, 1, 1) + timedelta(minutes=37 * i)
        late = "" if i >= 400 else str(rng.random() < (0.8 if cents > 6000 else 0.2)).lower()
        lines.append(f"{i},c{rng.randint(0, 9)},{at.isoformat()},{cents},{late}")
    scratch.write("orders.csv", "\n".join(lines) + "\n")


def test_a_version_is_reproduced_and_scores_no_rows_of_other_definitions(
    scratch: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(scratch, 5)
    assert set(statuses(scratch.run(YAML, to="score")).values()) == {"done"}
    pipeline, environment = read_pipeline(scratch.folder / "pipeline.yaml")
    store = ModelStore(places(pipeline, environment).tracking_uri)
    version = store.resolve("shop")

    told = record_of(store, version)
    assert told is not None
    assert told["inputs"] == {"training_set": 0, "orders": 0, "orders_quarantine": 0, "raw_orders": 0}
    assert told["definitions"]["tables.orders.columns.paid"] == "cents / 100"
    assert told["definitions"]["feature_tables.habits.paid_mean_7d"] == "mean of paid over 7 days"
    assert told["configuration"]["search"] == {"estimators": [{"name": "random_forest"}], "max_evals": 1}
    assert told["environment"]["spark"] == scratch.spark.version
    page = mlflow.artifacts.load_text(f"runs:/{version.run_id}/{PAGE_FILE}")
    assert "# shop version 1\n\nWhich orders come late\n" in page
    assert "| tables.orders.columns.paid | cents / 100 |" in page
    example = json.loads(mlflow.artifacts.load_text(f"runs:/{version.run_id}/{EXAMPLE_FILE}"))
    card = store.card(version.run_id)
    assert example["columns"] == list(card.features) == ["customer", "paid", "habits__paid_mean_7d", "relative"]
    assert len(example["data"]) == 3

    lines, same = reproduction(scratch.spark, pipeline, environment, "champion", 1e-6)
    assert (lines[-1], same) == ("reproduced bit by bit", True), lines
    assert "  rows compared       400" in lines
    assert "  layout              as then" in lines
    monkeypatch.setattr("headrace.models.record.environment", lambda _: {"headrace": "0.0.9"})
    lines, same = reproduction(scratch.spark, pipeline, environment, "champion", -1.0)  # as if all rows differed
    assert not same
    assert lines[-2].startswith("not reproduced: 400 rows differ by more than"), lines
    assert lines[-1].startswith(f"it was trained by Headrace {told['environment']['headrace']}, and this is 0.0.9: ")
    assert of_release("0.0.9") == []
    assert "a release of Headrace that it does not name" in of_release(None)[0]
    other = replace(card, trained={**(card.trained or {}), "seed": 1, "partitions": 99})
    run = _then(scratch, version)
    found = reproduce.reproduced(run, store.load(version.uri), other, 1e-6)
    assert (found.rows, found.same) == (400, False)
    assert found.equal < 400
    assert 0 < found.largest < 1
    assert [text.partition(" partitions in place of ")[2] for text in found.layout] == ["99"]

    write(scratch, 8)
    more = YAML.replace("relative:", "day: dayofweek(at), relative:")
    scratch.run(more, to="clean")
    scratch.run(more, only="score")  # version 1 knows nothing of the new feature
    assert len(scratch.rows("predictions", "id")) == 8
    write(scratch, 11)
    edited = more.replace("cents / 100", "cents / 10")
    scratch.run(edited, to="clean")
    with pytest.raises(ConfigError) as raised:
        scratch.run(edited, only="score")
    assert (
        "version 1 of shop learned from other definitions than those of now (- trained on, + now):\n"
        "  - tables.orders.columns.paid: cents / 100\n  + tables.orders.columns.paid: cents / 10\nTrain again"
    ) in raised.value.message
    assert len(scratch.rows("predictions", "id")) == 8
    moved = promote(store, "shop", 1, Word("cents are tenths of a cent now", force=True))
    assert (moved.accepted, moved.change) == (True, None)
    scratch.run(edited, only="score", options=Options())
    assert len(scratch.rows("predictions", "id")) == 11


def _then(scratch: Project, version):
    from headrace.cli.reproduce import run_of_then

    pipeline, environment = read_pipeline(scratch.folder / "pipeline.yaml")
    return run_of_then(scratch.spark, pipeline, places(pipeline, environment), version)
