"""Which rows train, validate, test, and are scored."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.config.learning import Split
from headrace.engine.time import moment

if TYPE_CHECKING:
    from pyspark.sql import Column

PARTS = 1_000_000


def split_column(split: Split, key: tuple[str, ...], as_of: datetime, labelled: bool = True) -> Column:
    """The column `split`: train, validation, test, score or purged.

    By time, cut on `predict_at`, half-open; a label that becomes known only after its part has ended is purged. By
    hash of the key or group. Either way a row whose label is null, and will stay so, can only be scored.

    Args:
        split: The configuration.
        key: The spine's key.
        as_of: The logical now: of a label that is known only later, nobody can say yet that it is null.
        labelled: Whether the task has a label; without one no row is scored for want of it.
    """
    lacking = unlabelled(as_of) if labelled else F.lit(False)
    if split.by == "time":
        return by_time(split, lacking)
    return by_hash(split, split.group or key, F.col("label").isNull() if labelled else lacking)


def by_time(split: Split, lacking: Column) -> Column:
    """See `split_column`; rows without `predict_at` are purged, rows `lacking` a label scored."""
    at, known = F.col("predict_at"), F.col("label_known_at")
    chosen = F.when(at.isNull(), "purged")
    for name, end in (("train", split.train_until), ("validation", split.validation_until), ("test", split.test_until)):
        assert end is not None, "checked when the file was read"
        part = F.when(lacking, "score").when(known > moment(end), "purged").otherwise(name)
        chosen = chosen.when(at < moment(end), part)
    return chosen.otherwise("score")


def unlabelled(as_of: datetime) -> Column:
    """Whether the label is null and will stay so: never known, or known already, and null."""
    known = F.col("label_known_at")
    return F.col("label").isNull() & (known.isNull() | (known <= moment(as_of)))


def by_hash(split: Split, columns: tuple[str, ...], lacking: Column) -> Column:
    """See `split_column`; a label that is not known yet is as good as none."""
    train, validation, _ = split.shares
    place = F.pmod(F.xxhash64(*columns), F.lit(PARTS)) / PARTS
    return (
        F.when(lacking, "score")
        .when(place < train, "train")
        .when(place < train + validation, "validation")
        .otherwise("test")
    )


def taught(split: Split) -> Column:
    """Whether a row would train, validate or test with a label that is known in time; later rows are only scored."""
    if split.by == "hash":
        return F.lit(True)
    assert split.test_until is not None, "checked when the file was read"
    return F.col("predict_at") < moment(split.test_until)


def only_scored(split: Split) -> Column:
    """Whether a row is scored for want of a label, though it would train, validate or test with one."""
    return (F.col("split") == "score") & taught(split)
