"""What counts as an outlier: a method, per group, and the rows that its thresholds are learned from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from headrace.config.section import Section
from headrace.config.values import Columns, Moment, listed

FACTORS = {"zscore": 3.5, "iqr": 1.5}
QUANTILES = (0.001, 0.999)

_Factor = Annotated[float, Field(strict=True, gt=0)]
_Part = Annotated[float, Field(strict=True, ge=0, le=1)]
Treat = Literal["cap", "flag"]


class Outlier(Section):
    """How far from the others a number is an outlier. Thresholds are learned from training rows, per group."""

    method: Literal["zscore", "iqr", "quantiles"] = Field(
        description="zscore: by median and MAD; iqr: by quartiles; quantiles: by two quantiles"
    )
    by: Columns = Field((), description="columns of groups, each with thresholds of its own")
    factor: _Factor | None = Field(
        None,
        description="zscore: robust standard deviations from the median (3.5); iqr: ranges beyond the quartiles (1.5)",
    )
    quantiles: tuple[_Part, _Part] | None = Field(None, description="of `quantiles`: [lower, upper]; [0.001, 0.999]")
    min_rows: int = Field(
        100, strict=True, ge=1, description="groups with fewer training rows have the thresholds of all"
    )

    @model_validator(mode="after")
    def _of_its_method(self) -> Outlier:
        if self.factor is not None and self.method == "quantiles":
            raise ValueError("`factor` belongs to zscore and iqr; `method: quantiles` has `quantiles: [lower, upper]`")
        if self.quantiles is not None and self.method != "quantiles":
            raise ValueError(f"`quantiles` belongs to `method: quantiles`; {self.method} has a `factor`")
        low, high = self.ends
        if not low < high:
            raise ValueError(f"nothing lies between the quantiles {low} and {high}; the lower comes first")
        return self

    @property
    def ends(self) -> tuple[float, float]:
        """The two quantiles of `quantiles`."""
        return self.quantiles or QUANTILES

    @property
    def reach(self) -> float:
        """The factor of zscore and iqr."""
        return self.factor if self.factor is not None else FACTORS.get(self.method, 0.0)


class OutlierRule(Outlier):
    """An outlier among the rows of a table: thresholds of the rows before `until`, recorded once and pinned."""

    until: Moment = Field(
        description="thresholds are learned from rows that happened, and were known, before it; take split.train_until"
    )


class OutlierTreatment(Outlier):
    """What the model makes of outliers in its features: part of the fitted pipeline, learned on training rows."""

    column: Columns = Field(min_length=1, description="features that are numbers")
    treat: Annotated[tuple[Treat, ...], BeforeValidator(listed), Field(min_length=1)] = Field(
        ("cap",), description="cap: drawn to the threshold; flag: a new feature <column>__outlier, 1 or 0"
    )
