"""Names of columns: those of a source, and of features.

A feature has its name in its own table; in `training_set` it is `<feature_table>__<column>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from headrace.config.types import Aggregates, FeatureTable
from headrace.config.windows import window_name


def aggregate_column(part: Aggregates, function: str, window: str) -> str:
    """`<column or name>_<function>_<window>`, as `arr_delay_mean_3h`; rows counted are `count_3h`.

    >>> from headrace.config.types import Aggregates
    >>> part = Aggregates(column="arr_delay", functions=["mean"], windows=["3 hours"])
    >>> aggregate_column(part, "mean", "3 hours")
    'arr_delay_mean_3h'
    """
    subject = part.name or ("" if part.column == "*" else part.column)
    return "_".join(word for word in (subject, function, window_name(window)) if word)


def feature_columns(feature: FeatureTable) -> list[str]:
    """The columns of a feature table that are features, in the order written."""
    if feature.kind != "aggregates":
        return list(feature.latest or feature.lookup)
    return [
        aggregate_column(part, function, window)
        for part in feature.aggregates
        for function in part.functions
        for window in part.windows
    ]


def column_names(columns: Iterable[str]) -> list[str]:
    """Names that SQL and Delta take as they are: lower case; other characters become `_`; none stands twice.

    >>> column_names(["Customer ID", "tenure (months)", "2nd", "a", "A"])
    ['customer_id', 'tenure_months', 'c_2nd', 'a', 'a_2']
    """
    names: dict[str, None] = {}
    for position, column in enumerate(columns, 1):
        name = re.sub(r"\W+", "_", column.strip().lower()).strip("_") or f"column_{position}"
        name = f"c_{name}" if name[0].isdigit() else name
        unique, number = name, 2
        while unique in names:
            unique, number = f"{name}_{number}", number + 1
        names[unique] = None
    return list(names)
