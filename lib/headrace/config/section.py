"""What every part of the YAML is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

LONGEST = 100
"""Characters of a name: folders and the metastore take 255 and 128, with what Headrace adds (`raw_`, `_quarantine`)."""


def _name(value: str) -> str:
    if len(value) > LONGEST:
        raise ValueError(f"a name of {len(value)} characters came; allowed: {LONGEST}")
    if not value.isidentifier() or not value.isascii() or value.startswith("_"):
        raise ValueError(f"{value!r} is no name; use letters, digits and underscores, beginning with a letter")
    return value.lower()


Name = Annotated[str, AfterValidator(_name)]


class Section(BaseModel):
    """A part of the YAML."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, str_strip_whitespace=True, allow_inf_nan=False
    )
