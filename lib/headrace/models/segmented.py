"""A fitted pipeline for each value of a column, and one of all rows that answers for the rest: one model of Spark ML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import reduce

from pyspark.ml import Model, PipelineModel
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

SEGMENTS = "segments"
"""Estimator of a model that is one per segment."""
_AT_ONCE = 4
"""Members that are written, or read, at a time."""
_PLACE = "__place"


def segment_of(by: str) -> Column:
    """The segment of a row, as text; null: none."""
    return F.col(f"`{by}`").cast("string")


def within(frame: DataFrame, by: str, value: str) -> DataFrame:
    """Rows of a segment; compared as the column has it, so that files and caches can pass the others over."""
    return frame.where(F.col(f"`{by}`") == F.lit(value).cast(frame.schema[by].dataType))


class Segmented(Model, MLWritable, MLReadable):
    """Each row is answered by the model of its segment; where there is none, or the segment is null, by the general one.

    Args:
        by: Column of the segments.
        members: Models by segment: raw feature columns in; `prediction`, and of classes `probability`, out.
        general: Of all rows.
        classes: Of the label; 0: it is a number.
    """

    def __init__(self, by: str, members: Mapping[str, PipelineModel], general: PipelineModel, classes: int) -> None:
        super().__init__()
        self.by, self.members, self.general, self.classes = by, dict(members), general, classes

    def said(self, dataset: DataFrame) -> DataFrame:
        """As `transform`, in any order: a part of the plan for each segment, and nothing is sorted."""
        kept = [*[f"`{name}`" for name in dataset.columns], "prediction", *(["probability"] if self.classes else [])]
        mine = segment_of(self.by)
        rest = dataset.where(mine.isNull() | ~mine.isin(list(self.members))) if self.members else dataset
        parts = [self.general.transform(rest)]
        parts += [model.transform(within(dataset, self.by, value)) for value, model in self.members.items()]
        return _joined([part.select(*kept) for part in parts])

    def _transform(self, dataset: DataFrame) -> DataFrame:
        """Rows with `prediction`, and of classes `probability`; in their order, which some readers go by."""
        if not self.members:
            return self.said(dataset)
        numbered = dataset.withColumn(_PLACE, F.monotonically_increasing_id())
        return self.said(numbered).orderBy(_PLACE).drop(_PLACE)

    def write(self) -> MLWriter:
        """Spark ML's way of saving; the members lie in folders by their number, 0 is the general one."""
        return _Writer(self)

    @classmethod
    def read(cls) -> MLReader:
        """Spark ML's way of loading."""
        return _Reader()


def _joined(parts: list[DataFrame]) -> DataFrame:
    """All rows: halves of halves, so that the plan is no deeper than need be."""
    while len(parts) > 1:
        parts = [reduce(DataFrame.union, parts[at : at + 2]) for at in range(0, len(parts), 2)]
    return parts[0]


def _all(work: Callable[[int], object], numbers: Iterable[int]) -> list[object]:
    """Some at a time: each writes or reads many small files."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="segments") as threads:
        return list(threads.map(work, numbers))


class _Writer(MLWriter):
    def __init__(self, model: Segmented) -> None:
        super().__init__()
        self._model = model

    def saveImpl(self, path: str) -> None:
        """Metadata, and the members beside it."""
        model = self._model
        more = {"by": model.by, "values": list(model.members), "classes": model.classes}
        DefaultParamsWriter.saveMetadata(model, path, SparkSession.active(), extraMetadata=more)  # type: ignore[arg-type]
        every = [model.general, *model.members.values()]
        _all(lambda number: every[number].write().save(f"{path}/members/{number}"), range(len(every)))


class _Reader(MLReader):
    def load(self, path: str) -> Segmented:
        """As it was saved."""
        told = DefaultParamsReader.loadMetadata(path, SparkSession.active())  # type: ignore[arg-type]
        count = len(told["values"]) + 1
        general, *members = _all(lambda number: PipelineModel.load(f"{path}/members/{number}"), range(count))
        model = Segmented(told["by"], dict(zip(told["values"], members, strict=True)), general, told["classes"])  # type: ignore[arg-type]
        model._resetUid(told["uid"])
        return model
