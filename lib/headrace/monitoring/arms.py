"""What an A/B test or a canary has shown: the versions' metrics on late labels, one against the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import NormalDist
from typing import Any

from headrace.config.metrics import larger_is_better

_Z = NormalDist().inv_cdf(0.975)
_DAY = timedelta(days=1)


def began(rows: Sequence[Mapping[str, Any]], versions: Collection[int]) -> datetime | None:
    """From when on all versions of a test score, where one did a day or more before.

    What one has scored before the others came says nothing of the test: times differ.

    Args:
        rows: From `verdicts.records`.
        versions: Of the test.
    """
    whole = [r for r in rows if r["granularity"] == "all" and r["model_version"] in set(map(str, versions))]
    first = {r["model_version"]: r["window_start"] for r in whole if r["window_start"] is not None}
    apart = max(first.values()) - min(first.values()) if first else timedelta()
    return max(first.values()) if apart >= _DAY else None


def compared(
    rows: Sequence[Mapping[str, Any]],
    metric: str | None,
    champion: int | None,
    others: Collection[int],
    since: datetime | None = None,
) -> list[str]:
    """The versions of a test against the champion; lines for people.

    The arms have rows of their own, so that the variances of their metrics add up; the interval is the normal one.

    Args:
        rows: From `verdicts.records`.
        metric: The pipeline's own.
        champion: Its version.
        others: Versions that score beside it.
        since: From when on their rows are counted, for people; None: all of them are.
    """
    judged = [r for r in rows if r["granularity"] == "all" and r["metric"] == metric and r["value"] is not None]
    arms = {str(r["model_version"]): r for r in judged}
    first = arms.get(str(champion))
    wanted = sorted(number for number in set(others) - {champion} if str(number) in arms)
    told = f" since {since:%Y-%m-%d %H:%M} UTC" if since else ""
    return [_told(arms[str(number)], first, told) for number in wanted] if first else []


def _told(one: Mapping[str, Any], first: Mapping[str, Any], since: str) -> str:
    metric, apart = one["metric"], one["value"] - first["value"]
    rows = f"{one['labelled_rows']:,} and {first['labelled_rows']:,} labelled rows{since}"
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
