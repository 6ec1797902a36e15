"""What may be aggregated over which windows, as people write it: `mean` over `3 hours`, or `3 hours / 7 days`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

from headrace.config.durations import microseconds, short

FUNCTIONS = (
    "count", "sum", "mean", "stddev", "min", "max", "first", "last", "distinct", "approx_distinct", "mode", "trend",
    "since_last",
)  # fmt: skip
"""Functions by name; `p01` ... `p99` besides."""
OF_ROWS = ("count", "since_last")
"""Functions that `*` goes with: they ask for no value."""
_QUANTILE = re.compile(r"p(0[1-9]|[1-9][0-9])")


def is_function(name: str) -> bool:
    """Whether there is such an aggregate."""
    return name in FUNCTIONS or _QUANTILE.fullmatch(name) is not None


def lengths(window: str) -> tuple[int, int | None]:
    """Length of a window in microseconds, and of the one whose value it is divided by.

    >>> lengths("3 hours"), lengths("1 second / 1 minute")
    ((10800000000, None), (1000000, 60000000))

    Raises:
        ValueError: If the text is neither a fixed duration nor two different ones.
    """
    first, *others = window.split("/")
    if not others:
        return microseconds(first), None
    if len(others) > 1:
        raise ValueError(f"{window!r} has more than two windows; write one, or two as '3 hours / 7 days'")
    above, below = microseconds(first), microseconds(others[0])
    if above == below:
        raise ValueError(f"{window!r} divides a window by itself; take two lengths, as '3 hours / 7 days'")
    return above, below


def window_name(window: str) -> str:
    """The form used in feature names.

    >>> window_name("3 hours"), window_name("3 hours / 7 days")
    ('3h', '3h_per_7d')
    """
    return "_per_".join(short(length) for length in window.split("/"))


def _check(value: object) -> object:
    if isinstance(value, str):
        lengths(value)
    return value


WindowLength = Annotated[str, BeforeValidator(_check)]
"""A pydantic type: the text as written, checked to be a fixed duration or two."""
