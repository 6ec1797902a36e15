"""What to think of measured quality: held against the test part, with alarms, and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config.metrics import larger_is_better
from headrace.monitoring.versions import Tested

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
    "granularity": "all: every row the version scored; day: of these, the rows of one day of predict_at, UTC",
    "window_start": "first predict_at, UTC; null where rows have none",
    "window_end": "last predict_at, UTC",
    "value": "null while too few labels are known",
    "lower": "of the 95 % interval",
    "upper": "of the 95 % interval",
    "rows": "rows scored",
    "labelled_rows": "of these, rows whose label is known and counted",
    "baseline_value": "the same metric of the same version on its own test part",
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


def measured(metrics: DataFrame) -> list[dict[str, Any]]:
    """The rows of `quality.metrics_of` (a row per model version, day and metric); runs Spark."""
    names = ("window_start", "window_end", "next_due")
    times = [F.unix_micros(name).alias(name) for name in names]
    rows = metrics.select(
        *[c for c in metrics.columns if c not in names], *times
    ).collect()  # a row per version, day and metric
    found = [{**(r := row.asDict()), **{k: moment(r[k]) for k in names}} for row in rows]
    return sorted(found, key=lambda r: (r["model_version"], r["day"] is not None, r["window_start"] or _EPOCH))


def next_due(rows: Sequence[Mapping[str, Any]]) -> datetime | None:
    """When the next label is to be counted, of rows from `measured`; None: no more is known to come."""
    return min((r["next_due"] for r in rows if r["next_due"] is not None), default=None)


def unsaid(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """How many labels, of rows from `measured`, count as unknown: they do not say whether they are censored."""
    found = sum({r["model_version"]: r.get("unsaid") or 0 for r in rows if r["day"] is None}.values())
    if not found:
        return ()
    said = f"{found:,} of the labels count as unknown, for training_set.censored is null of them"
    return (f"quality: {said}; say what that means, as coalesce(..., true)",)


def newest(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The model version that predicted last, of rows over whole versions; without times, the highest number."""
    if not rows:
        return None
    return str(max(rows, key=lambda r: (r["window_end"] or _EPOCH, _number(r["model_version"])))["model_version"])


def _number(version: str | None) -> int:
    return int(version) if version and version.isdigit() else 0


def records(
    rows: Sequence[Mapping[str, Any]], tested: Mapping[str, Tested], model_name: str, run_id: str, now: datetime
) -> list[dict[str, Any]]:
    """Rows of `quality_metrics`.

    Args:
        rows: From `measured`.
        tested: What each model version is held against: itself on its own test part.
        model_name: Registered model.
        run_id: The run.
        now: UTC.
    """
    days = Counter((r["model_version"], r["metric"]) for r in rows if r["day"] and r["labelled_rows"] >= MIN_ROWS)
    found = []
    for r in rows:
        against = tested.get(r["model_version"], Tested()).metrics.get(r["metric"])
        found.append(
            {
                "model_name": model_name,
                **{k: v for k, v in r.items() if k not in ("day", "next_due")},
                "granularity": "day" if r["day"] else "all",
                "baseline_value": against,
                "alarm": worse(r, against, days[r["model_version"], r["metric"]] if r["day"] else 1),
                "run_id": run_id,
                "computed_at": now,
            }
        )
    return found


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
    wider = NormalDist().inv_cdf(1 - 0.025 / tests) / NormalDist().inv_cdf(0.975)
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
    version = newest(judged)
    judged = [r for r in judged if r["model_version"] == version]
    r = next((r for r in judged if r["metric"] == metric), judged[0])
    bounds = f" [{r['lower']:.3f}, {r['upper']:.3f}]" if r["lower"] is not None else ""
    against = f", against {r['baseline_value']:.3f} in the test part" if r["baseline_value"] is not None else ""
    window = f" from {r['window_start']:%Y-%m-%d} to {r['window_end']:%Y-%m-%d}" if r["window_start"] else ""
    size = f"{r['labelled_rows']:,} of {r['rows']:,} rows judged, version {version}"
    alarm = ": ALARM" if r["alarm"] else ""
    return f"quality: {r['metric']} {r['value']:.3f}{bounds}{window} ({size}){against}{alarm}"
