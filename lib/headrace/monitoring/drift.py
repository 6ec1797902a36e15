"""Drift: how far scored rows lie from the rows that the model was trained on, one row per feature.

An alarm needs both: an effect above the alarm's bound, and an adjusted p-value below its alpha. At many rows every p is
tiny, and only the effect says anything; at few rows an effect comes by chance, and only the p-value tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.monitoring import bins as b
from headrace.monitoring import statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headrace.config.learning import Alarm

SAMPLE = 100_000
SCHEMA = (
    "feature string, kind string, psi double, js double, test string, statistic double, p_value double, "
    "p_adjusted double, effect double, baseline_rows long, current_rows long, baseline_null_share double, "
    "current_null_share double, baseline_mean double, current_mean double, alarm boolean, model_name string, "
    "run_id string, computed_at timestamp, window_start timestamp, window_end timestamp"
)
COMMENTS = {
    "feature": "column of training_set, or prediction:<column> for the model's own output",
    "kind": "numeric (bins at quantiles of the baseline) or categorical (its 50 most frequent values, and the others)",
    "psi": "population stability index over the bins, nulls and NaN in bins of their own",
    "js": "Jensen-Shannon distance over the same bins, base 2: 0 equal, 1 nothing in common",
    "test": "the test behind p_value",
    "statistic": "test statistic",
    "p_value": "of both samples coming from one distribution",
    "p_adjusted": "Benjamini-Hochberg over all features of the run",
    "effect": "psi less what two samples of these sizes show by chance: what alarms look at",
    "baseline_rows": "rows trained on (for predictions: rows of the test part)",
    "current_rows": "rows scored",
    "baseline_null_share": "share of nulls in the baseline",
    "current_null_share": "share of nulls in the rows scored",
    "baseline_mean": "mean of the finite values of the baseline",
    "current_mean": "mean of the finite values of the rows scored",
    "alarm": "effect above the alarm's bound, and p_adjusted below its alpha",
    "model_name": "registered model",
    "run_id": "the run that computed this",
    "computed_at": "when, UTC",
    "window_start": "first predict_at of the rows scored, UTC",
    "window_end": "last predict_at of the rows scored, UTC",
}


@dataclass(frozen=True)
class Drift:
    """What became of one column between baseline and current rows.

    Attributes:
        bins: How it was cut up.
        baseline: Histogram of the rows trained on.
        current: Histogram of the rows scored.
    """

    bins: b.Bins
    baseline: b.Histogram
    current: b.Histogram

    @property
    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows per bin, baseline and current."""
        return self.baseline.rows, self.current.rows


@dataclass(frozen=True)
class Stamp:
    """What all rows of a run have in common. Times in UTC."""

    model_name: str
    run_id: str
    computed_at: datetime
    window_start: datetime | None
    window_end: datetime | None


def measure(frame: DataFrame, columns: Sequence[str], baseline_rows: int = 0) -> list[Drift]:
    """Histograms of baseline and current rows; runs Spark, as often for one column as for a thousand.

    Args:
        frame: From `sides` or `prediction_sides`.
        columns: Columns to compare; those that are neither numbers nor categories are left out.
        baseline_rows: About how many rows the baseline has. Of more than `SAMPLE`, that many decide where bins begin
            and end (to within 0.2 % of the rows); the counts are of all rows.
    """
    baseline = frame.where(~F.col(b.CURRENT))
    if baseline_rows > SAMPLE:
        baseline = baseline.sample(SAMPLE / baseline_rows, seed=0)
    learnt = b.learn(baseline, columns)
    return [Drift(cut, *both) for cut, both in zip(learnt, b.histograms(frame, learnt), strict=True)]


def records(drifts: Sequence[Drift], alarms: Sequence[Alarm], stamp: Stamp) -> list[dict[str, Any]]:
    """Rows of `drift_metrics`, in the order given; p-values are adjusted over all of them."""
    tests = [statistics.chi2(*d.counts) for d in drifts]
    adjusted = statistics.benjamini_hochberg([t.p_value for t in tests])
    rows = []
    for d, test, p in zip(drifts, tests, adjusted, strict=True):
        effects = {"psi": statistics.unbiased_psi(*d.counts), "js": statistics.unbiased_js(*d.counts)}
        rows.append(
            {
                "feature": d.bins.column,
                "kind": d.bins.kind,
                "psi": statistics.psi(*d.counts),
                "js": statistics.js(*d.counts),
                "test": "chi2",
                "statistic": test.statistic,
                "p_value": test.p_value,
                "p_adjusted": p,
                "effect": effects["psi"],
                **_side("baseline", d.baseline),
                **_side("current", d.current),
                "alarm": any(effects[a.drift] > a.above and p < a.alpha for a in alarms),
                **vars(stamp),
            }
        )
    return rows


def sentence(rows: Sequence[dict[str, Any]]) -> str:
    """What drifted most, for people."""
    if not rows:
        return "drift: no feature to compare"
    window = f"{rows[0]['current_rows']:,} scored rows against {rows[0]['baseline_rows']:,} trained on"
    loud = sorted((r for r in rows if r["alarm"]), key=lambda r: (-r["effect"], r["feature"]))
    if not loud:
        most = max(rows, key=lambda r: r["effect"])
        return f"drift: nothing drifted ({window}; most: {most['feature']}, PSI {most['effect']:.2f})"
    top = ", ".join(f"{r['feature']} (PSI {r['effect']:.2f})" for r in loud[:3])
    return f"drift: {len(loud)} of {len(rows)} features drifted ({window}), most of all {top}"


def _side(side: str, histogram: b.Histogram) -> dict[str, Any]:
    rows = int(histogram.rows.sum())
    return {
        f"{side}_rows": rows,
        f"{side}_null_share": float(histogram.rows[-1] / rows) if rows else None,
        f"{side}_mean": histogram.mean,
    }
