"""Trees as a function of Spark, against a walk from node to node, XGBoost itself, and the kernel in Python."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from py4j.protocol import Py4JError
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from headrace.models.card import ModelCard
from headrace.models.compiled import running
from headrace.models.compiled.native.kernel import function
from headrace.models.compiled.native.kernel.function import Function
from headrace.models.compiled.native.kernel.packed import Forest, packed
from headrace.models.compiled.scorer import Compiled
from tests.unit.test_compiled import walked

NAN, INF = float("nan"), float("inf")
NAMES = [f"x{n}" for n in range(7)]


def trees(seed: int, count: int, depth: int, outputs: int) -> dict[str, np.ndarray]:
    """Trees of Spark: ragged, some a leaf alone; thresholds that come again."""
    rng = np.random.default_rng(seed)
    cuts = np.append(rng.normal(size=6), [0.0, 1e300])
    made: dict[str, list[float]] = {name: [] for name in ("tree", "feature", "threshold", "left", "right")}

    def node(tree: int, start: int, level: int) -> int:
        at = len(made["tree"])
        decides = level < depth and rng.random() < (0.95 if level else 0.8)
        told = (tree, rng.integers(len(NAMES)) if decides else -1, rng.choice(cuts) if decides else 0.0, -1, -1)
        for name, value in zip(made, told, strict=True):
            made[name].append(value)
        if decides:
            made["left"][at] = node(tree, start, level + 1) - start
            made["right"][at] = node(tree, start, level + 1) - start
        return at

    for tree in range(count):
        node(tree, len(made["tree"]), 0)
    arrays = {name: np.array(one, float if name == "threshold" else int) for name, one in made.items()}
    return arrays | {"value": rng.normal(size=(len(made["tree"]), outputs)), "weights": rng.normal(size=count)}


def rows(seed: int, count: int, cuts: np.ndarray) -> np.ndarray:
    """Rows, with what lies on thresholds and beside them, and with what is no number."""
    rng = np.random.default_rng(seed)
    odd = np.concatenate([cuts, np.nextafter(cuts, INF), [NAN, INF, -INF, -0.0, 5e-324, 1e300, -1e300]])
    found = rng.normal(size=(count, len(NAMES)))
    return np.where(rng.random(found.shape) < 0.4, rng.choice(odd, found.shape), found)


def asked(spark: SparkSession, function: Function, values: np.ndarray) -> np.ndarray:
    assert function.make(spark)
    table = pa.table({"n": np.arange(len(values)), **dict(zip(NAMES, values.T, strict=True))})
    frame = spark.createDataFrame(table).repartition(3)
    told = frame.select("n", F.expr(f"{function.name}(array({', '.join(NAMES)}))").alias("total")).toArrow()
    return told.sort_by("n").column("total").to_numpy()


@pytest.mark.parametrize(("count", "depth"), [(1, 0), (1, 12), (3, 1), (4, 6), (7, 9), (50, 8)])
def test_a_walk_comes_to_the_same_leaves(spark: SparkSession, count: int, depth: int) -> None:
    for outputs in (1, 2):
        arrays = trees(count + depth, count, depth, outputs)
        values = rows(count, 400, arrays["threshold"])
        weighted = arrays["value"] * arrays["weights"][arrays["tree"]][:, None]
        second = weighted[:, 1] if outputs == 2 else None
        sums = np.array([walked(arrays, row) for row in values])
        expected = sums[:, 1] - sums[:, 0] if outputs == 2 else sums[:, 0]
        for refuses in (False, True):
            made = Function(packed(Forest(arrays, weighted[:, 0], len(NAMES), second, refuses)))
            wanted = np.where(refuses & np.isnan(values).any(axis=1), NAN, expected)
            np.testing.assert_array_equal(asked(spark, made, values), wanted)


def scorer(kind: str, arrays: dict[str, np.ndarray], of: str, **params: object) -> Compiled:
    """A model of these trees alone."""
    label = ("boolean", (False, True)) if of == "binary" else ("double", ())
    names = {"raw": "rawPrediction", "probability": "probability", "prediction": "prediction"}
    steps = [
        ("assemble", {"inputs": NAMES, "output": "features", "keep": True}, {}),
        (kind, {"input": "features", **names, **params}, arrays),
    ]
    card = ModelCard(of, dict.fromkeys(NAMES, "double"), *label, ("id",))
    return Compiled(card, NAMES, steps)


def both(spark: SparkSession, made: Compiled, values: np.ndarray) -> tuple[pa.Table, pa.Table]:
    """What is said in Spark, and in Python."""
    table = pa.table({"id": np.arange(len(values)), **dict(zip(NAMES, values.T, strict=True))})
    gaps = pa.array(np.arange(len(values)) % 11 == 0)
    table = table.set_column(1, NAMES[0], pa.compute.if_else(gaps, pa.scalar(None, pa.float64()), table.column(1)))
    assert running.planned(spark, made) is not None
    ours = running.score(made, spark.createDataFrame(table), ["id"]).toArrow().sort_by("id").drop_columns(["id"])
    return ours, made.score(table)


@pytest.mark.parametrize("kind", ["boosted", "forest", "tree", "values"])
def test_spark_says_what_python_says(spark: SparkSession, kind: str) -> None:
    outputs, task = (2 if kind in ("forest", "tree") else 1), ("regression" if kind == "values" else "binary")
    arrays = trees(5, 1 if kind == "tree" else 9, 6, outputs)
    if kind == "forest":
        arrays["value"] = np.abs(arrays["value"]) / np.abs(arrays["value"]).sum(axis=1, keepdims=True)
        arrays["weights"] = np.ones(9)
    if kind == "tree":
        arrays["value"], arrays["weights"] = np.floor(np.abs(arrays["value"]) * 50), np.ones(1)
    made = scorer({"tree": "forest"}.get(kind, kind), arrays, task, count=9)
    ours, theirs = both(spark, made, rows(3, 500, arrays["threshold"]))
    assert ours.column("prediction").to_pylist() == theirs.column("prediction").to_pylist()
    if task == "binary":
        np.testing.assert_allclose(ours.column("probability"), theirs.column("probability"), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("objective", ["binary:logistic", "reg:squarederror", "reg:absoluteerror"])
@pytest.mark.parametrize("missing", [NAN, 0.0, 0.1])
def test_xgboost_says_the_same(spark: SparkSession, objective: str, missing: float) -> None:
    import xgboost

    rng = np.random.default_rng(1)
    values = np.where(rng.random((3_000, 7)) < 0.2, NAN, rng.normal(size=(3_000, 7)).round(1))
    label = (
        np.nan_to_num(values[:, 0]) * np.isnan(values[:, 1]) + np.nan_to_num(values[:, 2] ** 2) + rng.normal(size=3_000)
    )
    label = (label > 1).astype(float) if objective.startswith("binary") else label * 1e3 + 1e5
    booster = xgboost.train(
        {"objective": objective, "max_depth": 6, "nthread": 1, "learning_rate": 0.2},
        xgboost.DMatrix(values, label, missing=missing), 41,
    )  # fmt: skip
    arrays = {"booster": np.frombuffer(bytes(booster.save_raw("ubj")), np.uint8)}
    task = "binary" if objective.startswith("binary") else "regression"
    params = {"task": "classes" if task == "binary" else task, "missing": missing, "iterations": 37}
    made = scorer("xgboost", arrays, task, **params)
    assert made.described[1][1]["iterations"] == 37
    cuts = np.array([0.05, 0.15, -0.25, 1.0, np.float64(np.float32(0.1)), 0.1])
    odd = np.nan_to_num(rows(2, 1_000, cuts), posinf=1e30, neginf=-1e30, nan=NAN)  # it takes no infinite ones
    ours, theirs = both(spark, made, np.clip(odd, -1e30, 1e30))
    if task == "regression":
        assert ours.column("prediction").to_pylist() == theirs.column("prediction").to_pylist()
        return
    np.testing.assert_allclose(ours.column("probability"), theirs.column("probability"), rtol=3e-7)
    assert ours.column("prediction").to_pylist() == theirs.column("prediction").to_pylist()


def test_what_is_known_is_not_made_again_and_two_sessions_have_it_both(spark: SparkSession) -> None:
    arrays = trees(8, 5, 4, 1)
    made = Function(packed(Forest(arrays, arrays["value"][:, 0], len(NAMES))))
    values = rows(1, 20, arrays["threshold"])
    first = asked(spark, made, values)
    assert made.name == Function(made.trees).name
    other = spark.newSession()
    np.testing.assert_array_equal(asked(other, Function(made.trees), values), first)
    np.testing.assert_array_equal(asked(spark, made, values), first)


@pytest.mark.parametrize("error", [Py4JError("no compiler"), PermissionError("/disk"), TypeError("JavaPackage")])
def test_a_session_that_takes_no_jars_scores_in_python(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refused(*_: object) -> None:
        raise error

    made = scorer("values", trees(80 + len(str(error)), 3, 3, 1), "regression", count=1)
    values = np.random.default_rng(7).normal(size=(30, 7))
    monkeypatch.setattr(function, "_classes", refused)
    assert running.planned(spark, made) is None
    table = pa.table({"id": np.arange(30), **dict(zip(NAMES, values.T, strict=True))})
    ours = running.score(made, spark.createDataFrame(table), ["id"]).toArrow().sort_by("id")
    assert ours.column("prediction").to_pylist() == made.score(table).column("prediction").to_pylist()
