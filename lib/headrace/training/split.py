"""Which rows train, validate, test, and are scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.config.types import Split
from headrace.engine.time import moment

if TYPE_CHECKING:
    from pyspark.sql import Column

PARTS = 1_000_000


def split_column(split: Split, key: tuple[str, ...]) -> Column:
    """The column `split`: train, validation, test, score or purged.

    By time, cut on `predict_at`, half-open; a label that becomes known only after its part has ended is purged. By
    hash of the key or group: a row without a label can only be scored.

    Args:
        split: The configuration.
        key: The spine's key.
    """
    return by_time(split) if split.by == "time" else by_hash(split, split.group or key)


def by_time(split: Split) -> Column:
    """See `split_column`; rows without `predict_at` are purged."""
    at, known = F.col("predict_at"), F.col("label_known_at")
    chosen = F.when(at.isNull(), "purged")
    for name, end in (("train", split.train_until), ("validation", split.validation_until), ("test", split.test_until)):
        assert end is not None, "checked when the file was read"
        late = F.col("label").isNotNull() & (known > moment(end))
        chosen = chosen.when(at < moment(end), F.when(late, "purged").otherwise(name))
    return chosen.otherwise("score")


def by_hash(split: Split, columns: tuple[str, ...]) -> Column:
    """See `split_column`."""
    train, validation, _ = split.shares
    place = F.pmod(F.xxhash64(*columns), F.lit(PARTS)) / PARTS
    return (
        F.when(F.col("label").isNull(), "score")
        .when(place < train, "train")
        .when(place < train + validation, "validation")
        .otherwise("test")
    )
