"""What an A/B test or a canary has shown: the versions' metrics on late labels, one against the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from headrace.config.metrics import larger_is_better

_Z = NormalDist().inv_cdf(0.975)


def compared(rows: Sequence[Mapping[str, Any]], metric: str | None) -> list[str]:
    """Each version against the one with the most labelled rows; lines for people.

    The arms have rows of their own, so that the variances of their metrics add up; the interval is the normal one.

    Args:
        rows: From `verdicts.records`.
        metric: The pipeline's own.
    """
    arms = [r for r in rows if r["granularity"] == "all" and r["metric"] == metric and r["value"] is not None]
    if len(arms) < 2:
        return []
    first, *others = sorted(arms, key=lambda r: (-r["labelled_rows"], str(r["model_version"])))
    return [_told(one, first) for one in others]


def _told(one: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    metric, apart = one["metric"], one["value"] - first["value"]
    rows = f"{one['labelled_rows']:,} and {first['labelled_rows']:,} labelled rows"
    text = f"version {one['model_version']} against {first['model_version']}: {metric} {apart:+.4f}"
    errors = [_error(r) for r in (one, first)]
    if any(error is None for error in errors):
        return f"{text} ({rows}; the metric has no interval)"
    room = _Z * sum(error * error for error in errors if error is not None) ** 0.5
    better = apart > 0 if larger_is_better(metric) else apart < 0
    said = f"{'better' if better else 'worse'} beyond chance" if abs(apart) > room else "not beyond chance"
    return f"{text} [{apart - room:+.4f}, {apart + room:+.4f}] ({rows}): {said}"


def _error(row: Mapping[str, Any]) -> float | None:
    """Standard error of a metric, of its 95 % interval."""
    if row["lower"] is None or row["upper"] is None:
        return None
    return float(row["upper"] - row["lower"]) / (2 * _Z)
