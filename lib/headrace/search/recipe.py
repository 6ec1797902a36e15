"""What an estimator is to a search: how to build one, and where to look for its hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from headrace.config.hooks import Use

if TYPE_CHECKING:
    from pyspark.ml import Estimator

Kind = Literal["linear", "tree", "native", "ids"]
"""How features are prepared: scaled and one-hot, imputed, with missing values left as they are; users and items."""


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter and where to look for it.

    Attributes:
        low: Least value.
        high: Greatest value.
        scale: `int`, `uniform`, `log` (a real number, even on a logarithmic scale), or `choice`: one of `options`.
        options: Of a choice.
    """

    low: float
    high: float
    scale: Literal["int", "uniform", "log", "choice"] = "uniform"
    options: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """One estimator.

    Attributes:
        tasks: What it can learn.
        kind: How its features are prepared.
        first: The first point to try.
        space: Where to look on.
        build: From (task, parameters, seed, workers) to an unfitted Spark ML estimator.
        packages: What a reader of the model needs besides Spark.
        use: Where the YAML names the class, if it is the user's own.
    """

    tasks: tuple[str, ...]
    kind: Kind
    first: Mapping[str, Any]
    space: Mapping[str, Parameter]
    build: Callable[[str, Mapping[str, Any], int, int], Estimator]
    packages: tuple[str, ...] = ()
    use: Use | None = None
