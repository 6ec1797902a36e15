"""What kind of task a label makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, IntegralType, NumericType, StringType

from headrace.config.learning import CENSORED, UNLABELLED
from headrace.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MOST_CLASSES = 100
MOST_INTEGER_CLASSES = 20


def task_of(spine: DataFrame, wanted: str | None) -> tuple[str, list[Any]]:
    """The task, and the label's values in ascending order (none for a regression). One Spark job.

    A boolean or two values make it binary, text or few whole numbers multiclass, other numbers a regression.

    Raises:
        DataError: If there is no label at all, or only one value.
        ConfigError: If the label cannot serve the task that is wanted.
    """
    if wanted in UNLABELLED:
        return str(wanted), []
    if wanted == "recommendation":
        return _recommendation(spine)
    found = spine.where("label is not null").select("label").distinct().limit(MOST_CLASSES + 1).collect()
    values = sorted(r["label"] for r in found)
    kind = spine.schema["label"].dataType
    if len(values) < 2:
        what = f"only the value {values[0]!r}" if values else "no value at all"
        raise DataError(
            f"the label has {what}: nothing can be learned. Mend training_set.label, or bring rows of other classes"
        )
    if wanted == "regression":
        if isinstance(kind, StringType | BooleanType):
            raise ConfigError(
                f"task regression needs a number as label, this one is {kind.simpleString()}; cast it in training_set.label"
            )
        return "regression", []
    few = len(values) <= (MOST_CLASSES if isinstance(kind, StringType) or wanted else MOST_INTEGER_CLASSES)
    classes = isinstance(kind, BooleanType | StringType | IntegralType) or len(values) == 2
    if wanted == "binary" and len(values) != 2:
        raise ConfigError(
            f"task binary needs two label values, there are {len(values)}{'+' if len(values) > MOST_CLASSES else ''}: {values[:5]} ..."
        )
    if wanted in ("binary", "multiclass"):
        if not few:
            raise ConfigError(
                f"the label has more than {MOST_CLASSES} values; a regression, or a coarser label, may be meant"
            )
        return wanted, values
    if len(values) == 2:
        return "binary", values
    if classes and few:
        return "multiclass", values
    if isinstance(kind, StringType):
        raise ConfigError(
            f"the label is text with more than {MOST_CLASSES} values; choose a coarser training_set.label"
        )
    return "regression", []


def _recommendation(spine: DataFrame) -> tuple[str, list[Any]]:
    kind = spine.schema["label"].dataType
    if not isinstance(kind, NumericType):
        raise ConfigError(
            f"task recommendation needs a number as rating or implicit weight, this one is {kind.simpleString()}; "
            "cast it in training_set.rating or training_set.implicit"
        )
    return "recommendation", []


def label_counts(spine: DataFrame, needed: bool = True) -> DataFrame:
    """Rows per split: how many can teach (have a label, if one is `needed`), and how many are `only_scored` without one.

    Where labels may be censored, also how many had their `events`.
    """
    happened = F.col("label").isNotNull() & ~F.col(CENSORED) if CENSORED in spine.columns else None
    return spine.groupBy("split").agg(
        F.count("*").alias("rows"),
        F.count("label" if needed else "*").alias("labelled"),
        F.count_if("only_scored").alias("only_scored"),
        *([] if happened is None else [F.count_if(happened).alias("events")]),
    )


def refuse_empty(parts: dict[str, Any]) -> None:
    """Refuse a split without labelled rows in a part that needs them.

    Raises:
        DataError: With the rows per part.
    """
    empty = [s for s in ("train", "validation", "test") if s not in parts or not parts[s]["labelled"]]
    if empty:
        raise DataError(
            f"no labelled row in {', '.join(empty)}; rows per part: "
            f"{ {s: int(r['rows']) for s, r in parts.items()} }. Mend training_set.split, or bring more data"
        )


def refuse_no_events(parts: dict[str, Any], folds: bool) -> None:
    """Refuse a part whose labels are all censored: nothing is learned from it, and no order can be told in it.

    Args:
        parts: Of `label_counts`; none is empty.
        folds: Whether train and validation are one part, cut into folds later.

    Raises:
        DataError: With the events per part.
    """
    wanted = (("train", "validation"), ("test",)) if folds else (("train",), ("validation",), ("test",))
    without = [" and ".join(names) for names in wanted if not any(parts[name]["events"] for name in names)]
    if without:
        seen = {name: f"{parts[name]['events']:,} of {parts[name]['labelled']:,}" for names in wanted for name in names}
        raise DataError(
            f"every row with a label is censored in {', '.join(without)}, so that no time of an event is known there; "
            f"events per part: {seen}. Mend training_set.split, by time with other ends, or bring more data"
        )


def refuse_no_times(spine: DataFrame) -> None:
    """Refuse labels that are no time until an event, and rows that do not say whether it happened. One Spark job.

    Raises:
        DataError: With the number of such rows.
    """
    label = F.col("label").cast("double")
    known = label.isNotNull()
    found: Any = spine.agg(
        F.count_if(known).alias("all"),
        F.count_if(known & ((label <= 0) | (label == float("inf")))).alias("wrong"),
        F.min("label").alias("least"),
        F.count_if(known & F.col(CENSORED).isNull()).alias("unsaid"),
        F.count_if(known & ~F.col(CENSORED)).alias("events"),
    ).first()
    if found["wrong"]:
        raise DataError(
            f"{found['wrong']:,} of {found['all']:,} labels are no time until an event, which is above 0 and finite (the least "
            f"is {found['least']:g}); mend training_set.label: `greatest(days, 0.5)` keeps these rows, `case when days > 0 "
            "then days end` has them only scored"
        )
    if found["unsaid"]:
        raise DataError(
            f"training_set.censored is null of {found['unsaid']:,} of {found['all']:,} rows with a label; say what that "
            "means, as coalesce(..., true)"
        )
    if not found["events"]:
        raise DataError(
            f"all {found['all']:,} rows with a label are censored, so that no time of an event is known; look at "
            "training_set.censored, which is true where the event had NOT happened"
        )
