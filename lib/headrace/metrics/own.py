"""Metrics in Python: a user's function from a DataFrame of `label, prediction, probability` to one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.config.hooks import Use, use
from headrace.errors import DataError
from headrace.metrics.measure import Measure
from headrace.runtime.hooks import load, naming

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from headrace.config.types import Pipeline


@dataclass(frozen=True)
class OwnMetric:
    """A metric of the user's.

    Attributes:
        name: As in the YAML.
        larger_is_better: As declared there.
        of: From rows with a label to the number. `label` and `prediction` are the label's own values, `probability`
            as in the table of predictions; runs whatever Spark jobs the user's function runs.
    """

    name: str
    larger_is_better: bool
    of: Callable[[DataFrame], float]


def own_metric(spark: SparkSession, pipeline: Pipeline, name: str | None) -> OwnMetric | None:
    """The user's metric of this name; None where it is none of the user's."""
    if name not in pipeline.metrics:
        return None
    one = use(pipeline, f"metrics.{name}.python")
    function = load(spark, pipeline, one)
    return OwnMetric(
        str(name), pipeline.metrics[str(name)].larger_is_better, lambda frame: _value(one, function, frame)
    )


def own_metrics(spark: SparkSession, pipeline: Pipeline) -> dict[str, OwnMetric]:
    """All metrics of the user's, by name."""
    found = {name: own_metric(spark, pipeline, name) for name in pipeline.metrics}
    return {name: metric for name, metric in found.items() if metric}


def _value(one: Use, function: Callable[[Any], Any], frame: DataFrame) -> float:
    rows = frame.where("label is not null").select("label", "prediction", "probability")
    with naming(one):
        value = function(rows)
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise DataError(
            f"{one.where}: the hook {one.hook} returned {'nothing' if value is None else type(value).__name__}; wanted "
            "is a number (of a DataFrame, the value of its one row: frame.agg(...).first()[0])"
        )
    return float(value)


def measures_of(metrics: Mapping[str, OwnMetric], frame: DataFrame, rows: int) -> list[Measure]:
    """The user's metrics of all rows, as the table `evaluation` has them: a value, and no interval.

    Args:
        metrics: By name.
        frame: `label`, `prediction`, `probability`.
        rows: How many have a label.
    """
    found = []
    for name, metric in metrics.items():
        value = metric.of(frame)
        finite = value == value and abs(value) != float("inf")
        found.append(Measure(name, None, None, value if finite else None, None, None, rows))
    return found
