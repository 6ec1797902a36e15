"""`scoring.stream`: rows of the spine that come one after the other, and how they are taken."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from headrace.config.durations import microseconds
from headrace.config.section import Section
from headrace.config.source import Source
from headrace.config.values import whole

AVAILABLE_NOW = "available-now"
CONTINUOUS = "continuous"


def trigger_of(text: str) -> str:
    """A trigger, checked.

    Raises:
        ValueError: If it is none.
    """
    if text in (AVAILABLE_NOW, CONTINUOUS):
        return text
    try:
        microseconds(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is no trigger; write {AVAILABLE_NOW}, {CONTINUOUS}, or a duration as '30 seconds'"
        ) from error
    return text


_Rows = Annotated[int, BeforeValidator(whole), Field(ge=1, le=1_000_000_000)]


class Stream(Section):
    """Rows that are scored as they come: exactly once, as the batch job would."""

    source: Source = Field(
        description="a Delta table (path or table) or a topic of Kafka (JSON), with the columns of the cleaned table that "
        "`training_set.from` names"
    )
    trigger: Annotated[str, AfterValidator(trigger_of)] = Field(
        AVAILABLE_NOW,
        description="available-now: all that is there, then the job ends; continuous: batch after batch, until it is "
        "stopped; `30 seconds`: the same, a batch at most so often",
    )
    max_rows: _Rows = Field(
        100_000,
        description="rows of a micro-batch; of a Delta table about so many, in whole files, at least one",
    )
    start: Literal["earliest", "latest"] = Field(
        "earliest", description="where the first run starts: at all that is there, or at what comes from then on"
    )
    on_change: Literal["fail", "ignore"] = Field(
        "fail",
        description="delta: rows that are updated or deleted in the source end the job; ignore: predictions stand as they "
        "are, rows that a MERGE adds are scored",
    )
    checkpoint: str | None = Field(
        None, description="a folder for how far the stream has come; default: _stream beside the pipeline's tables"
    )
