"""A source that any of Spark's readers reads: `source: {python: "headrace.sources:read", options: {format: ...}}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FILES = ("csv", "json", "parquet", "orc")
"""Formats whose files ingest follows one by one; a source of these has a `path`."""


def read(spark: SparkSession, format: str, path: str | None = None, **options: Any) -> DataFrame:
    """The rows of a table, a Delta path, or a query over JDBC, as they are now.

    Args:
        spark: The session.
        format: `table` for one of Spark's catalogue; else a format of Spark's readers.
        path: The table's name, or the path; none for JDBC.
        options: Options of the reader.
    """
    if format == "table":
        return spark.table(str(path))
    texts = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in options.items()}
    reader = spark.read.format(format).options(**texts)
    return reader.load(path) if path else reader.load()
