"""The one Spark session of a job; its settings come from `spark-submit.sh`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.config import secrets

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def session(name: str) -> SparkSession:
    """Start, or find, the session.

    Two settings decide what results mean and are not left to chance: UTC, and ANSI SQL.
    """
    from pyspark.sql import SparkSession

    secrets.guard_output()
    spark = SparkSession.builder.appName(name).getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.conf.set("spark.sql.ansi.enabled", "true")
    return spark


def task_slots(spark: SparkSession) -> int:
    """How many tasks can run at the same time: the cores of the executors that are there."""
    return max(1, spark.sparkContext.defaultParallelism)
