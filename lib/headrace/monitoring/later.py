"""Rows that were scored after the training set was built: their features, made as scoring made them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.engine.time import span as span_of
from headrace.monitoring.rows import matching

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from headrace.runtime.step import Run

MOST = 1_000_000
"""Rows that are looked at; of more a sample by a hash of the key, which tells the same of a distribution."""
_PARTS = 1_000_000


def with_rows_since(
    run: Run,
    training_set: DataFrame,
    predictions: DataFrame,
    columns: tuple[Sequence[str], Sequence[str]],
    made: Callable[..., DataFrame],
) -> DataFrame:
    """The training set with the scored rows that it does not have, as of split `score`. Runs Spark jobs.

    A night that scores and monitors, and does not train, adds rows to the predictions alone.

    Args:
        run: The run.
        training_set: As it was built.
        predictions: First revisions.
        columns: Keys of the spine, and features.
        made: Gives rows of the spine, chosen by key and times, with their features.

    Returns:
        `split`, `predict_at`, the keys and the features.
    """
    keys, features = columns
    key = list(dict.fromkeys((*keys, "predict_at")))
    wanted = list(dict.fromkeys(("split", *key, *features)))
    known = training_set.select(*[f"`{name}`" for name in wanted])
    unseen = matching(predictions.select(*key), training_set.select(*key), key, "left_anti").distinct()
    count, span = span_of(unseen)
    if not count:
        return known
    if count > MOST:
        unseen = unseen.where(F.pmod(F.xxhash64(*key), F.lit(_PARTS)) < _PARTS * MOST // count)
        run.say(f"drift: of {count:,} rows scored since the training set was built, about {MOST:,} are looked at")
    chosen = unseen
    frame = made(run, None, span, lambda spine: matching(spine, chosen, key, "left_semi")) if features else unseen
    missing = [name for name in features if name not in frame.columns]
    if missing:
        run.say(
            f"drift: {count:,} rows were scored since the training set was built, and are not looked at: rows have no "
            f"{', '.join(missing[:3])} any more; train anew"
        )
        return known
    scored = frame.withColumn("split", F.lit("score"))
    return known.unionByName(scored.select(*[f"`{name}`" for name in wanted]))
