"""How many rows an A/B test needs, planned from what a version showed on its test part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist


def needed(
    lower: float,
    upper: float,
    rows: int,
    detect: float,
    shares: Mapping[str, float],
    power: float = 0.8,
    alpha: float = 0.05,
) -> dict[str, int]:
    """Labelled rows of each arm, so that a difference is seen.

    A metric's variance falls with the rows; its 95 % interval on the test part tells how much one row has. It holds for
    every metric that has an interval, areas included, and for any two arms (Cohen, Statistical power analysis, 1988).

    Args:
        lower: Of the metric's 95 % interval on the test part.
        upper: Of the same.
        rows: Of the test part.
        detect: The least difference that matters.
        shares: Of the arms, adding up to 1; the two smallest decide.
        power: Chance to see such a difference where there is one.
        alpha: Chance to see one where there is none, two-sided.

    >>> needed(0.48, 0.52, 2401, 0.02, {"a": 0.5, "b": 0.5})  # a share of a half: 2 * 0.25 * (1.96 + 0.84)^2 / 0.02^2
    {'a': 9812, 'b': 9812}
    """
    normal = NormalDist()
    one_row = ((upper - lower) / (2 * normal.inv_cdf(0.975))) ** 2 * rows
    wanted = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
    small = sorted(shares.values())[:2]
    total = wanted**2 * one_row * sum(1 / share for share in small) / detect**2
    return {arm: math.ceil(total * share) for arm, share in shares.items()}
