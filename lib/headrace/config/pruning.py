"""`search.pruning`: which trials are stopped before their end."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from headrace.config.section import Section

Over = Literal["rows", "iterations", "folds"]
KINDS = ("racing", "halving", "hyperband")
NONE = "none"


class Race(Section):
    """A trial that is worse than the best, fold by fold and beyond chance, is stopped."""


class Rungs(Section):
    """What a trial gets little of first, and more only while it is among the best third."""

    over: Over = Field(
        "rows",
        description="rows that train; iterations: trees, or rounds, on all rows (an estimator without any: rows); folds: "
        "in so many it is judged first",
    )


def _word(value: Any) -> Any:
    """`halving` alone is halving over rows; `none` alone stands for nothing."""
    if isinstance(value, str):
        if value not in (NONE, *KINDS):
            raise ValueError(f"{value!r} is no way of pruning; allowed: {', '.join((NONE, *KINDS))}")
        return {} if value == NONE else {value: {}}
    if isinstance(value, dict) and len(value) == 1:
        return {key: {} if said is None else said for key, said in value.items()}
    return value


def _or_word(schema: JsonDict) -> None:
    """For editors: one word may stand for the whole section."""
    schema["type"] = ["object", "string"]
    schema["pattern"] = f"^({'|'.join((NONE, *KINDS))})$"


class Pruning(Section):
    """At most one of `racing`, `halving`, `hyperband`; none: all trials go to their end."""

    model_config = ConfigDict(json_schema_extra=_or_word)

    racing: Race | None = Field(None, description="worse than the best, fold by fold and beyond chance: it is stopped")
    halving: Rungs | None = Field(
        None, description="a trial learns from little first, and of three that did so the best goes on"
    )
    hyperband: Rungs | None = Field(
        None,
        description="as halving, and some trials begin with more, or with all, so that late bloomers have a chance",
    )

    @model_validator(mode="after")
    def _one(self) -> Pruning:
        given = [kind for kind in KINDS if getattr(self, kind)]
        if len(given) > 1:
            raise ValueError(f"pruning is one of {', '.join(KINDS)}; this one has {' and '.join(given)}")
        return self

    @property
    def kind(self) -> str:
        """Which it is; `none` without any."""
        return next((kind for kind in KINDS if getattr(self, kind)), NONE)

    @property
    def over(self) -> Over | None:
        """What a trial gets ever more of; None: there are no rungs."""
        rungs = self.halving or self.hyperband
        return rungs.over if rungs else None


Pruned = Annotated[Pruning, BeforeValidator(_word)]
