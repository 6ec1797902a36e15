"""A small training set that a model can learn from, and runs over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from headrace.config.types import Pipeline

FEATURES = ["x0", "x1", "count", "weekend", "carrier", "same"]


def rows(count: int = 900, seed: int = 0) -> pd.DataFrame:
    """Two numbers (one with nulls), a count, a boolean, text with nulls and rare values, and a constant."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 2))
    carrier = rng.choice(["AA", "BB", "CC", None], count, p=[0.5, 0.3, 0.1, 0.1])
    late = x[:, 0] + (carrier == "BB") + 0.5 * rng.normal(size=count) > 0.4
    frame = pd.DataFrame({"id": np.arange(count), "x0": x[:, 0], "x1": x[:, 1], "late": late})
    frame["x1"] = frame["x1"].where(rng.random(count) > 0.2, None)
    frame["count"] = rng.integers(0, 9, count)
    frame["weekend"] = rng.random(count) < 0.3
    frame["carrier"] = carrier
    frame["same"] = 1.0
    frame["split"] = rng.choice(["train", "validation", "test"], count, p=[0.6, 0.2, 0.2])
    return frame


def training_set(spark: SparkSession, label: str = "late", count: int = 900) -> DataFrame:
    """As stage `training_set` writes it; `label` is SQL over `rows`."""
    data = rows(count)
    types = (
        "id bigint, x0 double, x1 double, late boolean, count bigint, weekend boolean, carrier string, same double, "
        "split string"
    )
    values = [tuple(None if pd.isna(v) else v for v in row) for row in data.astype(object).itertuples(index=False)]
    return spark.createDataFrame(values, types).selectExpr(
        "id",
        "timestamp_seconds(id) predict_at",
        "split",
        f"{label} label",
        "timestamp_seconds(id) label_known_at",
        *FEATURES,
    )


def pipeline(search: dict[str, Any] | None = None, gates: list[dict[str, Any]] | None = None, **more: Any) -> Pipeline:
    """A pipeline of which only search and gates matter."""
    return Pipeline.model_validate(
        {
            "pipeline": "demo",
            "tables": {"t": {"source": {"format": "csv", "path": "t.csv"}}},
            "training_set": {"from": "t", "label": "late", **more},
            "search": search or {},
            "gates": gates or [],
        }
    )


def facts(task: str = "binary", labels: list[Any] | None = None) -> dict[str, Any]:
    """What the training set's commit carries."""
    return {
        "features": FEATURES,
        "key": ["id"],
        "task": task,
        "labels": labels if labels is not None else [False, True],
    }


def sqlite(home: Path) -> str:
    """MLflow's tracking URI in a folder."""
    return f"sqlite:///{home}/mlflow/mlflow.db"


def shared_home(factory: pytest.TempPathFactory) -> Path:
    """One folder for all modules: MLflow takes ten seconds to make its tables, once."""
    return factory.getbasetemp() / "modelling"
