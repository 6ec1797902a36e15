"""`search.calibration` and `search.threshold`: what the winner's probabilities mean, and from which one on it says yes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, model_validator

from headrace.config.section import Section
from headrace.config.values import number

Calibration = Literal["none", "sigmoid", "isotonic"]


_Share = Annotated[float, BeforeValidator(number), Field(gt=0, lt=1)]
_Price = Annotated[float, BeforeValidator(number), Field(ge=0, allow_inf_nan=False)]


class Costs(Section):
    """What a wrong answer costs, in any unit."""

    false_positive: _Price = Field(1.0, description="of a yes that is wrong")
    false_negative: _Price = Field(1.0, description="of a no that is wrong")

    @model_validator(mode="after")
    def _something(self) -> Costs:
        if not self.false_positive + self.false_negative:
            raise ValueError("both cost nothing; give a price to one of them at least")
        return self


class Threshold(Section):
    """From which probability on the answer is yes: a number, or by what it is chosen on held-out rows."""

    at: _Share | None = Field(None, description="the probability itself; a number alone is the same")
    metric: Literal["f1", "accuracy"] | None = Field(
        None, description="the cut with the largest; f1 of the positive class"
    )
    recall: _Share | None = Field(
        None, description="the most precise cut that finds at least this share of the positive"
    )
    precision: _Share | None = Field(
        None, description="the cut that finds most, of those whose yes is right at least this often"
    )
    cost: Costs | None = Field(None, description="the cut with the least cost")

    @model_validator(mode="after")
    def _one(self) -> Threshold:
        if len(self.wanted) != 1:
            came = f"{' and '.join(self.wanted)} came" if self.wanted else "nothing came"
            raise ValueError(f"{came}; write a number, or one of metric, recall, precision, cost")
        return self

    @property
    def wanted(self) -> dict[str, object]:
        """What is given."""
        keys = ("at", "metric", "recall", "precision", "cost")
        return {key: getattr(self, key) for key in keys if getattr(self, key) is not None}


def _at(value: object) -> object:
    """A number alone is the cut."""
    return {"at": value} if isinstance(value, int | float) else value


class _OrNumber:
    """What an editor is told."""

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, handler(core)]}


Cut = Annotated[Threshold, BeforeValidator(_at), _OrNumber()]
