"""What to think of measured quality: held against the test part, with alarms, and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from scipy import stats

from headrace.config.metrics import larger_is_better

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCHEMA = (
    "model_name string, model_version string, metric string, granularity string, window_start timestamp, "
    "window_end timestamp, value double, lower double, upper double, rows long, labelled_rows long, "
    "baseline_value double, alarm boolean, run_id string, computed_at timestamp"
)
COMMENTS = {
    "model_name": "registered model",
    "model_version": "the version that predicted",
    "metric": "named as by Spark ML's evaluators",
    "granularity": "all: every row scored; day: the rows of one day of predict_at, UTC",
    "window_start": "first predict_at, UTC",
    "window_end": "last predict_at, UTC",
    "value": "null while too few labels are known",
    "lower": "of the 95 % interval",
    "upper": "of the 95 % interval",
    "rows": "rows scored",
    "labelled_rows": "of these, rows whose label is known and counted",
    "baseline_value": "the same metric on the test part",
    "alarm": "worse than on the test part by more than chance; days are corrected for their number (Bonferroni)",
    "run_id": "the run that computed this",
    "computed_at": "when, UTC",
}
MIN_ROWS = 30
"""Labelled rows below which no interval is trusted enough to raise an alarm."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(micros: int | None) -> datetime | None:
    """A point in time from microseconds since 1970, UTC."""
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


def baseline(evaluation: DataFrame) -> dict[str, float]:
    """Value of each metric on the test part, over all rows; runs Spark.

    Args:
        evaluation: With `metric` and `value`, and where it has them `split` (then `test` counts) and slices (then rows
            without a slice count).
    """
    names = evaluation.columns
    rows = evaluation.where("value is not null")
    rows = rows.where("split = 'test'") if "split" in names else rows
    for name in (n for n in names if n.startswith("slice")):
        rows = rows.where(F.coalesce(F.col(name).cast("string"), F.lit("")) == "")
    found = rows.groupBy("metric").agg(F.first("value").alias("value")).collect()  # a row per metric
    return {row["metric"]: float(row["value"]) for row in found}


def measured(metrics: DataFrame) -> list[dict[str, Any]]:
    """The rows of `quality.metrics_of` (a row per model version, day and metric); runs Spark."""
    times = [F.unix_micros(name).alias(name) for name in ("window_start", "window_end")]
    rows = metrics.select(*[c for c in metrics.columns if not c.startswith("window_")], *times).collect()
    found = [{**(r := row.asDict()), **{k: moment(r[k]) for k in ("window_start", "window_end")}} for row in rows]
    return sorted(found, key=lambda r: (r["model_version"], r["day"] is not None, r["window_start"]))


def records(
    rows: Sequence[Mapping[str, Any]], baseline: Mapping[str, float], model_name: str, run_id: str, now: datetime
) -> list[dict[str, Any]]:
    """Rows of `quality_metrics`.

    Args:
        rows: From `measured`.
        baseline: Value of each metric on the test part, as far as known.
        model_name: Registered model.
        run_id: The run.
        now: UTC.
    """
    days = Counter((r["model_version"], r["metric"]) for r in rows if r["day"] and r["labelled_rows"] >= MIN_ROWS)
    return [
        {
            "model_name": model_name,
            **{k: v for k, v in r.items() if k != "day"},
            "granularity": "day" if r["day"] else "all",
            "baseline_value": baseline.get(r["metric"]),
            "alarm": worse(r, baseline.get(r["metric"]), days[r["model_version"], r["metric"]] if r["day"] else 1),
            "run_id": run_id,
            "computed_at": now,
        }
        for r in rows
    ]


def worse(row: Mapping[str, Any], baseline: float | None, tests: int = 1) -> bool:
    """Whether the baseline's value lies outside the interval, on the side that means worse.

    Args:
        row: `metric, value, lower, upper, labelled_rows`.
        baseline: The value to hold against, or None.
        tests: How many such rows are judged together: the interval is widened so that all of them together raise a
            false alarm no more often than one would.
    """
    if baseline is None or row["lower"] is None or row["upper"] is None or row["labelled_rows"] < MIN_ROWS:
        return False
    wider = float(stats.norm.ppf(1 - 0.025 / tests) / stats.norm.ppf(0.975))
    if not larger_is_better(row["metric"]):
        return bool(row["value"] - wider * (row["value"] - row["lower"]) > baseline)
    return bool(row["value"] + wider * (row["upper"] - row["value"]) < baseline)


def sentence(rows: Sequence[Mapping[str, Any]], metric: str | None) -> str:
    """One line for people, on the newest model version that has labels.

    Args:
        rows: From `records`.
        metric: The pipeline's own metric; the first measured where it was not.
    """
    whole = [r for r in rows if r["granularity"] == "all"]
    if not whole:
        return "quality: nothing scored yet"
    judged = [r for r in whole if r["value"] is not None]
    if not judged:
        scored = sum({r["model_version"]: r["rows"] for r in whole}.values())
        return f"quality: no label known yet for {scored:,} scored rows"
    newest = max(judged, key=lambda r: r["window_end"])["model_version"]
    judged = [r for r in judged if r["model_version"] == newest]
    r = next((r for r in judged if r["metric"] == metric), judged[0])
    bounds = f" [{r['lower']:.3f}, {r['upper']:.3f}]" if r["lower"] is not None else ""
    against = f", against {r['baseline_value']:.3f} in the test part" if r["baseline_value"] is not None else ""
    window = f"from {r['window_start']:%Y-%m-%d} to {r['window_end']:%Y-%m-%d}"
    size = f"{r['labelled_rows']:,} of {r['rows']:,} rows judged, version {newest}"
    alarm = ": ALARM" if r["alarm"] else ""
    return f"quality: {r['metric']} {r['value']:.3f}{bounds} {window} ({size}){against}{alarm}"
