"""Outliers in features: thresholds learned on training rows, as stages of the fitted pipeline that are plain SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.ml import Estimator
from pyspark.ml.feature import SQLTransformer

from headrace.config.file.complaints import meant
from headrace.config.hooks import Use
from headrace.config.outliers import OutlierTreatment
from headrace.engine.outliers import Thresholds, beside, learn
from headrace.errors import ConfigError
from headrace.search.columns import NUMBERS
from headrace.search.wanted import BESIDE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from headrace.config.types import Pipeline


class Outliers(Estimator):
    """Learns the thresholds of one feature; what is fitted is a SQLTransformer, read without Headrace.

    Args:
        where: Its place in the YAML.
        column: The feature.
        treatment: How thresholds are learned, and what becomes of what lies beyond them.
    """

    def __init__(self, where: str, column: str, treatment: OutlierTreatment) -> None:
        super().__init__()
        self._where, self._column, self._treatment = where, column, treatment

    def _fit(self, dataset: DataFrame) -> Any:
        self._check(dataset)
        found = learn(dataset, f"cast(`{self._column}` as double)", self._treatment)
        return SQLTransformer(statement=statement(self._column, self._treatment, found))

    def _check(self, frame: DataFrame) -> None:
        types = {f.name: f.dataType.simpleString() for f in frame.schema if f.name not in BESIDE}
        for name, where in ((self._column, "column"), *((name, "by") for name in self._treatment.by)):
            if name not in types:
                there = f"there are: {', '.join(types)}{meant(name, list(types))}"
                raise ConfigError(f"{self._where}.{where}: no feature is called {name!r}; {there}")
        kind = types[self._column]
        if kind not in NUMBERS and not kind.startswith("decimal"):
            raise ConfigError(f"{self._where}.column: {self._column!r} is {kind}; outliers are numbers")


def statement(column: str, treatment: OutlierTreatment, found: Thresholds) -> str:
    """What becomes of a feature, as SQL over `__THIS__`; null and NaN stay, a capped feature is a double."""
    value, low, high = f"cast(`{column}` as double)", "_ends.low", "_ends.high"
    below, above = f"{value} < {low}", f"{value} > {high} and not isnan({value})"
    made = []
    if "cap" in treatment.treat:
        made.append(f"case when {below} then {low} when {above} then {high} else {value} end as `{column}`")
    if "flag" in treatment.treat:
        made.append(f"cast(coalesce({below}, false) or coalesce({above}, false) as double) as `{column}__outlier`")
    left = f"_ends, `{column}`" if "cap" in treatment.treat else "_ends"
    ends = beside(found, treatment.by)
    return f"select * except ({left}), {', '.join(made)} from (select *, {ends} as _ends from __THIS__)"


def estimators(pipeline: Pipeline) -> list[tuple[Use, Outliers]]:
    """One for each feature that the YAML names, not fitted yet."""
    found = []
    for number_, treatment in enumerate(pipeline.search.outliers):
        where = f"search.outliers[{number_}]"
        for column in treatment.column:
            found.append((Use(where, f"{__name__}:Outliers", "transformer"), Outliers(where, column, treatment)))
    return found
