"""Several fitted pipelines on the same rows: what each says, and the mean of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.ml import Model, PipelineModel
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

SAID = "__members"
"""What the members say, one after the other, as a vector: predictions, or the logarithms of probabilities."""
_LEAST = 1e-6
"""Of a probability whose logarithm is taken."""


class Blend(Model, MLWritable, MLReadable):
    """The mean of what pipelines say: of numbers, or of the probabilities of classes.

    Args:
        members: Raw feature columns in; `prediction`, and of classes `probability`, out.
        classes: Of the label; 0: it is a number.
    """

    def __init__(self, members: Sequence[PipelineModel], classes: int) -> None:
        super().__init__()
        self.members, self.classes = tuple(members), classes

    def _transform(self, dataset: DataFrame) -> DataFrame:
        """Rows with `prediction`, of classes `probability`, and `SAID`."""
        kept, frame = [f"`{name}`" for name in dataset.columns], dataset
        named = [f"__said{number}" for number in range(len(self.members))]
        for number, member in enumerate(self.members):
            said = vector_to_array(F.col("probability")) if self.classes else F.array("prediction")
            frame = member.transform(frame).select(*kept, *named[:number], said.alias(named[number]))
        mean = self._mean([F.col(name) for name in named])
        said = F.flatten(F.array(*named))
        if not self.classes:
            return frame.select(*kept, mean[0].alias("prediction"), array_to_vector(said).alias(SAID))
        told = F.transform(said, lambda one: F.log(F.greatest(one, F.lit(_LEAST))))
        whole = F.array(*mean)
        most = F.array_position(whole, F.array_max(whole)) - 1
        found = (array_to_vector(whole).alias("probability"), most.cast("double").alias("prediction"))
        return frame.select(*kept, *found, array_to_vector(told).alias(SAID))

    def _mean(self, said: Sequence[Column]) -> list[Column]:
        """One number, or one for each class; a class that a member never saw has 0 of it."""
        each = range(max(1, self.classes))
        sums = [sum((F.coalesce(F.get(one, F.lit(place)), F.lit(0.0)) for one in said), F.lit(0.0)) for place in each]
        return [total / F.lit(float(len(said))) for total in sums]

    def write(self) -> MLWriter:
        """Spark ML's way of saving; the members lie in folders by their number."""
        return _Writer(self)

    @classmethod
    def read(cls) -> MLReader:
        """Spark ML's way of loading."""
        return _Reader()


class _Writer(MLWriter):
    def __init__(self, model: Blend) -> None:
        super().__init__()
        self._model = model

    def saveImpl(self, path: str) -> None:
        """Metadata, and the members beside it."""
        members: Any = self._model.members
        more = {"members": len(members), "classes": self._model.classes}
        DefaultParamsWriter.saveMetadata(self._model, path, SparkSession.active(), extraMetadata=more)  # type: ignore[arg-type]
        for number, member in enumerate(members):
            member.write().save(f"{path}/members/{number}")


class _Reader(MLReader):
    def load(self, path: str) -> Blend:
        """As it was saved."""
        told = DefaultParamsReader.loadMetadata(path, SparkSession.active())  # type: ignore[arg-type]
        members = [PipelineModel.load(f"{path}/members/{number}") for number in range(told["members"])]
        model = Blend(members, told["classes"])
        model._resetUid(told["uid"])
        return model
