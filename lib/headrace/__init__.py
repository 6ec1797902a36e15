"""Headrace: from raw tables to versioned, monitored predictions on any open-source Apache Spark.

From Python: `Pipeline.from_yaml`, and on any DataFrame `point_in_time_join`, `window_features`, `training_set`, `score`.
Nothing heavy is imported until it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.api.frames import score, training_set
    from headrace.api.pipeline import Pipeline
    from headrace.engine.point_in_time import point_in_time_join
    from headrace.engine.windows import window_features
    from headrace.errors import ConfigError, DataError, GateError, HeadraceError

__version__ = "0.1.0"

_LAZY = {
    "ConfigError": "headrace.errors",
    "DataError": "headrace.errors",
    "GateError": "headrace.errors",
    "HeadraceError": "headrace.errors",
    "Pipeline": "headrace.api.pipeline",
    "point_in_time_join": "headrace.engine.point_in_time",
    "score": "headrace.api.frames",
    "training_set": "headrace.api.frames",
    "window_features": "headrace.engine.windows",
}

__all__ = [
    "ConfigError",
    "DataError",
    "GateError",
    "HeadraceError",
    "Pipeline",
    "__version__",
    "point_in_time_join",
    "score",
    "training_set",
    "window_features",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'headrace' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
