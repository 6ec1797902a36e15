"""Names of features, as they stand in their own table; in `training_set` they are `<feature_table>__<column>`."""

from __future__ import annotations

from headrace.config.durations import short
from headrace.config.types import Aggregates, FeatureTable


def aggregate_column(part: Aggregates, function: str, window: str) -> str:
    """`<column or name>_<function>_<window>`, as `arr_delay_mean_3h`; rows counted are `count_3h`.

    >>> from headrace.config.types import Aggregates
    >>> part = Aggregates(column="arr_delay", functions=["mean"], windows=["3 hours"])
    >>> aggregate_column(part, "mean", "3 hours")
    'arr_delay_mean_3h'
    """
    subject = part.name or ("" if part.column == "*" else part.column)
    return "_".join(word for word in (subject, function, short(window)) if word)


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
