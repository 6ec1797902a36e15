"""Where the rows of a first YAML are split."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from headrace.cli.profiling.facts import DataFacts, Times


def split_of(facts: DataFacts) -> tuple[dict[str, str] | None, str]:
    """Where the parts end, or None for a split by hash; and why so."""
    if not facts.times:
        return None, "no column says when a row came to be: 70 / 15 / 15 % by a hash of the key"
    cuts = _days(facts.times) or _moments(facts.times)
    if cuts is None:
        return None, f"{facts.event_time} has too few different values to split by it"
    return (
        dict(zip(("train_until", "validation_until", "test_until"), cuts, strict=True)),
        f"about 70 / 15 / 15 % of the rows; {facts.times.first:%Y-%m-%d} to {facts.times.last:%Y-%m-%d}",
    )


def _days(times: Times) -> tuple[str, ...] | None:
    """Cuts at midnight, where parts are long enough for it."""
    cuts = [_midnight(moment) for moment in (times.train_until, times.validation_until)]
    cuts.append(_midnight(times.last) + timedelta(days=1))
    long_enough = _midnight(times.first) < cuts[0] < cuts[1] < cuts[2] and (times.last - times.first).days >= 14
    return tuple(f"{cut:%Y-%m-%d}" for cut in cuts) if long_enough else None


def _moments(times: Times) -> tuple[str, ...] | None:
    cuts = (times.train_until, times.validation_until, times.last + timedelta(seconds=1))
    return tuple(f"{cut:%Y-%m-%dT%H:%M:%SZ}" for cut in cuts) if times.first < cuts[0] < cuts[1] < cuts[2] else None


def _midnight(moment: datetime) -> datetime:
    return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
