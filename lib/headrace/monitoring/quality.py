"""Quality: what was predicted, held against what came true, for each model version, over all and by day.

Everything is aggregated in Spark; what is returned has a row per model version, day and metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from headrace.engine.time import moment
from headrace.metrics.frame import FLAG, OVERALL, unit_group
from headrace.metrics.measure import GROUPS
from headrace.metrics.survival import CONCORDANCE, measure_judged
from headrace.monitoring import rows
from headrace.monitoring.bins import quoted

Z = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""
TIES = 10_000
"""Probabilities are ranked in steps of one part in this many, which bounds what an area under the curve costs."""
IMPOSSIBLE = 1e-15
"""Probabilities below this count as this in the log loss, as in Spark's evaluator."""
_GROUP = ("model_version", "day")


def judged(
    predictions: DataFrame,
    spine: DataFrame,
    keys: Sequence[str],
    labels: Sequence[Any],
    as_of: datetime,
    label_delay: int,
    learned_until: datetime | None = None,
    censored: str | None = None,
) -> DataFrame:
    """Each prediction beside its label, as far as that is known.

    Args:
        predictions: With keys, `predict_at`, `prediction`, `model_version`, maybe `probability` and `revision`; only
            first revisions count.
        spine: With keys, `predict_at`, `label`, `label_known_at`, `split`. A label that stands beside no
            `label_known_at` (there is no time in the pipeline) is known.
        keys: Key columns of the spine.
        labels: The label's values for a class, the positive one last; empty for regression.
        as_of: The logical now, UTC; labels known later do not exist.
        label_delay: Microseconds; rows younger than this are not judged yet: labels that come early are not like the
            others (a late flight's delay is known late).
        learned_until: Where the periods end that were trained and tested on; rows scored in them for want of a label
            are left out. None: the split is not by time.
        censored: The column of the spine that says which labels are only lower bounds, where some may be.

    Returns:
        One row per prediction: `model_version string`, `day date` and `predict_at timestamp` (UTC), `next_due
        timestamp` (when the label is to be counted that is not counted yet; null: never, or it is counted), and, null
        while the label is unknown, `label double` (1 for the last class, else 0; the number itself for regression),
        `prediction double` (for classes: 1 when right, else 0), `probability double` of the last class, and `p_true
        double`, the probability given to what came true. With `censored` also `FLAG boolean`, `unit int`, a random
        group by the keys, and `unsaid boolean`: the label is there and counts as unknown, for the flag is null.
    """
    columns = [F.col(name).alias(f"_{name}") for name in ("label", "label_known_at", "split")]
    columns += [F.col(censored).alias(FLAG)] if censored else []
    joined = rows.matching(
        rows.acted_on(predictions),
        spine.select(*map(quoted, keys), "predict_at", *columns),
        (*keys, "predict_at"),
        "left",
    )
    if learned_until is not None:
        before = (F.col("predict_at") < moment(learned_until)) & (F.col("_split") == "score")
        joined = joined.where(~F.coalesce(before, F.lit(False)))
    hidden = F.col("_label_known_at") > moment(as_of)
    old_enough = F.timestamp_micros(F.unix_micros("predict_at") + label_delay)
    due = F.when(F.col("_label").isNotNull() | hidden, F.greatest("_label_known_at", old_enough))
    waiting = due > moment(as_of)
    truth = F.when(~F.coalesce(waiting, F.lit(False)), F.col("_label"))
    told: list[Column] = []
    if censored:
        unsaid = truth.isNotNull() & F.col(FLAG).isNull()
        truth = F.when(~unsaid, truth)
        told = [F.col(FLAG), unit_group((*keys, "predict_at"), GROUPS).alias("unit"), unsaid.alias("unsaid")]
    label, prediction = truth, F.col("prediction")
    if labels:
        kind = spine.schema["label"].dataType
        label, prediction = _same(truth, F.lit(labels[-1]), kind), _same(truth, prediction, kind)
    probability, p_true = _probabilities(predictions, truth, label)
    doubles = {"label": label, "prediction": prediction, "probability": probability, "p_true": p_true}
    return joined.select(
        F.col("model_version").cast("string").alias("model_version"),
        F.to_date("predict_at").alias("day"),
        "predict_at",
        F.when(waiting, due).alias("next_due"),
        *[F.when(truth.isNotNull(), value.cast("double")).alias(name) for name, value in doubles.items()],
        *told,
    )


