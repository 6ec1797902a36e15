"""Learners of one core as estimators of Spark ML: fitted in one task, asked in all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark import cloudpickle
from pyspark.ml import Estimator, Model
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.param.shared import HasWeightCol
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.errors import HeadraceError
from headrace.models.learner import Learner
from headrace.runtime.vectorised import vectorised

if TYPE_CHECKING:
    from headrace.models.learner import Array

LARGEST = 4 * 2**30
"""Bytes of features that one task is given to learn from."""
_SAID = "__said"


class SingleNode(Estimator, HasWeightCol):
    """A learner with scikit-learn's interface: `fit(X, y)`, `predict`, `predict_proba`.

    Args:
        learner: Not fitted; it can be pickled.
        classes: Whether the label is a class.
    """

    def __init__(self, learner: Any, classes: bool) -> None:
        super().__init__()
        self.learner, self.classes = learner, classes

    def _fit(self, dataset: DataFrame) -> SingleNodeModel:
        """In one task, in the order of the partitions. Runs Spark jobs."""
        weight = F.col(self.getWeightCol()) if self.isSet("weightCol") else F.lit(None).cast("double")
        rows = dataset.select(
            vector_to_array(F.col("features")).alias("x"), F.col("label").alias("y"), weight.alias("w")
        )
        check_size(self.learner, rows)
        learner, classes = self.learner, self.classes

        def fitted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            table = pa.Table.from_batches(list(batches))
            weights = None if table["w"].null_count else table["w"].to_numpy()
            found = Learner.fit(learner, matrix(table["x"]), table["y"].to_numpy(), classes, weights)
            yield pa.RecordBatch.from_arrays([pa.array([cloudpickle.dumps(found)], pa.binary())], ["learner"])

        made = rows.coalesce(1).mapInArrow(fitted, "learner binary").collect()  # one row, the fitted learner
        return SingleNodeModel(bytes(made[0]["learner"]))


def check_size(learner: Any, rows: DataFrame) -> None:
    """Refuse rows (`x`: array) that are too many for one core. Runs a Spark job."""
    found: Any = rows.agg(F.count("*"), F.max(F.size("x"))).first()
    size = 8 * found[0] * (found[1] or 0)
    if not found[0]:
        raise HeadraceError("there are no rows to learn from")
    if size > LARGEST:
        raise HeadraceError(
            f"{type(learner).__name__} learns on one core, and {found[0]:,} rows of {found[1]:,} features are "
            f"{size / 2**30:.1f} GiB there (at most {LARGEST / 2**30:.0f}); take an estimator that spreads over the "
            "cluster, as xgboost, or fewer training rows"
        )


def matrix(arrays: pa.ChunkedArray) -> Array:
    """(rows, features) of a column of arrays that are equally long."""
    flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in arrays.chunks])
    return flat.reshape(len(arrays), -1)


class SingleNodeModel(Model, MLWritable, MLReadable):
    """A fitted learner: `features` in, `prediction` and, of classes, `probability` out.

    Args:
        pickled: A `Learner`.
    """

    def __init__(self, pickled: bytes) -> None:
        super().__init__()
        self.pickled = pickled

    def learner(self) -> Learner:
        """The learner."""
        return cloudpickle.loads(self.pickled)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        learner = self.learner()
        if learner.present is None:
            return dataset.withColumn("prediction", _asking(learner, "double")(vector_to_array(F.col("features"))))
        said = dataset.withColumn(_SAID, _asking(learner, "array<double>")(vector_to_array(F.col("features"))))
        first = F.array_position(_SAID, F.array_max(_SAID)) - 1
        return said.withColumns(
            {"probability": array_to_vector(F.col(_SAID)), "prediction": first.cast("double")}
        ).drop(_SAID)

    def write(self) -> MLWriter:
        """Spark ML's way of saving; the learner lies in a Parquet file."""
        return _Writer(self)

    @classmethod
    def read(cls) -> MLReader:
        """Spark ML's way of loading."""
        return _Reader()


def _asking(learner: Learner, returns: str) -> Any:
    import pandas as pd

    def said(rows: Any) -> Any:
        if not len(rows):
            return pd.Series([], dtype="object" if returns != "double" else "float64")
        found = learner.said(np.stack(rows.to_numpy()))
        return pd.Series(found if found.ndim == 1 else list(found))

    return vectorised(said, ["rows"], returns)


class _Writer(MLWriter):
    def __init__(self, model: SingleNodeModel) -> None:
        super().__init__()
        self._model = model

    def saveImpl(self, path: str) -> None:
        """Metadata, and the learner beside it."""
        spark = SparkSession.active()
        DefaultParamsWriter.saveMetadata(self._model, path, spark)  # type: ignore[arg-type]
        row = [(bytearray(self._model.pickled),)]
        spark.createDataFrame(row, "learner binary").coalesce(1).write.parquet(f"{path}/learner")


class _Reader(MLReader):
    def load(self, path: str) -> SingleNodeModel:
        """As it was saved."""
        spark = SparkSession.active()
        found: Any = spark.read.parquet(f"{path}/learner").first()
        model = SingleNodeModel(bytes(found["learner"]))
        model._resetUid(DefaultParamsReader.loadMetadata(path, spark)["uid"])  # type: ignore[arg-type]
        return model
