"""Prepared rows in the memory of executors' Python: handed over by Arrow, once to each executor for all trials."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.core.broadcast import Broadcast
    from pyspark.sql import DataFrame

KEPT = 192 * 2**20
"""Bytes of rows that a Python worker keeps, and at least those of one fold; they lie in the executor's files anyway."""


@dataclass(frozen=True)
class Rows:
    """Of a fold.

    Attributes:
        features: (rows, features).
        label: (rows,).
    """

    features: npt.NDArray[np.float64]
    label: npt.NDArray[np.float64]


Both = tuple[Rows, Rows]
"""Those that train, and those that validate."""


class Handed:
    """Rows that train and rows that validate, as tasks read them.

    Args:
        train: `features` (a vector), `label`.
        validation: The same.
        rows: Of both.
    """

    def __init__(self, train: DataFrame, validation: DataFrame, rows: int) -> None:
        self._frames, self._count = (train, validation), rows
        self._lock = threading.Lock()
        self._made: Handle | None = None

    @property
    def size(self) -> int:
        """Bytes of both; runs a Spark job where the vectors do not say how long they are."""
        train = self._frames[0]
        width = train.schema["features"].metadata.get("ml_attr", {}).get("num_attrs")
        if width is None:
            first = train.select("features").first()
            width = 0 if first is None else first["features"].size
        return 8 * int(width) * self._count

    def handle(self) -> Handle:
        """What tasks are given; the rows pass the driver when it is asked for first, and are as many as `size` says."""
        with self._lock:
            if self._made is None:
                context = self._frames[0].sparkSession.sparkContext
                streams = tuple(_stream(frame) for frame in self._frames)
                self._made = Handle(uuid.uuid4().hex, context.broadcast(streams))
            return self._made

    def unpersist(self) -> None:
        """Give the memory of the executors back."""
        with self._lock:
            if self._made:
                self._made.streams.destroy()
                self._made = None


@dataclass(frozen=True)
class Handle:
    """By which a task finds the rows.

    Attributes:
        name: Of these rows, and of no others.
        streams: Arrow, of those that train and those that validate.
    """

    name: str
    streams: Broadcast

    def rows(self) -> Both:
        """In a task: the rows, read once by each Python worker; they are views of what Arrow brought."""
        if self.name not in _read:
            train, validation = (_rows(stream) for stream in self.streams.value)
            _read[self.name] = train, validation
        _read.move_to_end(self.name)
        while len(_read) > 1 and sum(part.features.nbytes for both in _read.values() for part in both) > KEPT:
            _read.popitem(last=False)
        return _read[self.name]


_read: OrderedDict[str, Both] = OrderedDict()


def _stream(frame: DataFrame) -> bytes:
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as F

    table = frame.select(vector_to_array(F.col("features")).alias("features"), "label").toArrow().combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _rows(stream: bytes) -> Rows:
    table = pa.ipc.open_stream(pa.py_buffer(stream)).read_all()
    if not table.num_rows:
        return Rows(np.zeros((0, 0)), np.zeros(0))
    arrays, labels = table["features"].combine_chunks(), table["label"].combine_chunks()
    return Rows(arrays.flatten().to_numpy().reshape(table.num_rows, -1), labels.to_numpy())
