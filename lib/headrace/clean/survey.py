"""All of a frame's values looked at once: a sketch per column, a sample of rows, and whether keys are keys.

One Spark job, whatever the number of columns and rows: each task looks at its rows as they stream by in Arrow
batches and hands back one state of bounded size. Values of possible keys go on to a shuffle in the same job.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.clean.sketch import Labels, Sketch

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SAMPLE_CELLS = 250_000
SAMPLE_ROWS = 5_000
MOST_CLASSES = 101
LONGEST_SAMPLED = 200
MOST_TASKS = 200
"""States that come back at most: they are merged in the driver."""
MOST_SKETCHES = 20_000
"""Sketches, of some 20 kB each, in all these states together: with many columns there are fewer tasks."""
_STATE = -1
_SCHEMA = "slot int, payload binary"
_ARROW = pa.schema([("slot", pa.int32()), ("payload", pa.binary())])


@dataclass
class Sample:
    """Rows drawn at random, of each of the label's values about as many.

    Attributes:
        size: Rows in all.
        classes: Label -> (random number, ascending; rows).
        counts: Label -> all rows with it.
    """

    size: int
    classes: dict[str | None, tuple[NDArray[np.float64], pa.Table]] = field(default_factory=dict)
    counts: Counter[str | None] = field(default_factory=Counter)

    def add(self, rows: pa.Table, labels: Labels, chance: NDArray[np.float64]) -> None:
        """Draw from a batch."""
        for code in np.unique(labels.codes):
            name = labels.names[code]
            mine = np.flatnonzero(labels.codes == code)
            self.counts[name] += len(mine)
            drawn, there = self.classes.get(name, (np.empty(0), None))
            share = self._share(len(self.classes) + (there is None))
            if len(drawn) >= share:
                mine = mine[chance[mine] < drawn[share - 1]]
            if len(mine):
                mine = mine[np.argsort(chance[mine])][:share]
                self._put(name, chance[mine], _short(rows.take(pa.array(mine))))

    def merge(self, other: Sample) -> None:
        """Take what another one drew."""
        self.counts.update(other.counts)
        for name, (chance, rows) in other.classes.items():
            self._put(name, chance, rows)

    def _share(self, classes: int) -> int:
        return max(20, self.size // max(1, classes))

    def _put(self, name: str | None, chance: NDArray[np.float64], rows: pa.Table) -> None:
        if name in self.classes:
            before, there = self.classes[name]
            chance, rows = np.concatenate([before, chance]), pa.concat_tables([there, rows])
        order = np.argsort(chance)[: self._share(len(self.classes) + (name not in self.classes))]
        self.classes[name] = (chance[order], rows.take(pa.array(order)).combine_chunks())

    def rows(self) -> tuple[pa.Table | None, NDArray[np.float64], list[str | None]]:
        """The rows drawn, how many rows each stands for, and its label."""
        tables, weights, names = [], [], []
        for name, (_, rows) in self.classes.items():
            share = rows.slice(0, self._share(len(self.classes)))
            tables.append(share)
            weights.append(np.full(len(share), self.counts[name] / max(1, len(share))))
            names += [name] * len(share)
        return (pa.concat_tables(tables) if tables else None), np.concatenate([np.empty(0), *weights]), names


@dataclass
class Survey:
    """What one pass tells.

    Attributes:
        columns: Column -> its sketch, in the frame's order.
        sample: Rows at random; None: none were asked for.
        keys: Different values of each possible key (columns); those refuted underway are left out.
    """

    columns: dict[str, Sketch]
    sample: Sample | None = None
    keys: dict[tuple[str, ...], int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """All rows."""
        return next(iter(self.columns.values())).rows if self.columns else 0


@dataclass(frozen=True)
class Wishes:
    """What to look at besides the columns by themselves.

    Attributes:
        label: Column whose values are counted beside those of the others.
        keys: Columns, or combinations of them, that may be keys.
        certain: Do not give up a key though values repeat.
        sample: Draw rows.
    """

    label: str | None = None
    keys: tuple[tuple[str, ...], ...] = ()
    certain: bool = False
    sample: bool = False


def survey(frame: DataFrame, wishes: Wishes = Wishes()) -> Survey:
    """Look at all values of all columns once.

    Args:
        frame: Columns of type string.
        wishes: What else to look at.
    """
    from pyspark.sql import functions as F

    names = frame.columns
    if not names:
        return Survey({})
    tasks = _tasks(len(names), frame.sparkSession.sparkContext.defaultParallelism)
    # a state per task comes back: as many tasks as run at once, rather than one per piece of a file
    plain = frame.toDF(*[f"c{i}" for i in range(len(names))])  # dots and blanks in names mean something to Spark
    looked = plain.coalesce(tasks).mapInArrow(_looking(names, wishes), _SCHEMA)
    if wishes.keys:
        counted = looked.groupBy("slot", "payload").agg(F.count("*").alias("n"))
        state = F.when(F.col("slot") == _STATE, F.col("payload")).alias("payload")
        looked = counted.groupBy("slot", state).agg(F.count("*").alias("n"))
    else:
        looked = looked.withColumn("n", F.lit(1))
    found = Survey({name: Sketch() for name in names}, Sample(_sample_size(names)) if wishes.sample else None)
    refuted: set[int] = set()
    keys: dict[int, int] = {}
    for row in looked.collect():  # a state per task, a number per possible key
        if row["slot"] == _STATE:
            sketches, sample, gone = pickle.loads(row["payload"])  # written by this job's own tasks
            refuted |= gone
            for name, sketch in zip(names, sketches, strict=True):
                found.columns[name].merge(sketch)
            if found.sample and sample:
                found.sample.merge(sample)
        else:
            keys[row["slot"]] = row["n"]
    found.keys = {key: keys.get(i, 0) for i, key in enumerate(wishes.keys) if i not in refuted}
    return found


def _tasks(columns: int, slots: int) -> int:
    return max(1, min(MOST_TASKS, MOST_SKETCHES // columns, slots))


def _sample_size(names: Sequence[str]) -> int:
    return min(SAMPLE_ROWS, max(200, SAMPLE_CELLS // len(names)))


def _looking(names: list[str], wishes: Wishes) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        part = context.partitionId() if context else 0
        chances = np.random.default_rng([7, part])
        sketches = [Sketch() for _ in names]
        sample = Sample(_sample_size(names)) if wishes.sample else None
        classes: set[str | None] = set()
        refuted: set[int] = set()
        for batch in batches:
            labels = None
            if wishes.label is not None:
                labels = _labels(batch.column(names.index(wishes.label)), classes)
            for sketch, column in zip(sketches, batch.columns, strict=True):
                sketch.add(column, labels)
            if sample is not None:
                every = labels or Labels([None], np.zeros(batch.num_rows, dtype=np.int64))
                sample.add(pa.Table.from_batches([batch]), every, chances.random(batch.num_rows))
            for slot, key in enumerate(wishes.keys):
                if slot not in refuted:
                    values = _key([batch.column(names.index(name)) for name in key])
                    if wishes.certain or len(values.unique()) == len(values):
                        yield pa.record_batch([pa.repeat(pa.scalar(slot, pa.int32()), len(values)), values], _ARROW)
                    else:
                        refuted.add(slot)
        state = pickle.dumps((sketches, sample, refuted))
        yield pa.record_batch([pa.array([_STATE], pa.int32()), pa.array([state], pa.binary())], _ARROW)

    return look


def _labels(column: pa.Array, classes: set[str | None]) -> Labels:
    """The label's values; those beyond the hundred and first count as one."""
    encoded = pc.ascii_trim(column, characters=" ").dictionary_encode()
    names = [text or None for text in encoded.dictionary.to_pylist()] + [None]
    codes = encoded.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False).astype(np.int64)
    for name in names:
        if len(classes) <= MOST_CLASSES:
            classes.add(name)
    if len(classes) <= MOST_CLASSES:
        return Labels(names, codes)
    return Labels([None], np.zeros(len(column), dtype=np.int64))


def _short(rows: pa.Table) -> pa.Table:
    """Rows without blanks around their values, long ones cut."""
    trimmed = [pc.ascii_trim(column, characters=" ") for column in rows.columns]
    return pa.table([pc.utf8_slice_codeunits(c, 0, LONGEST_SAMPLED) for c in trimmed], names=rows.column_names)


def _key(columns: list[pa.Array]) -> pa.Array:
    """One value for several: with their lengths, so that `a`, `bc` is not `ab`, `c`."""
    texts = [pc.ascii_trim(column, characters=" ").fill_null("") for column in columns]
    if len(texts) == 1:
        return texts[0].cast(pa.binary())
    parts = [part for text in texts for part in (pc.utf8_length(text).cast(pa.string()), text)]
    return pc.binary_join_element_wise(*parts, ":").cast(pa.binary())
