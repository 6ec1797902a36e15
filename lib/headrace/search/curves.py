"""Curves that draw numbers together, as SQL; the exponent of Yeo and Johnson's is learned from quantiles.

Yeo and Johnson, A new family of power transformations to improve normality or symmetry, Biometrika 87 (2000).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from headrace.engine.outliers import number

POINTS = 200
PARTS = tuple((step + 0.5) / POINTS for step in range(POINTS))
"""The quantiles that an exponent is learned from."""
_FAR = "1e100D"
"""Beyond the rows that it was learned from a power may overflow."""


def curved(value: str, curve: str, exponent: float) -> str:
    """SQL of a number on a curve; each rises with the number, and has negative numbers too."""
    if curve == "log":
        return f"sign({value}) * log1p(abs({value}))"
    if curve == "sqrt":
        return f"sign({value}) * sqrt(abs({value}))"
    up, down = _power(value, exponent), _power(f"(-{value})", 2 - exponent)
    return f"case when {value} >= 0 then least({up}, {_FAR}) else greatest(-{down}, -{_FAR}) end"


def _power(value: str, exponent: float) -> str:
    """((1 + x)^e - 1) / e, without loss of digits near 0."""
    if exponent == 0:
        return f"log1p({value})"
    return f"expm1({number(exponent)} * log1p({value})) / {number(exponent)}"


def exponent(quantiles: Sequence[float]) -> float:
    """The exponent by which these numbers look most like drawn from a normal distribution; 1 (a line) where they are all one.

    >>> round(exponent([math.exp(step / 10) for step in range(50)]), 1)
    -0.1
    >>> exponent([3.0, 3.0])
    1.0
    """
    values = np.asarray(quantiles, dtype=float)
    if len(values) == 0 or np.ptp(values) == 0:
        return 1.0
    side = np.sign(values) * np.log1p(np.abs(values))

    def unlikely(one: float) -> float:
        with np.errstate(all="ignore"):
            variance = _moved(values, one).var()
        if not (math.isfinite(variance) and variance > 0):
            return math.inf
        return float(len(values) / 2 * math.log(variance) - (one - 1) * side.sum())

    found = minimize_scalar(unlikely, bounds=(-4.0, 6.0), method="bounded", options={"xatol": 1e-4})
    return round(float(found.x), 4) if math.isfinite(unlikely(float(found.x))) else 1.0


def _moved(values: np.ndarray, one: float) -> np.ndarray:
    logs = np.log1p(np.abs(values))
    up = logs if one == 0 else np.expm1(one * logs) / one
    down = logs if one == 2 else np.expm1((2 - one) * logs) / (2 - one)
    return np.where(values >= 0, up, -down)
