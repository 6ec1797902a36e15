"""Labels that may be censored: what learns from them, and what would take a lower bound for a label."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.config.learning import TrainingSet
from headrace.config.types import Pipeline

Found = tuple[str, str]

LOWER = "a censored label is only a lower bound"


def check(pipeline: Pipeline, training: TrainingSet) -> Iterator[Found]:
    """What does not go with `training_set.censored`."""
    where, search = "training_set.censored", pipeline.search
    if training.kind != "regression":
        yield where, f"`censored` belongs to task: regression (of a time until an event); this is task: {training.kind}"
        return
    if training.future:
        told = "`censored` goes with a label that is SQL over the row, and this one is counted over later events"
        yield where, f"{told}; count both in a table of their own, whose rows are predicted"
    if search.ensemble:
        yield "search.ensemble", f"{LOWER}, and predictions are put together by labels; leave it out"
    if search.segments:
        yield (
            "search.segments",
            f"{LOWER}, and segments are judged by labels; leave it out, the column is a feature too",
        )
    for number, one in enumerate(search.estimators if "estimators" in search.model_fields_set else ()):
        if one.class_:
            told = f"{LOWER}, and an estimator of your own takes it for the label; write survival_regression"
            yield f"search.estimators[{number}]", told
    for name in pipeline.metrics:
        told = "a metric in Python is of labels and predictions, and cannot see what is censored; use concordance"
        yield f"metrics.{name}", told
