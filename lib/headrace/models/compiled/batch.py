"""The compiled scorer over rows of Spark: whole columns at a time, as Arrow hands them over."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.models.card import check_columns
from headrace.models.compiled.scorer import Compiled
from headrace.models.predict import PREDICTION_TYPE, PROBABILITY_TYPE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_ready: dict[str, Compiled] = {}
"""In a worker: what was read, by digest; the last one."""


def score(compiled: Compiled, frame: DataFrame, keep: Sequence[str] = ()) -> DataFrame:
    """Score rows; a pure transformation, to the same columns as `models.predict.predict`.

    Args:
        compiled: The model.
        frame: Feature columns as trained, and the columns to keep.
        keep: Columns carried over.

    Raises:
        DataError: If the feature columns differ from those of the training.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.functions import arrow_udf

    card = compiled.card
    check_columns(card, {field.name: field.dataType.simpleString() for field in frame.schema})
    said = PREDICTION_TYPE.get(card.task, card.label_type)
    returns = f"prediction {said}, probability {PROBABILITY_TYPE.get(card.task, 'double')}"
    make: Any = arrow_udf
    told = make(_scores(compiled.files()), returns)(*[F.col(f"`{name}`") for name in compiled.inputs])
    kept = [F.col(f"`{name}`").alias(f"__keep_{name}") for name in keep]
    both = frame.select(*kept, told.alias("__told"))
    return both.select(
        *[F.col(f"`__keep_{name}`").alias(name) for name in keep],
        F.col("__told")["prediction"].alias("prediction"),
        F.col("__told")["probability"].alias("probability"),
    )


def _scores(files: Mapping[str, bytes]) -> Any:
    """A function of Arrow arrays, one per input, that a worker runs."""
    digest = hashlib.sha256(b"".join(files[name] for name in sorted(files))).hexdigest()

    def told(*columns: pa.Array) -> pa.Array:
        return answers(digest, files, columns)

    told.__annotations__ = {"columns": pa.Array, "return": pa.Array}
    return told


def answers(digest: str, files: Mapping[str, bytes], columns: Sequence[pa.Array]) -> pa.Array:
    """Score a batch in a worker; what was read once is kept for the next."""
    if digest not in _ready:
        _ready.clear()
        _ready[digest] = Compiled.of(files)
    compiled = _ready[digest]
    found = compiled.score(pa.Table.from_arrays(list(columns), list(compiled.inputs))).combine_chunks()
    arrays = [one.chunk(0) if one.num_chunks else pa.array([], one.type) for one in found.columns]
    return pa.StructArray.from_arrays(arrays, fields=list(found.schema))
