"""Fitted pipelines from MLflow, each with the Python that it was trained with."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow.models import Model
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from headrace.config import modules
from headrace.runtime.own_code import as_trained, kept


class OwnCode(PipelineModel):
    """A fitted pipeline with classes of the user's, which do what they did when it was trained.

    Args:
        stages: Fitted.
        sources: The modules of its classes.
    """

    def __init__(self, stages: list[Any], sources: Mapping[str, modules.Source]) -> None:
        super().__init__(stages)
        self._sources = sources

    def transform(self, dataset: Any, params: Any = None) -> Any:
        """As Spark ML's; what it makes is computed by its own modules."""
        with as_trained(dataset.sparkSession, self._sources):
            return super().transform(dataset, params)


def loaded(uri: str, dfs_tmpdir: str | None = None) -> PipelineModel:
    """A fitted pipeline by `runs:/...` or `models:/name/version`."""
    sources = own_modules(uri)
    if not sources:
        return mlflow.spark.load_model(uri, dfs_tmpdir=dfs_tmpdir)
    spark = SparkSession.getActiveSession() or SparkSession.builder.getOrCreate()
    with as_trained(spark, sources):
        return OwnCode(mlflow.spark.load_model(uri, dfs_tmpdir=dfs_tmpdir).stages, sources)


def own_modules(uri: str) -> dict[str, modules.Source]:
    """The modules that a model keeps of its user's classes; empty where it has none of these."""
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        code = own_code(uri, Path(folder))
        return kept(code) if code else {}


def own_code(uri: str, folder: Path) -> Path | None:
    """Put these modules into a folder, and tell where in it they are; None where there are none."""
    code = Model.load(uri).flavors.get("spark", {}).get("code")
    return Path(mlflow.artifacts.download_artifacts(f"{uri}/{code}", dst_path=str(folder))) if code else None
