"""Leaks that the training set shows: what is found, what is not, and what a run does about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from headrace.errors import ConfigError, DataError
from headrace.leakage.stage import steps
from tests.spark.fake_run import FakeRun
from tests.spark.modelling import pipeline
from tests.support.runs import Project, statuses

pytestmark = pytest.mark.usefixtures("interpreted")


def shop(rows: int = 3_000, seed: int = 1) -> pd.DataFrame:
    """Customers, some of whom leave; no column knows it."""
    rng = np.random.default_rng(seed)
    churn = rng.random(rows) < 0.25
    return pd.DataFrame(
        {
            "customer": np.arange(rows),
            "signed": pd.date_range("2024-01-01", periods=rows, freq="h").strftime("%Y-%m-%dT%H:%M:%S"),
            "churn": np.where(churn, "yes", "no"),
            "age": rng.integers(18, 90, rows),
            "spent": np.round(rng.gamma(2, 50, rows) * np.where(churn, 0.7, 1.0), 2),
            "plan": rng.choice(["basic", "plus", "pro"], rows),
        }
    )


def leaking() -> pd.DataFrame:
    """The same, with the leaks that teams meet."""
    data, rng = shop(), np.random.default_rng(2)
    churn = (data.churn == "yes").to_numpy()
    data["cancel_reason"] = np.where(churn, rng.choice(["price", "moved"], len(data)), None)
    data["state"] = np.where(churn, rng.choice(["left", "gone"], len(data)), rng.choice(["active", "new"], len(data)))
    data["days_left"] = np.where(
        rng.random(len(data)) < 0.012,
        rng.integers(0, 90, len(data)),
        np.where(churn, 0, rng.integers(1, 90, len(data))),
    )
    data["last_call"] = np.where(churn & (rng.random(len(data)) < 0.5), rng.integers(1, 60, len(data)), np.nan)
    data["ticket"] = [f"T-{i:06}" for i in rng.permutation(len(data))]
    early = np.arange(len(data)) < 1_500
    data["score"] = np.where(early, churn * 10 + rng.random(len(data)), 10 * rng.random(len(data)))
    data["campaign"] = np.where(early, 0, rng.integers(0, 3, len(data)))
    return data


BY_TIME = """
pipeline: shop
tables:
  customers: {source: {format: csv, path: customers.csv}, key: customer, event_time: signed}
training_set:
  from: customers
  label: "churn = 'yes'"
  split: {by: time, train_until: 2024-03-03T12:00:00, validation_until: 2024-04-10, test_until: 2024-04-25}
