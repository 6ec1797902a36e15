"""`search.segments`: a model of its own for each value of a column, and one of all rows for the rest."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler

from headrace.config.section import Section
from headrace.config.values import Column, whole

_Count = Annotated[int, Field(ge=1, le=2**31 - 1), BeforeValidator(whole)]
_Most = Annotated[int, Field(ge=1, le=1_000), BeforeValidator(whole)]


class Segments(Section):
    """A model of its own for each value of a column, as one per country."""

    by: Column = Field(description="a feature of the training set: text, whole numbers, or true and false")
    min_rows: _Count = Field(
        500, description="labelled rows to learn from; a segment with fewer is answered by the general model"
    )
    min_class_rows: _Count = Field(20, description="of classes: so many of these rows of each class")
    keep: Literal["better", "all"] = Field(
        "better",
        description="better: a segment has its own model where that is better than the general one on rows that neither "
        "has learned from; all: wherever there are rows enough",
    )
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="better means: by more than this of the metric"
    )
    most: _Most = Field(300, description="so many segments at most, the largest")


def _by(value: object) -> object:
    """A column alone is what it goes by."""
    return {"by": value} if isinstance(value, str) else value


class _OrColumn:
    """What an editor is told."""

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(core)]}


BySegment = Annotated[Segments, BeforeValidator(_by), _OrColumn()]
