"""One metric of a fitted Spark ML model's output, by Spark's own evaluators: what a trial is judged by."""

from __future__ import annotations

from pyspark.ml.evaluation import (
    BinaryClassificationEvaluator,
    ClusteringEvaluator,
    Evaluator,
    MulticlassClassificationEvaluator,
    RegressionEvaluator,
)
from pyspark.sql import DataFrame

from headrace.metrics.survival import CONCORDANCE, evaluated


def evaluator(task: str, metric: str) -> Evaluator:
    """Spark's evaluator of a metric; areas are exact (`numBins=0`), ties included.

    Args:
        task: `binary`, `multiclass`, `regression` or `clustering`.
        metric: Spark ML's name.
    """
    if metric in ("areaUnderROC", "areaUnderPR"):
        made = BinaryClassificationEvaluator(rawPredictionCol="probability", numBins=0)
        return made.setMetricName(metric)  # type: ignore[arg-type]  # one of the two
    if task == "clustering":
        return ClusteringEvaluator(metricName=metric)  # type: ignore[arg-type]  # the only one that there is
    if task == "regression":
        return RegressionEvaluator(metricName=metric)  # type: ignore[arg-type]  # checked by config.metrics
    return MulticlassClassificationEvaluator(metricName=metric)  # type: ignore[arg-type]


def model_metric(output: DataFrame, task: str, metric: str) -> float:
    """The metric of `label`, `prediction`, `probability` (as Spark ML models give them), maybe `FLAG`. Runs Spark jobs."""
    if metric == CONCORDANCE:
        return evaluated(output)
    return float(evaluator(task, metric).evaluate(output))
