"""`headrace experiment`: how many labelled rows an A/B test or a canary needs. No Spark session."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from headrace.cli.promote import Env, File, Sets, opened
from headrace.config.metrics import DEFAULT_METRIC, RANGES
from headrace.config.strategies import CHAMPION, Strategy
from headrace.errors import ConfigError


def experiment(
    file: File,
    detect: Annotated[float, typer.Option("--detect", help="the least difference of the metric that matters")],
    metric: Annotated[str | None, typer.Option("--metric", help="default: that of the search")] = None,
    power: Annotated[float, typer.Option("--power", help="chance to see such a difference")] = 0.8,
    alpha: Annotated[float, typer.Option("--alpha", help="chance to see one where there is none")] = 0.05,
    env: Env = None,
    sets: Sets = None,
) -> None:
    """Plan an A/B test: the labelled rows that each arm needs. What it has shown is in the notes of `monitor`.

    Example: headrace experiment conf/flights.yaml --detect 0.01
    """
    from headrace.models.experiment import needed
    from headrace.models.record import record_of

    if not (detect > 0 and 0 < power < 1 and 0 < alpha < 1):
        raise ConfigError("--detect is above 0; --power and --alpha lie between 0 and 1")
    pipeline, where, store = opened(file, env, sets)
    version = store.resolve(where.schema, CHAMPION)
    record = record_of(store, version) or {}
    task = store.card(version.run_id).task
    training = pipeline.training_set
    wanted = metric or pipeline.search.metric or DEFAULT_METRIC[str(training.way(task) if training else task)]
    check_detectable(wanted, detect)
    known = record.get("metrics", {})
    found = known.get(wanted)
    if found is None:
        raise ConfigError(f"--metric {wanted}: version {version.number} was tested by {', '.join(known) or 'nothing'}")
    if found["lower"] is None or found.get("rows") is None:
        raise ConfigError(
            f"{wanted} of version {version.number} has no interval, or does not tell its rows; "
            "choose another --metric, or register the version anew: jobs/train.py --only register --force register"
        )
    shares = _shares(pipeline.scoring.strategy)
    if min(shares.values()) <= 0:
        raise ConfigError(f"scoring.strategy.ab.arms: {min(shares, key=lambda arm: shares[arm])} has no share")
    arms = needed(found["lower"], found["upper"], int(found["rows"]), detect, shares, power, alpha)
    lines = [f"{arm:<12} {shares[arm]:>6.1%}  {rows:>12,} labelled rows" for arm, rows in arms.items()]
    head = f"to see a difference of {detect:g} in {wanted} with a chance of {power:.0%} (by chance alone: {alpha:.0%})"
    now = f"version {version.number} had {found['value']:.4f} [{found['lower']:.4f}, {found['upper']:.4f}] on its test part"
    typer.echo("\n".join([head, *lines, f"together {sum(arms.values()):,}; {now}"]))


def check_detectable(metric: str, detect: float) -> None:
    """Refuse a difference that no two values of a metric can have.

    Raises:
        ConfigError: Says between what it lies.
    """
    low, high = RANGES.get(metric, (-math.inf, math.inf))
    if detect > high - low:
        raise ConfigError(
            f"--detect {detect:g}: {metric} lies between {low:g} and {high:g}; write a smaller difference"
        )


def _shares(strategy: Strategy) -> dict[str, float]:
    """Of the arms; a half each where there is no strategy yet."""
    if strategy.ab:
        return dict(strategy.ab.arms)
    if strategy.canary:
        last = strategy.canary.ramp[-1].share if strategy.canary.ramp else strategy.canary.share
        if 0 < last < 1:
            return {CHAMPION: 1 - last, strategy.canary.challenger: last}
    return {CHAMPION: 0.5, "challenger": 0.5}
