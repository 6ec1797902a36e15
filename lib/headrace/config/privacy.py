"""What the YAML says of sensitive columns, and which columns of a table they touch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from headrace.config.section import Section
from headrace.config.values import Column

Treatment = Literal["hash", "mask", "drop"]


def _treated(value: object) -> object:
    """A list of columns, or a column alone, means their hashes."""
    if isinstance(value, str):
        return {value: "hash"}
    return dict.fromkeys(value, "hash") if isinstance(value, list | tuple) and all(map(_text, value)) else value


def _text(value: object) -> bool:
    return isinstance(value, str)


Sensitive = Annotated[dict[Column, Treatment], BeforeValidator(_treated)]


class Privacy(Section):
    """How sensitive columns are kept from the tables."""

    key: str = Field(
        "${secret:HEADRACE_PRIVACY_KEY}", description="the key of hashes, as ${secret:NAME}; at least 16 bytes"
    )
