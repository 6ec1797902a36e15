"""Which version answers for an entity: a pure function of the strategy and a hash of the entity. Needs no Spark.

An entity's place is a number in [0, 1) that never changes; a canary takes the places below its share, so that who is
in it at 5 % still is at 25 %. `models.assigned` is the same in Spark SQL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from headrace.config.strategies import CHAMPION, Canary, Strategy
from headrace.models.entities import entity_text

DIGITS = 13
"""Of the hash in base 16: 52 bits, which a double holds exactly."""
PLACES = float(16**DIGITS)


def place(entity: Sequence[Any], salt: str = "") -> float:
    """Where an entity stands in [0, 1): the first 52 bits of the MD5 hash of its text, after the salt's.

    >>> place(["UA", 1545]), place(["UA", 1545]) == place(["UA", 1545], "another trial")
    (0.7670664869968371, False)

    Raises:
        TypeError: For a value that is no key, as a fraction in floating point.
    """
    text = entity_text([salt, *entity]).encode("utf-8", "surrogatepass")
    return int(hashlib.md5(text, usedforsecurity=False).hexdigest()[:DIGITS], 16) / PLACES


def thresholds(strategy: Strategy, at: datetime) -> list[tuple[str, float]]:
    """Who answers for places below which bound; the first whose bound is above an entity's place does.

    Args:
        strategy: Of the YAML.
        at: When; a ramp depends on it.
    """
    if strategy.canary:
        return [(strategy.canary.challenger, share(strategy.canary, at)), (CHAMPION, 1.0)]
    if not strategy.ab:
        return [(CHAMPION, 1.0)]
    bounds, total = [], 0.0
    for arm, part in strategy.ab.arms.items():
        total += part
        bounds.append((arm, total))
    bounds[-1] = (bounds[-1][0], 1.0)  # 0.1 + 0.2 + 0.7 is a little less
    return bounds


def share(canary: Canary, at: datetime) -> float:
    """A canary's share of the entities at a time."""
    return next((step.share for step in reversed(canary.ramp) if step.from_ <= at), canary.share)


def assigned(strategy: Strategy, entity: Sequence[Any], at: datetime) -> str:
    """The alias or version that answers for an entity.

    Args:
        strategy: Of the YAML.
        entity: Values of its key columns, in their order.
        at: When.
    """
    bounds = thresholds(strategy, at)
    if len(bounds) == 1:
        return bounds[0][0]
    mine = place(entity, strategy.salt)
    return next(who for who, bound in bounds if mine < bound)