"""
FOUND = [
    ("campaign", "constant", "warn"),
    ("cancel_reason", "missing", "error"),
    ("days_left", "power", "warn"),
    ("last_call", "one_sided", "warn"),
    ("score", "collapse", "warn"),
    ("state", "copy", "error"),
    ("ticket", "id", "warn"),
]


def test_leaks_end_the_run_and_are_in_a_table(scratch: Project, capsys: pytest.CaptureFixture[str]) -> None:
    scratch.write("customers.csv", leaking().to_csv(index=False))
    strict = BY_TIME + "  leakage: {policy: error}\n"
    with pytest.raises(DataError) as told:
        scratch.run(strict, to="training_set")
    assert told.value.exit_code == 3
    for words in (
        "cancel_reason: whether it has a value tells the label", "state: it is the label in other words",
        "tables.customers.available_at", "training_set.exclude: [state]", 'training_set.leakage.allow: {state: "..."}',
        "select * from shop.leakage_findings",
    ):  # fmt: skip
        assert words in str(told.value)
    assert "ticket" not in str(told.value)
    assert scratch.rows("leakage_findings", "feature", "kind", "level") == FOUND
    table = {r["feature"]: r for r in scratch.table("leakage_findings").collect()}
    assert all(r["advice"] and r["says"] for r in table.values())
    assert "filled: 0 of false, " in table["cancel_reason"]["evidence"]
    assert "0 of true" in table["state"]["evidence"]
    assert 0.98 < table["days_left"]["value"] < 1
    assert table["score"]["train_value"] == 1.0
    assert table["score"]["value"] == pytest.approx(0.5, abs=0.1)
    assert all(f.metadata["comment"] for f in scratch.table("leakage_findings").schema)

    with pytest.raises(DataError):  # it is not unchanged
        scratch.run(strict, to="training_set")
    assert statuses(scratch.run(BY_TIME, to="training_set"))["training_set:leakage"] == "done"  # by default it is told
    assert {level for *_, level in scratch.rows("leakage_findings", "feature", "kind", "level")} == {"warn"}
    allowed = strict.replace(
        "error", 'error, allow: {state: "told at the counter"}, levels: {missing: warn, id: "off"}'
    )
    capsys.readouterr()
    assert statuses(scratch.run(allowed, to="training_set")) == {
        "ingest:customers": "unchanged", "validate:customers": "unchanged", "clean:customers": "unchanged",
        "training_set": "unchanged", "training_set:leakage": "done",
    }  # fmt: skip
    said = capsys.readouterr().err
    assert "leak? days_left: it alone tells the label: areaUnderROC 0.99" in said
    assert "5 findings, 1 allowed" in said
    changed = {("state", "copy"): "allowed", ("cancel_reason", "missing"): "warn"}
    expected = [(f, k, changed.get((f, k), level)) for f, k, level in FOUND if k != "id"]
    assert scratch.rows("leakage_findings", "feature", "kind", "level") == expected
    assert statuses(scratch.run(allowed, to="training_set"))["training_set:leakage"] == "unchanged"
    with pytest.raises(ConfigError, match=r"no feature is called 'stat'.*'state'"):
        scratch.run(BY_TIME + "  leakage: {allow: {stat: so}}\n", to="training_set")
    statuses_of = statuses(scratch.run(BY_TIME + "  leakage: {policy: off}\n", to="training_set"))
    assert "training_set:leakage" not in statuses_of


TIMES = ("2024-03-03", "2024-04-10", "2024-04-25")
SPLIT = dict(zip(("train_until", "validation_until", "test_until"), TIMES, strict=True))


def lint(spark: SparkSession, home: Path, data: pd.DataFrame, kind: str, key: list[str], **training: Any) -> set[tuple]:
    """Run the step over a training set that is made of these rows."""
    rng = np.random.default_rng(4)
    made = data.assign(
        predict_at=data.signed, split=rng.choice(["train", "validation", "test"], len(data), p=[0.7, 0.15, 0.15])
    )
    made = (
        made.drop(columns="signed")
        if "split" not in data
        else data.assign(predict_at=data.signed).drop(columns="signed")
    )
    features = [c for c in made.columns if c not in (*key, "predict_at", "split", "label")]
    labels = sorted(made.label.dropna().unique().tolist()) if kind in ("binary", "multiclass") else []
    asked = {"split": {"by": "time", **SPLIT}, "leakage": {"policy": "error"}, **training}
    run = FakeRun(spark, home, pipeline(**asked), "")
    run.put(
        "training_set", spark.createDataFrame(made), {"features": features, "key": key, "task": kind, "labels": labels}
    )
    (step,) = steps(run.pipeline)
    done = run.finish(step.run(run))  # type: ignore[arg-type]
    assert (done.broken is not None) == any(r["level"] == "error" for r in run.read("leakage_findings").collect())
    return {(r["feature"], r["kind"], r["level"]) for r in run.read("leakage_findings").collect()}


def labelled(data: pd.DataFrame, label: str = "churn") -> pd.DataFrame:
    return data.rename(columns={label: "label"})


@pytest.mark.parametrize("split", ["time", "hash"])
def test_nothing_leaks_and_nothing_is_found(spark: SparkSession, tmp_path: Path, split: str) -> None:
    way: dict[str, Any] = {} if split == "time" else {"split": {}}
    assert lint(spark, tmp_path, labelled(shop()), "binary", ["customer"], **way) == set()


def test_rows_that_stand_twice(spark: SparkSession, tmp_path: Path) -> None:
    data = labelled(shop())
    again = data.sample(600, random_state=4).assign(customer=lambda one: one.customer + 10_000)
    both = pd.concat([data, again])
    found = lint(spark, tmp_path, both, "binary", ["customer"], split={})
    assert found == {(None, "duplicates", "warn")}
    assert lint(spark, tmp_path, both, "binary", ["customer"]) == set()  # by time nothing is compared
    # few values are alike by chance: that the label is another one then tells so
    few = data.assign(spent=data.spent // 40, age=data.age // 30)
    assert lint(spark, tmp_path, few, "binary", ["customer"], split={}) == set()


def test_the_same_key_or_group_in_two_parts(spark: SparkSession, tmp_path: Path) -> None:
    data = labelled(shop(600)).assign(region=lambda one: one.customer % 50)
    data["customer"] //= 2
    assert lint(spark, tmp_path, data, "binary", ["customer"], split={}) == {(None, "overlap", "error")}
    found = lint(spark, tmp_path, data, "binary", ["customer", "spent"], split={"group": "region"})
    assert found == {(None, "overlap", "error")}


def test_an_entity_that_is_remembered(spark: SparkSession, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    visits = shop(6_000).assign(visit=np.arange(6_000))
    visits["customer"] %= 200
    ill = rng.random(200) < 0.4
    visits["label"] = ill[visits.customer] ^ (rng.random(len(visits)) < 0.05)
    visits = visits.drop(columns="churn").assign(spent=rng.random(len(visits)))
    found = lint(spark, tmp_path, visits, "binary", ["customer", "visit"], split={})
    assert found == {("customer", "entity", "warn")}
    assert lint(spark, tmp_path, visits, "binary", ["customer", "visit"]) == set()
    found = lint(
        spark, tmp_path, visits.assign(label=rng.random(6_000) < 0.3), "binary", ["customer", "visit"], split={}
    )
    assert found == set()


def test_a_rare_class(spark: SparkSession, tmp_path: Path) -> None:
    data, rng = shop(4_000).drop(columns="churn"), np.random.default_rng(3)
    data["label"] = np.isin(np.arange(4_000), rng.choice(4_000, 10, replace=False))
    assert lint(spark, tmp_path, data, "binary", ["customer"]) == set()
    data["claim"] = data.label * 20 + rng.random(4_000)
    assert lint(spark, tmp_path, data, "binary", ["customer"]) == {("claim", "copy", "error")}


def test_numbers_and_several_classes(spark: SparkSession, tmp_path: Path) -> None:
    data, rng = shop(), np.random.default_rng(9)
    money = labelled(data, "spent").assign(net=np.where(rng.random(3_000) < 0.3, np.nan, np.log(data.spent + 1)))
    money["rounded"] = data.spent.round(-1).astype(int)
    money["copied"] = data.spent.astype(str)
    expected = {("net", "copy"), ("rounded", "power"), ("copied", "copy")}
    found = lint(spark, tmp_path, money, "regression", ["customer"], leakage={"policy": "warn"})
    assert found == {(*one, "warn") for one in expected}
    plans = labelled(data, "plan")
    assert lint(spark, tmp_path, plans, "multiclass", ["customer"]) == set()
    plans["code"] = data.plan.map({"basic": 7, "plus": 3, "pro": 5}) + rng.random(3_000) / 3
    assert lint(spark, tmp_path, plans, "multiclass", ["customer"]) == {("code", "copy", "error")}


def test_tasks_without_a_label_have_only_their_parts_compared(spark: SparkSession, tmp_path: Path) -> None:
    data = shop(400).drop(columns="churn").assign(label=1.0)
    assert lint(spark, tmp_path, data, "clustering", ["customer"], split={}, task="clustering", label=None) == set()
    ratings = pipeline(label=None, user="u", item="i", rating="r")
    assert steps(ratings) == ()
