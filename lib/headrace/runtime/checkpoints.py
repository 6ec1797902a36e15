"""A place where Spark may cut the lineage of what is computed in many rounds.

Without one each round makes the next one's tasks longer to describe, until their stack overflows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def checkpoints(spark: SparkSession) -> Iterator[None]:
    """Give Spark a folder for checkpoints beside the tables, where all executors can write, and remove it at the end.

    What is computed inside must have been written, or be given up, by then.
    """
    context = spark.sparkContext
    context.setCheckpointDir(f"{spark.conf.get('spark.sql.warehouse.dir')}/_checkpoints")
    folder = str(context.getCheckpointDir())
    try:
        yield
    finally:
        jvm: Any = context._jvm
        path = jvm.org.apache.hadoop.fs.Path(folder)
        path.getFileSystem(context._jsc.hadoopConfiguration()).delete(path, True)
