"""Where the YAML names Python: `module:name`, alone or with what has to be said of it."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.config import JsonDict

from headrace.config.section import Name, Section

_HOOK = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)

Scalar = bool | int | float | str


def _hook(value: str) -> str:
    if not _HOOK.fullmatch(value):
        raise ValueError(f"{value!r} names no Python; write module:name, as my_features:risk (of my_features.py)")
    return value


Hook = Annotated[str, AfterValidator(_hook)]
"""`module:name`: a function or class of a Python file beside the YAML, or of an installed package."""


def or_text(schema: JsonDict) -> None:
    """For editors: what is a mapping may also be written as one text."""
    mapping = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string"}, mapping]


class Metric(Section):
    """A metric in Python: a function from a DataFrame of `label, prediction, probability` to one number."""

    model_config = ConfigDict(json_schema_extra=or_text)

    python: Hook
    larger_is_better: bool = True

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return {"python": value} if isinstance(value, str) else value


class Term(Section):
    """Where to look for a hyperparameter, in hyperopt's terms: exactly one of these.

    Bounds are those of the value itself, also of `loguniform`.
    """

    uniform: tuple[float, float] | None = Field(None, description="[low, high]: a real number")
    loguniform: tuple[float, float] | None = Field(None, description="[low, high]: even on a logarithmic scale")
    uniformint: tuple[int, int] | None = Field(None, description="[low, high]: a whole number, both included")
    quniform: tuple[float, float, float] | None = Field(
        None, description="[low, high, step]: a real number in steps, as 0.5 of [0, 2, 0.5]"
    )
    choice: tuple[Scalar, ...] | None = Field(None, description="one of these values")

    @model_validator(mode="after")
    def _one(self) -> Term:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"exactly one of uniform, loguniform, uniformint, quniform, choice; this has {given or 'none'}"
            )
        if self.choice is not None:
            if len(self.choice) < 2 or len(set(map(repr, self.choice))) < len(self.choice):
                raise ValueError("choice needs two values or more, each once; a single value belongs under `params`")
            return self
        low, high = self.bounds
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"[low, high] with low < high is wanted; this is [{low}, {high}]")
        if self.loguniform and low <= 0:
            raise ValueError(f"loguniform needs bounds above zero; this is [{low}, {high}]")
        if self.quniform and not 0 < self.quniform[2] <= high - low:
            raise ValueError(f"the step of quniform lies above 0 and within its bounds; this is {self.quniform[2]:g}")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest value."""
        return self.uniform or self.loguniform or self.uniformint or (self.quniform or (0.0, 0.0))[:2]

    def holds(self, value: Scalar) -> bool:
        """Whether a value is one of these."""
        if self.choice is not None:
            return value in self.choice
        low, high = self.bounds
        return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


class Estimator(Section):
    """An estimator of the search: one of Headrace's by its name; Spark ML's, or a learner like scikit-learn's, by its class."""

    model_config = ConfigDict(json_schema_extra=or_text)

    name: str
    class_: Hook | None = Field(None, alias="class", description="a Spark ML Estimator, or a learner of scikit-learn")
    params: dict[str, Any] = Field({}, description="what is always set")
    space: dict[str, Term] = Field(
        {},
        description="parameters to search, in hyperopt's terms; of Headrace's estimators those that differ from theirs",
    )
    first: dict[str, Scalar] = Field(
        {}, description="the first point to try; default: that of Headrace's estimator, else the middle of the space"
    )
    features: Literal["linear", "tree", "native"] = Field(
        "linear", description="linear: scaled and one-hot; tree: imputed; native: missing values stay NaN"
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("name")
    @classmethod
    def _named(cls, value: str) -> str:
        return value.lower()

    @model_validator(mode="after")
    def _whole(self) -> Estimator:
        if self.class_ is None:
            if "features" in self.model_fields_set:
                raise ValueError("features belongs to a `class`, as my_models:MyEstimator; add it, or leave it out")
        elif not self.name.isidentifier():
            raise ValueError(f"{self.name!r} is no name; use letters, digits and underscores")
        self._check_first()
        return self

    def _check_first(self) -> None:
        both = sorted(set(self.params) & set(self.space))
        if both:
            raise ValueError(f"{', '.join(both)} stand under `params` and under `space`; leave one out")
        if self.class_ and self.first and set(self.first) != set(self.space):
            raise ValueError(f"`first` gives a value to each parameter of `space`: {', '.join(self.space) or 'none'}")
        for name, value in self.first.items():
            if name in self.space and not self.space[name].holds(value):
                raise ValueError(f"`first` gives {name} the value {value!r}, which is outside of its space")
            if name in self.params:
                raise ValueError(f"{name} stands under `params` and under `first`; leave one out")


class OwnTransformer(Section):
    """A Spark ML Transformer, or an Estimator of one, put before the preparation of the features."""

    model_config = ConfigDict(json_schema_extra=or_text)

    class_: Hook = Field(alias="class")
    params: dict[str, Any] = Field({}, description="what is always set")

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return {"class": value} if isinstance(value, str) else value


__all__ = ["Estimator", "Hook", "Metric", "Name", "OwnTransformer", "Scalar", "Term"]
