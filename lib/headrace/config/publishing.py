"""At which times a feature table has rows: `events`, or `{every: 1 day}`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from headrace.config.durations import MINUTE, Duration, microseconds
from headrace.config.hook_types import or_text
from headrace.config.section import Section


def _coarse(text: str) -> str:
    if microseconds(text) < MINUTE:
        raise ValueError(f"{text!r} is too fine for a grid; write a minute or more, or `publish: events`")
    return text


Step = Annotated[Duration, AfterValidator(_coarse)]
"""A pydantic type: the step of a grid of times."""


class Publish(Section):
    """When a feature table has rows: just after each event, or on a grid of times."""

    model_config = ConfigDict(json_schema_extra=or_text)

    every: Step | None = Field(None, description="a grid of times, as `1 day`: multiples from a Monday, 00:00 UTC")

    @model_validator(mode="before")
    @classmethod
    def _events(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "events":
            raise ValueError(f"{value!r} is no way to publish; write `events`, or a grid as {{every: 1 day}}")
        return {} if value == "events" else value
