"""What a column alone tells, and how rows meet across parts, against pandas and scikit-learn."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sklearn.metrics import roc_auc_score

from headrace.leakage.copies import Twins, twins
from headrace.leakage.sampled import Asked, drawn, measured, shares

ROWS = 3_000


def reference(train: pd.Series, known: np.ndarray, other: pd.Series, truth: np.ndarray) -> tuple[float, float]:
    """Row by row: the area under the ROC curve of a value's rate in training, and the errors that its class removes."""
    seen = pd.DataFrame({"value": train.where(train.notna(), "no value").astype(str), "y": known})
    rate = seen.groupby("value").y.agg(["sum", "count"])
    rate["rate"] = (rate["sum"] + known.mean()) / (rate["count"] + 1)
    asked = other.where(other.notna(), "no value").astype(str)
    said = asked.map(rate.rate).fillna(known.mean())
    usual = known.mean() >= 0.5
    guess = asked.map(rate["sum"] * 2 > rate["count"]).fillna(usual).astype(bool)
    wrong, at_first = (guess.to_numpy() != truth).sum(), min(truth.sum(), (1 - truth).sum())
    return roc_auc_score(truth, said), max(0.0, 1 - wrong / at_first)


def table() -> pd.DataFrame:
    """Columns of all types, of few values each."""
    rng = np.random.default_rng(3)
    y = rng.random(ROWS) < 0.3
    frame = pd.DataFrame(
        {"id": np.arange(ROWS), "y": y, "split": rng.choice(["train", "validation"], ROWS, p=[0.6, 0.4])}
    )
    frame["shop"] = np.where(rng.random(ROWS) < 0.1, None, np.where(y, "a", "b"))
    frame["town"] = rng.choice(["x", "y", "z", None], ROWS)
    frame["flag"] = rng.random(ROWS) < 0.2 + 0.6 * y
    frame["price"] = [Decimal(int(v)) / 4 for v in rng.integers(0, 9, ROWS) + 2 * y]
    frame["odd"] = rng.choice([1.5, float("nan"), float("inf"), float("-inf"), -2.0], ROWS)
    frame["nothing"] = None
    frame["refund"] = np.where(y, 5.0, np.nan)
    return frame


def test_what_is_measured_is_what_pandas_and_scikit_learn_say(spark: SparkSession) -> None:
    data = table()
    types = "id bigint, y boolean, split string, shop string, town string, flag boolean, price decimal(9,2)"
    types += ", odd double, nothing double, refund double"
    rows = [
        tuple(None if v is None or v is pd.NA else v for v in row)
        for row in data.astype(object).itertuples(index=False)
    ]
    made = spark.createDataFrame(rows, types).withColumn("_label", F.col("y").cast("double"))
    made = made.withColumn("refund", F.expr("nullif(refund, double('NaN'))"))
    names = ("shop", "town", "flag", "price", "odd", "nothing", "refund")
    found = measured(made, Asked(tuple((name, False) for name in names), ("id",), ("false", "true")))

    train = (data.split == "train").to_numpy()
    expected = []
    for name in names:
        column = data[name].astype(object)
        if name == "odd":
            column = column.where(np.isfinite(data.odd), None)
        power, copy = reference(column[train], data.y[train].to_numpy(), column[~train], data.y[~train].to_numpy())
        gap = reference(
            column.isna()[train], data.y[train].to_numpy(), column.isna()[~train], data.y[~train].to_numpy()
        )
        expected.append((name, ROWS, int(column.notna().sum()), column.nunique(), power, copy, gap[1]))
    columns = ["name", "rows", "filled", "distinct", "power", "copy", "missing"]
    got = [(name, t.rows, t.filled, t.distinct, t.power, t.copy, t.missing) for name, t in found]
    got_frame, expected_frame = pd.DataFrame(got, columns=columns), pd.DataFrame(expected, columns=columns)
    # of numbers the order is a score as well, and one threshold a guess: never worse
    ordered = got_frame.name.isin(["price", "odd"])
    assert (got_frame.power[ordered] >= expected_frame.power[ordered] - 1e-9).all()
    assert (got_frame["copy"][ordered] >= expected_frame["copy"][ordered] - 1e-9).all()
    shop = got_frame.name == "shop"  # it is a copy where it is filled
    assert got_frame.loc[shop, "copy"].item() == 1.0
    pd.testing.assert_frame_equal(got_frame[~ordered & ~shop], expected_frame[~ordered & ~shop], check_dtype=False)
    pd.testing.assert_frame_equal(got_frame.loc[:, columns[:4]], expected_frame[columns[:4]], check_dtype=False)
    assert (
        found[-1][1].gaps
        == f"filled: 0 of false, {data.y.sum():,} of true; empty: {(~data.y).sum():,} of false, 0 of true"
    )


def test_a_sample_is_drawn_by_key_and_keeps_rare_classes(spark: SparkSession) -> None:
    rows = spark.range(40_000).selectExpr(
        "id", "if(id % 4 = 0, 'validation', 'train') split", "int(id % 5000 = 1) _class"
    )
    counts = {(r["split"], r["_class"]): r["count"] for r in rows.groupBy("split", "_class").count().collect()}
    part = shares(counts, 4_000)
    kept = [
        {
            (r["split"], r["_class"]): r["count"]
            for r in drawn(frame, ["id"], part).groupBy("split", "_class").count().collect()
        }
        for frame in (rows, rows.repartition(7, "id"))
    ]
    assert kept[0] == kept[1]
    assert kept[0]["train", 1] == counts["train", 1]
    assert kept[0]["train", 0] == pytest.approx(1_800, rel=0.1)
    assert kept[0]["validation", 0] == pytest.approx(1_600, rel=0.15)


def test_twins_are_counted_as_pandas_does(spark: SparkSession) -> None:
    rng = np.random.default_rng(5)
    data = pd.DataFrame(
        {"key": rng.integers(0, 300, 900), "a": rng.integers(0, 60, 900), "b": rng.choice(["x", "y", None], 900)}
    )
    data["label"], data["split"] = rng.random(900) < 0.3, rng.choice(["train", "validation", "test"], 900)
    types = "key bigint, a bigint, b string, label boolean, split string"
    rows = spark.createDataFrame(list(data.astype(object).itertuples(index=False, name=None)), types)
    got = twins(rows, ["key"], ["a", "b"], F.col("label"), 1)

    train, other = data[data.split == "train"], data[data.split != "train"]
    seen = {(a, b) for a, b in zip(train.a, train.b, strict=True)}
    told = {(a, b, y) for a, b, y in zip(train.a, train.b, train.label, strict=True)}
    met = [(a, b) in seen for a, b in zip(other.a, other.b, strict=True)]
    agreeing = [y and (a, b, y) in told for a, b, y in zip(other.a, other.b, other.label, strict=True)]
    keys = int(other.key.isin(train.key).sum())
    expected = Twins(len(train), len(seen), len(other), sum(met), int(other.label[met].sum()), sum(agreeing), keys)
    assert got == expected
