"""What an estimator is to a search: how to build one, and where to look for its hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from headrace.config.hooks import Use

if TYPE_CHECKING:
    from pyspark.ml import Estimator

Kind = Literal["linear", "tree", "native", "ids", "words"]
"""How features are prepared: scaled and one-hot, imputed, with missing values left as they are; users and items; words counted."""


_CLOSE = 1e-9


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter and where to look for it.

    Attributes:
        low: Least value.
        high: Greatest value.
        scale: `int`, `uniform`, `log` (a real number, even on a logarithmic scale), `steps`, or `choice`: one of `options`.
        options: Of a choice.
        step: Of `steps`.
    """

    low: float
    high: float
    scale: Literal["int", "uniform", "log", "steps", "choice"] = "uniform"
    options: tuple[Any, ...] = ()
    step: float = 0.0

    @property
    def middle(self) -> Any:
        """A value in the middle; of a choice the first."""
        if self.scale == "choice":
            return self.options[0]
        if self.scale == "log":
            return math.sqrt(self.low * self.high)
        half = (self.low + self.high) / 2
        if self.scale == "steps":
            return min(max(self.low, round(half / self.step) * self.step), self.high)
        return round(half) if self.scale == "int" else half

    @property
    def places(self) -> tuple[int, int]:
        """Of `steps`, and of whole numbers, the first and the last: the value is that many steps.

        >>> Parameter(0.1, 0.3, "steps", step=0.1).places  # though 0.3 / 0.1 is a little less than 3
        (1, 3)
        """
        step = self.step or 1
        return math.ceil(self.low / step - _CLOSE), math.floor(self.high / step + _CLOSE)

    @property
    def count(self) -> float:
        """How many values there are.

        >>> Parameter(4, 9, "int").count, Parameter(0, 1, "steps", step=0.5).count, Parameter(0.01, 1, "log").count
        (6, 3, inf)
        """
        if self.scale == "choice":
            return len(self.options)
        if self.scale in ("int", "steps"):
            first, last = self.places
            return max(0, last - first + 1)
        return math.inf if self.high > self.low else 1

    def holds(self, value: Any) -> bool:
        """Whether a value is one of these; what it may be beyond the ends is less than a step of arithmetic takes."""
        if self.scale == "choice":
            return value in self.options
        room = _CLOSE * max(abs(self.low), abs(self.high))
        return isinstance(value, int | float) and self.low - room <= value <= self.high + room


@dataclass(frozen=True)
class Recipe:
    """One estimator.

    Attributes:
        tasks: What it can learn.
        kind: How its features are prepared.
        first: The first point to try.
        space: Where to look on.
        build: From (task, parameters, seed, workers) to an unfitted Spark ML estimator.
        alone: From (task, parameters, seed) to an unfitted learner of one core, where there is one: see `models.learner`.
        packages: What a reader of the model needs besides Spark.
        iterations: Which hyperparameter is how often it goes on from where it is: trees, rounds; None: it has none, or
            stopped early it says nothing of where it would end.
        use: Where the YAML names the class, if it is the user's own.
    """

    tasks: tuple[str, ...]
    kind: Kind
    first: Mapping[str, Any]
    space: Mapping[str, Parameter]
    build: Callable[[str, Mapping[str, Any], int, int], Estimator]
    packages: tuple[str, ...] = ()
    alone: Callable[[str, Mapping[str, Any], int], Any] | None = None
    use: Use | None = None
    iterations: str | None = None

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether all values lie within the space; those of the user's own points need not."""
        return all(one.holds(params[name]) for name, one in self.space.items())

    def placed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Values, those of steps by how many they are: three times 0.1 is a little more than 0.3."""
        steps = {name: one.step for name, one in self.space.items() if one.scale == "steps"}
        return {name: round(value / steps[name]) if name in steps else value for name, value in params.items()}