def metrics_of(frame: DataFrame, task: str) -> DataFrame:
    """Metrics with 95 % intervals, per model version over all rows, and by day for rows that have one.

    Intervals: areaUnderROC by DeLong, DeLong and Clarke-Pearson (Biometrics 44(3), 1988); accuracy by Wilson (Journal
    of the American Statistical Association 22, 1927); means by the normal approximation, rmse as the root of the
    mean squared error's; concordance by bootstrap, as on the test part, for the largest thousand of all versions and days.

    Args:
        frame: From `judged`.
        task: `binary`: areaUnderROC, accuracy, logLoss; `multiclass`: accuracy, logLoss; `regression`: rmse, mae;
            `survival`: concordance.

    Returns:
        `model_version string`, `day date` (null: all rows), `window_start`, `window_end`, `next_due timestamp` (the
        first), `rows`, `labelled_rows long`, `metric string`, `value`, `lower`, `upper double` (null
        where too few rows decide); of `survival` also `unsaid long`.
    """
    error = F.col("label") - F.col("prediction")
    given = F.col("p_true")
    surprise = -F.log(F.when(given < IMPOSSIBLE, IMPOSSIBLE).otherwise(given))
    observed = {"accuracy": F.col("prediction"), "logLoss": surprise}
    told: list[Column] = []
    if task == "regression":
        observed = {"rmse": error * error, "mae": F.abs(error)}
    elif task == "survival":
        observed, told = {}, [F.count_if("unsaid").alias("unsaid")]
    facts = frame.rollup(*_GROUP).agg(
        F.grouping_id().alias("_level"),
        F.min("predict_at").alias("window_start"),
        F.max("predict_at").alias("window_end"),
        F.min("next_due").alias("next_due"),
        F.count("*").alias("rows"),
        F.count("label").alias("labelled_rows"),
        *told,
        *[F.struct(F.avg(x).alias("m"), F.stddev_samp(x).alias("s"), F.count(x).alias("n")).alias(f"_{name}")
          for name, x in observed.items()],
    )  # fmt: skip
    # without the grand total over all model versions, and without a day of rows that have none
    facts = facts.where("_level = 1 or (_level = 0 and day is not null)")
    measured = {name: _interval(name) for name in observed}
    if task == "binary":
        facts = rows.matching(facts, _area(frame), _GROUP, "left")
        measured = {"areaUnderROC": F.col("_areaUnderROC"), **measured}
    elif task == "survival":
        facts = rows.matching(facts, _in_order(frame), _GROUP, "left")
        measured = {CONCORDANCE: F.col(f"_{CONCORDANCE}")}
    metrics = [F.struct(F.lit(name).alias("metric"), m.alias("_")) for name, m in measured.items()]
    shared = (*_GROUP, "window_start", "window_end", "next_due", "rows", "labelled_rows", *["unsaid" for _ in told])
    return facts.select(*shared, F.explode(F.array(*metrics)).alias("_m")).select(*shared, "_m.metric", "_m._.*")


def _same(truth: Column, other: Column, kind: T.DataType) -> Column:
    as_type = "double" if isinstance(kind, T.NumericType) else "string"
    return truth.cast(as_type) == other.cast(as_type)


def _probabilities(predictions: DataFrame, truth: Column, positive: Column) -> tuple[Column, Column]:
    """Of the last class, and of the class that came true (columns, null where `predictions` has none)."""
    nothing = F.lit(None).cast("double")
    kind = predictions.schema["probability"].dataType if "probability" in predictions.columns else None
    if isinstance(kind, T.MapType):
        return nothing, F.coalesce(F.try_element_at("probability", truth.cast("string")), F.lit(0.0))
    if not isinstance(kind, T.NumericType):
        return nothing, nothing
    given = F.col("probability").cast("double")
    return given, F.when(positive.cast("int") == 1, given).otherwise(1 - given)


def _bounds(value: Column, lower: Column, upper: Column) -> Column:
    return F.struct(
        value.cast("double").alias("value"), lower.cast("double").alias("lower"), upper.cast("double").alias("upper")
    )


