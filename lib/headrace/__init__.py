"""Headrace: from raw tables to versioned, monitored predictions on any open-source Apache Spark.

Python, on any DataFrame: `headrace.point_in_time_join`, `headrace.window_features`. Nothing heavy is imported until
it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.engine.point_in_time import point_in_time_join
    from headrace.engine.windows import window_features

__version__ = "0.1.0"

_LAZY = {
    "point_in_time_join": "headrace.engine.point_in_time",
    "window_features": "headrace.engine.windows",
}

__all__ = ["__version__", "point_in_time_join", "window_features"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'headrace' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
