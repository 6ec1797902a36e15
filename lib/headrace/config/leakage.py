"""What of a training set is looked at for leaks, and what becomes of a finding."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from headrace.config.section import Section
from headrace.config.values import Column

Level = Literal["error", "warn", "off"]
Finding = Literal[
    "copy", "missing", "power", "one_sided", "collapse", "entity", "overlap", "duplicates", "id", "constant"
]
FINDINGS: tuple[str, ...] = get_args(Finding)
LEVELS: dict[str, Level] = dict.fromkeys(FINDINGS, "warn") | dict.fromkeys(("copy", "missing", "overlap"), "error")  # type: ignore[assignment]
"""What a finding does where the file does not say it."""
POWER = 0.99
COPY, RANK_COPY = 0.98, 0.9999
"""Share of errors removed by a copy of classes; rank correlation of a copy of numbers."""

Threshold = Annotated[float, Field(gt=0.5, le=1)]
Reason = Annotated[str, Field(min_length=1, max_length=1000)]


class Leakage(Section):
    """Leaks that show in the training set itself."""

    policy: Level = Field(
        "warn", description="the worst that a finding does: warn, error (exit code 3); off: not looked"
    )
    power: Threshold = Field(
        POWER, description="areaUnderROC (regression: R2) of one feature alone from which it is implausible"
    )
    near_copy: Threshold | None = Field(
        None,
        description="how nearly a feature is the label: the share of errors that it removes, default 0.98; of a regression "
        "the rank correlation, default 0.9999",
    )
    levels: dict[Finding, Level] = Field({}, description="error, warn or off for single kinds of findings")
    allow: dict[Column, Reason] = Field({}, description="features that may be so: name -> why")

    @model_validator(mode="after")
    def _below(self) -> Leakage:
        if self.policy != "error" and "error" in self.levels.values():
            raise ValueError(
                f"`policy: {self.policy}` lets nothing be an error; write `policy: error`, or other `levels`"
            )
        return self

    def level(self, kind: str) -> Level:
        """What a finding of a kind does."""
        wanted = self.levels.get(kind, LEVELS[kind])  # type: ignore[call-overload]
        return "warn" if wanted == "error" and self.policy == "warn" else wanted

    def copied_from(self, task: str) -> float:
        """From where on a feature is a copy of the label."""
        return self.near_copy or (RANK_COPY if task == "regression" else COPY)
