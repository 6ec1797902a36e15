"""What comes after a learner, as SQL: calibration and the threshold, level by level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.models.compiled.native.printed import number, quoted, sql
from headrace.models.compiled.scorer import Described
from headrace.models.compiled.sql import NotCompiled

YES = "__yes"
"""The probability of the second class."""
BENDS = 500
"""Of an isotonic regression: beyond, it is left to Python."""


def levels(steps: Sequence[Described]) -> tuple[dict[str, str], ...]:
    """Columns to add, level by level.

    Args:
        steps: Of the compiled scorer, that come after a learner of two classes.

    Raises:
        NotCompiled: If one is of another kind.
    """
    found: list[dict[str, str]] = []
    for kind, params, arrays in steps:
        if kind == "rising" and params["input"] == "probability" and params["place"] == 1:
            found.append({params["output"]: _rising(arrays["boundaries"], arrays["predictions"])})
        elif kind == "sql":
            found.append({name: sql(node) for name, node in params["make"].items()})
        elif kind == "assemble" and params["output"] == "probability" and len(params["inputs"]) == 2:
            found.append({YES: quoted(params["inputs"][1])})
        else:
            raise NotCompiled(f"a step of kind {kind} after the learner")
    return tuple(found)


def _rising(x: Any, y: Any) -> str:
    """Straight from bend to bend, beyond the ends as at the ends; of NaN as of the greatest."""
    if len(x) > BENDS:
        raise NotCompiled(f"an isotonic regression of {len(x):,} bends")
    inside = _between(x, y, 0, len(x) - 1)
    return _at_most(x[0], number(float(y[0])), _at_most(x[-1], inside, number(float(y[-1]))))


def _at_most(bend: float, then: str, other: str) -> str:
    return f"if({YES} <= {number(float(bend))}, {then}, {other})"


def _between(x: Any, y: Any, first: int, last: int) -> str:
    """Of a number above the bend `first`, and at most at the bend `last`."""
    if last - first > 1:
        middle = (first + last) // 2
        return _at_most(x[middle], _between(x, y, first, middle), _between(x, y, middle, last))
    if x[last] == x[first]:
        return number(float(y[last]))
    start, rise = number(float(y[first])), number(float((y[last] - y[first]) / (x[last] - x[first])))
    return f"({start} + {rise} * ({YES} - {number(float(x[first]))}))"
