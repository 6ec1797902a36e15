"""What the configuration of preparation, balance and segments asks of the task, and of the rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pyspark.sql import DataFrame

from headrace.config.checks import preparing
from headrace.config.file.complaints import meant
from headrace.config.folds import FOLD
from headrace.config.learning import Search, TrainingSet
from headrace.errors import ConfigError
from headrace.metrics.frame import FLAG
from headrace.search.balance import SAMPLES
from headrace.search.recipe import Kind
from headrace.search.tallies import ROW, with_rows

BESIDE = ("label", FLAG, ROW)
"""What rows to learn from have beside their features: the first always."""
UNSEEN = (FLAG, ROW)
"""Those of them that the user's stages do not see."""
BY_LABEL = ("binary", "regression")
"""Tasks whose label has one mean, by which many values of a category are told apart."""
SEGMENT_TYPES = ("string", "boolean", "tinyint", "smallint", "int", "bigint")


def check_task(search: Search, task: str) -> None:
    """Refuse what needs a label, or classes, that the task does not have: it may be known now only.

    Raises:
        ConfigError: With what is allowed.
    """
    for where, message in preparing.check(search, task):
        raise ConfigError(f"{where}: {message}")


def check_segments(search: Search, types: Mapping[str, str]) -> None:
    """Refuse a column of segments that is no feature, or of which two rows seldom have the same.

    Args:
        search: The configuration.
        types: Of the features.

    Raises:
        ConfigError: With what is allowed.
    """
    by = search.segments.by if search.segments else None
    able = [name for name, kind in types.items() if kind in SEGMENT_TYPES]
    if by is None or by in able:
        return
    came = f"{by!r} is {types[by]}" if by in types else f"no feature is called {by!r}"
    raise ConfigError(
        f"search.segments.by: {came}; write a feature of text, whole numbers, or true and false: "
        f"{', '.join(able) or 'there is none'}{meant(by, able)}"
    )


def by_label(search: Search, task: str, kinds: Collection[Kind], types: Mapping[str, str]) -> bool:
    """Whether the label's mean tells many values of a category apart, where nothing else is said.

    Not after transformers of the user's: a row's hash would have to go through them, and they may know their columns only.

    Args:
        search: The configuration.
        task: What is learned.
        kinds: Of the estimators that are searched.
        types: Of the features.
    """
    conf = search.preparation
    auto = any(encode == "auto" for _, encode in preparing.encodings(search))
    text = "string" in types.values() or any(one.role == "category" for one in conf.columns.values())
    return task in BY_LABEL and auto and text and not search.transformers and not {"tree", "native"}.isdisjoint(kinds)


def rows_named(
    frame: DataFrame, search: Search, training: TrainingSet | None, key: Sequence[str], by_mean: bool = False
) -> DataFrame:
    """The rows of a training set, each with a hash of what it is of, where preparation or balance need one.

    It is of the columns that the split keeps together, else of key and time; where there is neither, of all features.

    Args:
        frame: The rows.
        search: The configuration.
        training: The configuration.
        key: Of the rows.
        by_mean: Whether categories may become the label's mean though nobody says so; see `by_label`.
    """
    encoded = by_mean or any(encode in ("target", "woe") for _, encode in preparing.encodings(search))
    if not encoded and not any(how in SAMPLES for how in search.balance):
        return frame
    group = training.split.group if training else ()
    names = [*(group or (*key, "predict_at"))]
    if not (key or group) or any(name not in frame.columns for name in names):
        made = training.made_of_label if training else ("label",)
        names = [name for name in frame.columns if name not in (*made, "split", FOLD, "label_known_at")]
    return with_rows(frame, names)


def beside(frame: DataFrame) -> list[str]:
    """Columns of rows that go with them and are no features."""
    return [name for name in BESIDE if name in frame.columns]


def with_beside(kept: Sequence[str], frame: DataFrame) -> list[str]:
    """Columns to be kept of prepared rows, and those that go with them."""
    return list(dict.fromkeys([*kept, *beside(frame)]))
