"""What a feature table aggregates: functions that there are, and lists that may not be empty."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.config.file.complaints import meant
from headrace.config.types import FeatureTable
from headrace.config.windows import FUNCTIONS, OF_ROWS, is_function

Found = tuple[str, str]

CALLED = {
    **dict.fromkeys(("median", "percentile", "quantile"), "p50"),
    **dict.fromkeys(("avg", "average"), "mean"),
    **dict.fromkeys(("std", "stdev", "stddevsamp", "standarddeviation"), "stddev"),
    **dict.fromkeys(("nunique", "countdistinct", "approxcountdistinct", "unique"), "distinct"),
}
"""What other tools call the functions, in lower case and without underscores."""


def check(where: str, feature: FeatureTable) -> Iterator[Found]:
    """Functions that there are not, and lists without which there is nothing to compute.

    Returns:
        Pairs (where, what came and what is allowed).
    """
    if not feature.entity:
        yield f"{where}.entity", "the list is empty; name the column, or columns, that the features are about"
    for number, part in enumerate(feature.aggregates):
        here = f"{where}.aggregates[{number}]"
        for position, function in enumerate(part.functions):
            yield from _function(f"{here}.functions[{position}]", function, part.column)
        if not part.functions:
            yield f"{here}.functions", "the list is empty; name functions, as [count, mean]"
        if not part.windows:
            yield f"{here}.windows", "the list is empty; name windows, as [1 day, 30 days]"


def _function(where: str, function: str, column: str) -> Iterator[Found]:
    if not is_function(function):
        allowed = f"{', '.join(FUNCTIONS)}, p01 ... p99"
        other = CALLED.get(function.lower().replace("_", ""))
        close = f"; did you mean {other!r}?" if other else meant(function, FUNCTIONS)
        yield where, f"{function!r} is no aggregate; allowed: {allowed}{close}"
    elif column == "*" and function not in OF_ROWS:
        yield where, f"{function!r} of `*`: rows have only {' and '.join(OF_ROWS)}; name a column"
