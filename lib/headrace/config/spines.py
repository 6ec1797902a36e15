"""What a spine can be besides a table, and a label besides SQL over its row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic.config import JsonDict

from headrace.config.durations import MINUTE, Duration, microseconds
from headrace.config.section import Name, Section
from headrace.config.values import Column, Moment, Sql

TEXT, MAPPING = "<text>", "<mapping>"
"""Marks of what was written, in pydantic's places of mistakes."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _coarse(text: str) -> str:
    if microseconds(text) < MINUTE:
        raise ValueError(f"{text!r} is too fine for a row per entity and point; write a minute or more")
    return text


def _form(value: Any) -> str:
    return MAPPING if isinstance(value, dict | Section) else TEXT


def _paired(value: Any) -> Any:
    """One name, or several, for columns that are called the same on both sides."""
    names = [value] if isinstance(value, str) else value
    return {name: name for name in names} if isinstance(names, list | tuple) else value


def _or_names(schema: JsonDict) -> None:
    """For editors: names alone, where both sides call the columns the same."""
    mapping = {key: schema.pop(key) for key in list(schema) if key not in ("default", "description", "title")}
    schema["anyOf"] = [{"type": "array", "items": {"type": "string"}}, mapping]  # or one, as everywhere


class EntityGrid(Section):
    """A spine of a row per entity and point of a grid of times."""

    entities: Name = Field(description="a table with a key: the things to predict for")
    every: Annotated[Duration, AfterValidator(_coarse)] = Field(
        description="distance of the grid's points, as `30 days`"
    )
    since: Moment | None = Field(None, description="the first point, which the others follow; default: 1970-01-01")
    until: Moment | None = Field(None, description="no point from here on; default: up to now (--as-of)")

    @model_validator(mode="after")
    def _ordered(self) -> EntityGrid:
        if self.since and self.until and self.since >= self.until:
            raise ValueError(
                f"the grid would be empty: since ({self.since:%F %T}) < until ({self.until:%F %T}) must hold"
            )
        return self

    @property
    def anchor(self) -> datetime:
        """A point of the grid; all others lie whole steps from it."""
        return self.since or EPOCH

    def next_after(self, at: datetime) -> datetime | None:
        """The first point after a time; None where the grid has ended."""
        step = timedelta(microseconds=microseconds(self.every))
        point = self.anchor + ((at - self.anchor) // step + 1) * step
        point = max(point, self.since) if self.since else point
        return None if self.until is not None and point >= self.until else point


class FutureLabel(Section):
    """A label that is counted over what happens to the entity after the prediction, in (t, t + within]."""

    from_: Name = Field(alias="from", description="the table of the events")
    aggregate: Sql = Field(description="SQL over aggregates of the events, as `sum(amount)` or `count(*) = 0`")
    within: Duration = Field(description="how long after the prediction events count, as `180 days`")
    where: Sql | None = Field(None, description="only events for which this holds")
    entity: Annotated[dict[Column, Column], BeforeValidator(_paired)] = Field(
        {},
        description="columns that both have, or {column of the spine: column of the events}; default: the spine's key "
        "columns, but for times, that the events have",
        json_schema_extra=_or_names,
    )


Spine = Annotated[Annotated[Name, Tag(TEXT)] | Annotated[EntityGrid, Tag(MAPPING)], Discriminator(_form)]
Label = Annotated[Annotated[Sql, Tag(TEXT)] | Annotated[FutureLabel, Tag(MAPPING)], Discriminator(_form)]