def _interval(name: str) -> Column:
    mean, n = F.col(f"_{name}.m"), F.col(f"_{name}.n")
    if name == "accuracy":
        counted = F.when(n > 0, n)
        middle = (mean + Z * Z / (2 * counted)) / (1 + Z * Z / counted)
        half = Z / (1 + Z * Z / counted) * F.sqrt(mean * (1 - mean) / counted + Z * Z / (4 * counted * counted))
        return _bounds(mean, middle - half, middle + half)
    half = Z * F.col(f"_{name}.s") / F.sqrt(F.when(n > 1, n))
    low = F.when(half.isNotNull(), F.greatest(mean - half, F.lit(0.0)))  # these losses are never negative
    if name == "rmse":
        return _bounds(F.sqrt(mean), F.sqrt(low), F.sqrt(mean + half))
    return _bounds(mean, low, mean + half)


def _in_order(frame: DataFrame) -> DataFrame:
    """The concordance with its interval, per model version and day. Runs Spark jobs; a thousand rows at most."""
    judged = frame.where("label is not null").select(
        F.col("model_version").alias("slice_column"),
        F.explode(F.array(F.lit(OVERALL), F.col("day").cast("string"))).alias("slice_value"),
        "unit",
        F.col("label").alias("y"),
        F.col("prediction").alias("yhat"),
        F.col(FLAG).alias("censored"),
    )
    found = measure_judged(judged.where("slice_value is not null"), min_rows=0, seed=0)
    told = [(one.slice_column, one.slice_value or None, one.value, one.lower, one.upper) for one in found]
    schema = "model_version string, day string, value double, lower double, upper double"
    table = frame.sparkSession.createDataFrame(told, schema)
    bounds = _bounds(*[F.col(name) for name in ("value", "lower", "upper")])
    return table.select("model_version", F.col("day").cast("date").alias("day"), bounds.alias(f"_{CONCORDANCE}"))


def _area(frame: DataFrame) -> DataFrame:
    """Area under the ROC curve with its interval, per group of the rollup; ties count half."""
    p = F.greatest(F.lit(1e-9), F.least(F.lit(1 - 1e-9), F.col("probability")))
    step = F.round(F.log(p / (1 - p)) * (TIES / 4))  # as fine in the middle, finer at both ends
    positive, negative = F.sum("label").alias("p"), F.sum(1 - F.col("label")).alias("n")
    labelled = frame.where("label is not null and probability is not null and not isnan(probability)")
    by_day = labelled.groupBy(*_GROUP, step.alias("step")).agg(positive, negative)
    whole = by_day.groupBy("model_version", "step").agg(F.sum("p").alias("p"), F.sum("n").alias("n"))
    counts = by_day.where("day is not null").unionByName(whole.withColumn("day", F.lit(None).cast("date")))
    group = Window.partitionBy(*_GROUP)
    below = group.orderBy("step").rowsBetween(Window.unboundedPreceding, Window.currentRow)
    ranked = (
        counts.withColumn("all_p", F.sum("p").over(group))
        .withColumn("all_n", F.sum("n").over(group))
        .where("all_p > 0 and all_n > 0")
        .withColumn("beaten", (F.sum("n").over(below) - F.col("n") / 2) / F.col("all_n"))
        .withColumn("beating", 1 - (F.sum("p").over(below) - F.col("p") / 2) / F.col("all_p"))
    )
    sums = ranked.groupBy(*_GROUP).agg(
        F.first("all_p").alias("all_p"),
        F.first("all_n").alias("all_n"),
        (F.sum(F.col("p") * F.col("beaten")) / F.first("all_p")).alias("a"),
        F.sum(F.col("p") * F.col("beaten") * F.col("beaten")).alias("pp"),
        F.sum(F.col("n") * F.col("beating") * F.col("beating")).alias("nn"),
    )
    area, p, n = F.col("a"), F.col("all_p"), F.col("all_n")
    of_positives = (F.col("pp") - p * area * area) / F.when(p > 1, p - 1) / p
    of_negatives = (F.col("nn") - n * area * area) / F.when(n > 1, n - 1) / n
    half = Z * F.sqrt(F.greatest(of_positives + of_negatives, F.lit(0.0)))
    low = F.when(half.isNotNull(), F.greatest(area - half, F.lit(0.0)))
    high = F.when(half.isNotNull(), F.least(area + half, F.lit(1.0)))
    return sums.select(*_GROUP, _bounds(area, low, high).alias("_areaUnderROC"))
