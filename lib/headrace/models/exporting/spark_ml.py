"""Writing the format `spark`: the folder that Spark ML saved, with the Python of the user's classes; and asking it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.models.card import ModelCard

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MODEL, CODE = "model", "code"


def saved(folder: Path, uri: str) -> None:
    """Put a version's pipeline into a folder, its classes' modules and its requirements beside it."""
    import mlflow

    from headrace.models.loading import own_code

    def fetched(name: str) -> Path:
        return Path(mlflow.artifacts.download_artifacts(f"{uri}/{name}", dst_path=str(folder)))

    fetched("sparkml").rename(folder / MODEL)
    fetched("requirements.txt")
    code = own_code(uri, folder)
    if code is not None and code != folder / CODE:
        shutil.move(code, folder / CODE)


def asked(spark: SparkSession, folder: Path, card: ModelCard, rows: pa.Table) -> pa.Table:
    """What the folder's pipeline says of rows. Runs Spark jobs."""
    from headrace.models.compiled.agreement import transformed

    return transformed(spark, _read(spark, folder), card, rows)


def _read(spark: SparkSession, folder: Path) -> Any:
    from pyspark.ml import PipelineModel

    from headrace.models.loading import OwnCode
    from headrace.runtime.own_code import as_trained, kept

    place = f"file://{(folder / MODEL).resolve()}"
    sources = kept(folder / CODE) if (folder / CODE).is_dir() else {}
    if not sources:
        return PipelineModel.load(place)
    with as_trained(spark, sources):
        return OwnCode(PipelineModel.load(place).stages, sources)
