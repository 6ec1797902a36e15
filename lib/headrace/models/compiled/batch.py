"""The compiled scorer over rows of Spark: whole columns at a time, as Arrow hands them over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.models.card import check_columns
from headrace.models.compiled.scorer import Compiled, answers_of
from headrace.models.predict import PREDICTION_TYPE, PROBABILITY_TYPE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CHECKED = 1_000
"""Rows of a run that are compared with `transform`."""
SOME_MORE = 1.2
"""Each row is drawn by itself, so that their number varies; this many times as many are drawn."""
_ready: dict[str, Compiled] = {}
"""In a worker: what was read, by digest; the last one."""


class Watch:
    """Hears from the workers what they gave for some of the rows, and what went wrong.

    Args:
        spark: The session.
        rows: How many there are about.
    """

    def __init__(self, spark: SparkSession, rows: int) -> None:
        from pyspark.accumulators import AccumulatorParam

        class Lists(AccumulatorParam):
            def zero(self, value: Any) -> Any:
                return []

            def addInPlace(self, value1: Any, value2: Any) -> Any:
                return value1 + value2

        self.share = min(1.0, SOME_MORE * CHECKED / max(rows, 1))
        self._heard: Any = spark.sparkContext.accumulator([], Lists())

    @property
    def tell(self) -> Callable[[Any], None]:
        """For a worker."""
        return self._heard.add

    def found(self) -> tuple[pa.Table | None, str | None]:
        """Of `CHECKED` rows drawn at random the inputs and answers, None where there are none; and what went wrong."""
        wrong = next((one for one in self._heard.value if isinstance(one, str)), None)
        told = [pa.ipc.open_stream(one).read_all() for one in self._heard.value if isinstance(one, bytes)]
        if not told:
            return None, wrong
        whole = pa.concat_tables(told)
        some = np.random.default_rng().permutation(whole.num_rows)[:CHECKED]
        return whole.take(pa.array(some)), wrong


def score(compiled: Compiled, frame: DataFrame, keep: Sequence[str] = (), watch: Watch | None = None) -> DataFrame:
    """Score rows by a function of Python; see `running.score`."""
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.functions import arrow_udf

    card = compiled.card
    check_columns(card, {field.name: field.dataType.simpleString() for field in frame.schema})
    said = PREDICTION_TYPE.get(card.task, card.label_type)
    returns = f"prediction {said}, probability {PROBABILITY_TYPE.get(card.task, 'double')}"
    make: Any = arrow_udf
    # else Spark asks it once more for each filter on what it says, that it may filter before it projects
    scores = make(_scores(compiled.files(), watch), returns).asNondeterministic()
    told = scores(*[F.col(f"`{name}`") for name in compiled.inputs])
    kept = [F.col(f"`{name}`").alias(f"__keep_{name}") for name in keep]
    both = frame.select(*kept, told.alias("__told"))
    return both.select(
        *[F.col(f"`__keep_{name}`").alias(name) for name in keep],
        F.col("__told")["prediction"].alias("prediction"),
        F.col("__told")["probability"].alias("probability"),
    )


def _scores(files: Mapping[str, bytes], watch: Watch | None) -> Any:
    """A function of Arrow arrays, one per input, that a worker runs."""
    digest = hashlib.sha256(b"".join(files[name] for name in sorted(files))).hexdigest()
    share, tell = (watch.share, watch.tell) if watch else (0.0, None)

    def told(*columns: pa.Array) -> pa.Array:
        return answers(digest, files, columns, share, tell)

    told.__annotations__ = {"columns": pa.Array, "return": pa.Array}
    return told


def answers(
    digest: str, files: Mapping[str, bytes], columns: Sequence[pa.Array], share: float, tell: Any = None
) -> pa.Array:
    """Score a batch in a worker; what was read once is kept for the next."""
    try:
        compiled = _reread(digest, files)
        rows = pa.Table.from_arrays(list(columns), list(compiled.inputs))
        found = compiled.score(rows)
    except Exception as error:
        if tell is None:
            raise
        # whatever it is, the run goes on without this scorer: what it wrote is written anew
        tell([f"{type(error).__name__}: {error}"])
        schema = answers_of(files)
        found = pa.Table.from_arrays([pa.nulls(len(columns[0]), field.type) for field in schema], schema=schema)
    else:
        if tell is not None:
            _tell_some(rows, found, share, tell)
    arrays = [one.chunk(0) if one.num_chunks else pa.array([], one.type) for one in found.combine_chunks().columns]
    return pa.StructArray.from_arrays(arrays, fields=list(found.schema))


def _reread(digest: str, files: Mapping[str, bytes]) -> Compiled:
    if digest not in _ready:
        _ready.clear()
        _ready[digest] = Compiled.of(files)
    return _ready[digest]


def _tell_some(rows: pa.Table, found: pa.Table, share: float, tell: Any) -> None:
    chosen = np.flatnonzero(np.random.default_rng().random(rows.num_rows) < share)
    if len(chosen):
        both = rows
        for field in found.schema:
            both = both.append_column(field.with_name(f"__{field.name}"), found.column(field.name))
        some = both.take(pa.array(chosen)).combine_chunks()
        held = pa.BufferOutputStream()
        with pa.ipc.new_stream(held, some.schema) as writer:
            writer.write_table(some)
        tell([held.getvalue().to_pybytes()])
