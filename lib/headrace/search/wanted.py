"""What the configuration of preparation and balance asks of the task, and of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pyspark.sql import DataFrame

from headrace.config.learning import UNLABELLED, Search, TrainingSet
from headrace.errors import ConfigError
from headrace.search.balance import SAMPLES
from headrace.search.tallies import ROW, with_rows

CLASSES = ("binary", "multiclass")


def check_task(search: Search, task: str) -> None:
    """Refuse what needs a label, or classes, that the task does not have.

    Raises:
        ConfigError: With what is allowed.
    """
    balance = [how for how in search.balance if how != "none"]
    if balance and task not in CLASSES:
        raise ConfigError(f"search.balance: {balance[0]} is for classes, and the task is {task}; leave it out")
    for where, encode in _encodings(search):
        if encode in ("target", "woe") and task in UNLABELLED:
            raise ConfigError(f"{where}: {encode} needs a label, and the task {task} has none; write encode: frequency")
        if encode == "woe" and task == "regression":
            raise ConfigError(f"{where}: woe (weight of evidence) is for classes, and the task is {task}; write target")
    if any(search.preparation.select.top) and task in UNLABELLED:
        raise ConfigError(
            f"search.preparation.select.top: the task {task} has no label to choose by; write variance or correlation"
        )


def _encodings(search: Search) -> Iterator[tuple[str, Any]]:
    conf = search.preparation
    for encode in conf.categories.encode:
        yield "search.preparation.categories.encode", encode
    for name, one in conf.columns.items():
        for encode in one.encode or ():
            yield f"search.preparation.columns.{name}.encode", encode


def rows_named(frame: DataFrame, search: Search, training: TrainingSet | None, key: Sequence[str]) -> DataFrame:
    """The rows of a training set, each with a hash of what it is of, where preparation or balance need one.

    It is of the columns that the split keeps together, else of key and time; where there is neither, of all but the label.
    """
    encoded = any(encode in ("target", "woe") for _, encode in _encodings(search))
    if not encoded and not any(how in SAMPLES for how in search.balance):
        return frame
    group = training.split.group if training else ()
    names = [*(group or (*key, "predict_at"))]
    if not (key or group) or any(name not in frame.columns for name in names):
        names = [name for name in frame.columns if name not in ("label", "split", "label_known_at")]
    return with_rows(frame, names)


def row_column(frame: DataFrame) -> list[str]:
    """`ROW`, where the rows have it."""
    return [ROW] if ROW in frame.columns else []
