"""What people write of a pipeline, its tables and columns, for people: it never changes a result."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from headrace.config.hook_types import or_text
from headrace.config.section import Section

DESCRIPTIVE = frozenset({"description", "owner", "tags", "describe"})
"""Keys that are no part of what a step is made of: a change of them runs nothing again."""


def _tag(value: str) -> str:
    if not value or len(value) > 100 or "," in value or "\n" in value:
        raise ValueError(f"{value!r} is no tag; write 1 to 100 characters without commas")
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, Field(max_length=4000)]
Owner = Annotated[str, Field(min_length=1, max_length=200)]
Tags = Annotated[tuple[Annotated[str, AfterValidator(_tag)], ...], BeforeValidator(_listed)]


class ColumnText(Section):
    """What a column means: a text, or a text with tags."""

    model_config = ConfigDict(json_schema_extra=or_text)

    description: Text | None = None
    tags: Tags = ()

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return {"description": value} if isinstance(value, str) else value
