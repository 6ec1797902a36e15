"""`training_set.split.folds`: a search is judged by several folds of the rows in place of one part."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from headrace.config.durations import Duration
from headrace.config.section import Section
from headrace.config.values import whole

By = Literal["time", "hash", "stratified"]
FOLD = "fold"
"""The column of the training set."""
MOST = 100


class Folds(Section):
    """Into how many folds, and how, the rows of the parts train and validation are cut."""

    count: Annotated[int, BeforeValidator(whole)] = Field(ge=2, le=MOST, description="folds that validate")
    by: By | None = Field(None, description="default: as the split; stratified: each fold has the shares of classes")
    window: Literal["expanding", "sliding"] = Field(
        "expanding", description="by time: a fold learns from all that lies before it, or from the stretch just before"
    )
    embargo: Duration | None = Field(
        None, description="by time: how long before a fold begins labels must have been known, as `7 days`"
    )

    @model_validator(mode="after")
    def _of_time(self) -> Folds:
        timed = [key for key in ("window", "embargo") if key in self.model_fields_set]
        if timed and self.by not in ("time", None):
            raise ValueError(f"{' and '.join(timed)}: only for `by: time`; these folds are by {self.by}")
        return self


def _counted(value: object) -> object:
    """A number alone is their count."""
    return {"count": value} if isinstance(value, int | float) else value


CutInto = Annotated[
    Folds,
    BeforeValidator(_counted),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 2, "maximum": MOST}, Folds.model_json_schema()]}),
]


def unfit(folds: Folds, by: str, grouped: bool) -> str | None:
    """Why folds do not go with the split that they stand in; None: they do.

    Args:
        folds: The configuration.
        by: How they are cut, settled.
        grouped: Whether the split keeps the rows of a group together.
    """
    timed = [key for key in ("window", "embargo") if key in folds.model_fields_set]
    if timed and by != "time":
        return f"folds.{' and folds.'.join(timed)}: only for folds by time; these are by {by}, as the split"
    if grouped and by == "time":
        return "folds by time cut groups in two; write folds: {by: hash}, or leave `group` out"
    if grouped and by == "stratified":
        return "stratified folds share out the rows of a class, whatever their group; write folds: {by: hash}"
    return None
