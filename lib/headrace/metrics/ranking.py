"""Area under the ROC and the precision-recall curve: exact, with ties, and distributed."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

BINS = 1024


def ranking_metrics(judged: DataFrame, by: Sequence[str] = ("slice_column", "slice_value")) -> DataFrame:
    """Areas under both curves per group, as Spark's BinaryClassificationEvaluator gives with `numBins=0`.

    Rows are counted per distinct score; running counts are taken within score bins and the bins' totals added,
    so that no task sorts all scores.

    Args:
        judged: `by`, `y` (1.0 positive, 0.0 negative; other rows are left out), `score` (double).
        by: The groups.

    Returns:
        `by`, `areaUnderROC`, `areaUnderPR` (double; null where a group has one class only).
    """
    groups = list(by)
    inside = F.floor(F.greatest(F.lit(0.0), F.least(F.col("score"), F.lit(1.0))) * BINS)
    counts = (
        judged.where(F.col("y").isin(0.0, 1.0))
        .groupBy(*groups, inside.alias("bin"), "score")
        .agg(F.sum("y").alias("pos"), F.sum(1.0 - F.col("y")).alias("neg"))
    )
    upwards = Window.partitionBy(*groups).orderBy(F.desc("bin")).rowsBetween(Window.unboundedPreceding, -1)
    offsets = (
        counts.groupBy(*groups, "bin")
        .agg(F.sum("pos").alias("bin_pos"), F.sum("neg").alias("bin_neg"))
        .select(
            *groups,
            "bin",
            F.coalesce(F.sum("bin_pos").over(upwards), F.lit(0.0)).alias("above_pos"),
            F.coalesce(F.sum("bin_neg").over(upwards), F.lit(0.0)).alias("above_neg"),
        )
    )
    running = Window.partitionBy(*groups, "bin").orderBy(F.desc("score")).rowsBetween(Window.unboundedPreceding, -1)
    return _areas(
        counts.withColumn("tp0", F.coalesce(F.sum("pos").over(running), F.lit(0.0)))
        .withColumn("fp0", F.coalesce(F.sum("neg").over(running), F.lit(0.0)))
        .join(offsets, [*groups, "bin"])
        .withColumn("tp0", F.col("tp0") + F.col("above_pos"))
        .withColumn("fp0", F.col("fp0") + F.col("above_neg")),
        groups,
    )


def _areas(steps: DataFrame, groups: list[str]) -> DataFrame:
    """Trapezoids under both curves; a step goes from (tp0, fp0) to (tp0 + pos, fp0 + neg)."""
    pos, neg, tp0, fp0 = (F.col(name) for name in ("pos", "neg", "tp0", "fp0"))
    precision = (tp0 + pos) / (tp0 + pos + fp0 + neg)
    before = F.when(tp0 + fp0 > 0, tp0 / F.nullif(tp0 + fp0, F.lit(0.0))).otherwise(precision)
    totals = F.nullif(F.sum(pos), F.lit(0.0)), F.nullif(F.sum(neg), F.lit(0.0))
    return steps.groupBy(*groups).agg(
        (F.sum(neg * (tp0 + pos / 2)) / totals[0] / totals[1]).alias("areaUnderROC"),
        (F.sum(pos * (before + precision) / 2) / totals[0] * totals[1] / totals[1]).alias("areaUnderPR"),
    )
