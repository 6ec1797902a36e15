"""`scoring.strategy`: which version answers for which entity. The same in real time and in batches."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic.config import JsonDict

from headrace.config.section import Section
from headrace.config.values import Columns, Moment, number

CHAMPION = "champion"
Share = Annotated[float, BeforeValidator(number), Field(ge=0, le=1)]
Which = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value), Field(min_length=1)]
"""An alias of the registered model, or the number of a version."""


class Shadow(Section):
    """A challenger scores everything, and nobody acts on it: its predictions are logged."""

    challenger: Which = Field("challenger", description="an alias, or the number of a version")


class RampStep(Section):
    """From a time on another share."""

    from_: Moment = Field(alias="from", description="from when on (UTC)")
    share: Share = Field(description="of the entities, from 0 to 1")


class Canary(Section):
    """A challenger answers for a share of the entities: always the same ones, and as the share grows more."""

    challenger: Which = Field("challenger", description="an alias, or the number of a version")
    share: Share = Field(0.05, description="of the entities, from 0 to 1; before the ramp's first step")
    ramp: tuple[RampStep, ...] = Field((), description="how the share grows: [{from: 2026-01-08, share: 0.25}, ...]")

    @model_validator(mode="after")
    def _ascending(self) -> Canary:
        times = [step.from_ for step in self.ramp]
        if any(after <= before for before, after in pairwise(times)):
            raise ValueError("the steps of a ramp stand in the order of their times, each later than the one before")
        return self


class AB(Section):
    """Versions answer for fixed shares of the entities, to be compared afterwards."""

    arms: dict[Which, Share] = Field(
        description="share of each alias or version, adding up to 1: {champion: 0.5, challenger: 0.5}", min_length=2
    )

    @model_validator(mode="after")
    def _whole(self) -> AB:
        if abs(sum(self.arms.values()) - 1) > 1e-9:
            raise ValueError(f"the shares of the arms must add up to 1; these are {list(self.arms.values())}")
        return self


def _word(value: Any) -> Any:
    """`champion` alone stands for no strategy."""
    return {} if value == CHAMPION else value


def _or_word(schema: JsonDict) -> None:
    """For editors: the word `champion` may stand for the whole section."""
    schema.pop("type", None)
    schema["type"] = ["object", "string"]
    schema["pattern"] = f"^{CHAMPION}$"


class Strategy(Section):
    """At most one of `shadow`, `canary`, `ab`; none: the champion answers for all."""

    shadow: Shadow | None = Field(None, description="a challenger scores everything, and nobody acts on it")
    canary: Canary | None = Field(None, description="a challenger answers for a share of the entities")
    ab: AB | None = Field(None, description="versions answer for fixed shares of the entities")
    entity: Columns = Field(
        (), description="columns whose hash decides who answers; default: the spine's key, or the entity of its grid"
    )
    salt: str = Field(
        "", max_length=100, description="another word, another assignment: so that trials do not hit the same entities"
    )

    @model_validator(mode="after")
    def _one(self) -> Strategy:
        given = [kind for kind in ("shadow", "canary", "ab") if getattr(self, kind)]
        if len(given) > 1:
            raise ValueError(f"a strategy is one of shadow, canary, ab; this one has {' and '.join(given)}")
        return self

    @property
    def kind(self) -> Literal["champion", "shadow", "canary", "ab"]:
        """Which it is."""
        return "shadow" if self.shadow else "canary" if self.canary else "ab" if self.ab else "champion"

    @property
    def others(self) -> tuple[str, ...]:
        """Aliases and versions that it needs beside the champion."""
        if self.ab:
            return tuple(one for one in self.ab.arms if one != CHAMPION)
        one = self.shadow or self.canary
        return (one.challenger,) if one else ()


Strategic = Annotated[Strategy, BeforeValidator(_word)]
