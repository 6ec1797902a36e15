"""Frames to monitor: rows trained on and rows scored, predictions, labels, and a run over them in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from headrace.config.types import Pipeline

NOW = datetime(2024, 2, 1, tzinfo=UTC)


@dataclass
class FakeRun:
    """A run over frames in memory; `versions` are those of `test_predictions`."""

    spark: SparkSession
    pipeline: Pipeline
    tables: dict[str, DataFrame]
    notes: dict[str, Any]
    versions: dict[int, DataFrame] = field(default_factory=dict)
    as_of: datetime = NOW
    run_id: str = "run-1"
    model_name: str = "churn"
    tracking_uri: str = "nowhere"

    def read(self, table):
        return self.tables[table]

    def exists(self, table):
        return table in self.tables

    def read_version(self, table, version):
        assert table == "test_predictions"
        return self.versions[version]

    def facts(self, table):
        return {"facts": self.notes}


def pipeline(**more) -> Pipeline:
    """Customers, keyed by `id`."""
    return Pipeline.model_validate(
        {
            "pipeline": "churn",
            "tables": {"customers": {"source": {"format": "csv", "path": "x.csv"}, "key": "id"}},
            "training_set": {"from": "customers", "label": "churn"},
            **more,
        }
    )


def a_training_set(n: int, m: int, seed: int = 0) -> pd.DataFrame:
    """`n` rows of training, `m` to be scored; `same_*` do not drift, `moved_*` do."""
    rng = np.random.default_rng(seed)
    size, later = n + m, np.arange(n + m) >= n
    frame = pd.DataFrame({"id": np.arange(size), "split": np.where(later, "score", "train")})
    frame.loc[: n // 5, "split"] = "validation"
    frame["predict_at"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(size) % 20, unit="D")
    frame["same_number"] = rng.normal(size=size)
    frame["same_text"] = rng.choice([f"c{i}" for i in range(30)], size=size)
    frame["same_flag"] = rng.random(size) < 0.3
    frame["same.count"] = rng.poisson(0.5, size=size)
    frame["same_constant"] = 7
    frame["moved_number"] = rng.normal(size=size) + np.where(later, 1.5, 0.0)
    frame["moved_text"] = np.where(later & (rng.random(size) < 0.4), "new", rng.choice(["a", "b"], size=size))
    frame["moved_null"] = np.where(later & (rng.random(size) < 0.5), None, rng.normal(size=size))
    frame["moved_nan"] = np.where(later & (rng.random(size) < 0.5), "NaN", rng.normal(size=size).astype(str))
    frame["moved_constant"] = np.where(later, 6, 7)
    return frame


def to_spark(spark: SparkSession, frame: pd.DataFrame) -> DataFrame:
    numbers = ("moved_null", "moved_nan")
    text = frame.assign(**{c: [None if v is None else str(v) for v in frame[c]] for c in numbers if c in frame})
    table = spark.createDataFrame(text)
    return table.withColumns({c: table[c].cast("double") for c in numbers if c in frame})


def scored(spark: SparkSession, frame: pd.DataFrame) -> DataFrame:
    return spark.createDataFrame(frame.loc[frame.split == "score", ["id", "predict_at"]])


def features_of(frame: pd.DataFrame) -> list[str]:
    return [c for c in frame.columns if c.startswith(("same", "moved"))]
