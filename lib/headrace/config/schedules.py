"""`schedules:`, when which jobs run. No part of any step: a change of them runs nothing again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from headrace.config.durations import Duration
from headrace.config.section import Section
from headrace.config.values import Moment, listed

Every = Literal["hour", "day", "week", "month"]
EVERY: dict[Every, str] = {"hour": "0 * * * *", "day": "0 0 * * *", "week": "0 0 * * 1", "month": "0 0 1 * *"}
"""The same as cron expressions; weeks begin on Monday."""

Job = Literal["ingest", "clean", "features", "train", "score", "publish", "monitor", "pipeline"]
GATED = ("train", "pipeline")
"""Jobs that end with exit code 4 when a gate refuses the model."""
Jobs = Annotated[tuple[Job, ...], BeforeValidator(listed), Field(min_length=1)]


class Schedule(Section):
    """Jobs that run one after the other, again and again."""

    job: Jobs = Field(description="a job, or several that run in this order: [ingest, clean, score]")
    every: Every | None = Field(None, description="at its beginning: 00:00, on Monday, on the first; or give `cron`")
    cron: str | None = Field(None, description="five fields, as `30 3 * * mon-fri`: minute, hour, day, month, weekday")
    time_zone: str = Field("UTC", description="of the clock that `every` and `cron` mean, as Europe/Berlin")
    window: Duration | None = Field(
        None, description="how far before the end of its interval a run scores; default: the interval"
    )
    start: Moment | None = Field(
        None, description="Airflow makes up all runs since then; default: it begins with the next one"
    )
    retries: int = Field(2, ge=0, le=20, description="after exit code 1; 2, 3 and 4 would come again")
    arguments: tuple[str, ...] = Field((), description="more arguments of the jobs, as [--set, search.max_evals=50]")

    @model_validator(mode="after")
    def _one_clock(self) -> Schedule:
        if (self.every is None) == (self.cron is None):
            raise ValueError("a schedule has exactly one of `every` (hour, day, week, month) and `cron`")
        if len(set(self.job)) < len(self.job):
            raise ValueError(f"a job stands twice in [{', '.join(self.job)}]; leave one out")
        gated = [job for job in self.job[:-1] if job in GATED]
        if gated:
            raise ValueError(f"{gated[0]} stands last: what comes after it would not run when a gate refuses the model")
        return self

    @property
    def expression(self) -> str:
        """When it runs, as a cron expression."""
        return EVERY[self.every] if self.every else str(self.cron)
