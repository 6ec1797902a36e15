"""The rows of a pipeline's sources as ingest would read them, without landing them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from headrace.config import secrets
from headrace.config.types import Pipeline
from headrace.errors import ConfigError
from headrace.examples import unpacked
from headrace.runtime.home import home

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def raw_rows(spark: SparkSession, pipeline: Pipeline, name: str) -> DataFrame:
    """The rows of a table's source, with the columns that ingest adds. Nothing is read but names and types.

    Raises:
        ConfigError: If nothing is there.
        DataError: If the files of the source differ in their columns.
    """
    from pyspark.sql import functions as F

    from headrace.ingest.files import listed
    from headrace.ingest.others import rows as rows_of
    from headrace.ingest.privacy import protected
    from headrace.ingest.reading import How, read

    source = pipeline.tables[name].source
    frame: DataFrame | None
    if source.kind != "files":
        frame = rows_of(SimpleNamespace(spark=spark, pipeline=pipeline, parallelism=1), name, source)
    else:
        files = listed(spark, unpacked(source.path, Path(home()) / "examples"))
        how = How(source.format, secrets.revealed(source.options), source.on_drift)
        frame = read(spark, how, files).frame
    if frame is None:
        raise ConfigError(f"{source.path} has not even a header; put data there, or mend source.path")
    frame = protected(frame, pipeline.tables[name].sensitive, b"nothing lands, so any key does", f"tables.{name}")
    stamps = {"_source": "string", "_source_version": "string", "_ingested_at": "timestamp", "_batch": "bigint"}
    missing = [F.lit(None).cast(kind).alias(stamp) for stamp, kind in stamps.items() if stamp not in frame.columns]
    return frame.select("*", *missing)
