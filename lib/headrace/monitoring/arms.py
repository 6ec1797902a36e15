"""What an A/B test or a canary has shown: the versions' metrics on late labels, one against the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import NormalDist
from typing import Any

from headrace.config.metrics import larger_is_better

_Z = NormalDist().inv_cdf(0.975)


def compared(
    rows: Sequence[Mapping[str, Any]], metric: str | None, champion: int | None, others: Collection[int]
) -> list[str]:
    """The versions of a test against the champion; lines for people.

    The arms have rows of their own, so that the variances of their metrics add up; the interval is the normal one.

    Args:
        rows: From `verdicts.records`.
        metric: The pipeline's own.
        champion: Its version.
        others: Versions that score beside it.
    """
    judged = [r for r in rows if r["granularity"] == "all" and r["metric"] == metric and r["value"] is not None]
    arms = {str(r["model_version"]): r for r in judged}
    first = arms.get(str(champion))
    wanted = sorted(number for number in set(others) - {champion} if str(number) in arms)
    return [_told(arms[str(number)], first) for number in wanted] if first else []


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
