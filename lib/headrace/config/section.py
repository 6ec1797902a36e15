"""What every part of the YAML is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


def _name(value: str) -> str:
    if not value.isidentifier() or not value.isascii() or value.startswith("_"):
        raise ValueError(f"{value!r} is no name; use letters, digits and underscores, beginning with a letter")
    return value.lower()


Name = Annotated[str, AfterValidator(_name)]


class Section(BaseModel):
    """A part of the YAML."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, str_strip_whitespace=True, allow_inf_nan=False
    )
