"""Keeps Spark out of a serving process: MLflow imports it wherever it finds it."""

from __future__ import annotations

import sys


def keep_out() -> None:
    """From now on `import pyspark` fails as where it is not installed. For processes that only serve.

    MLflow looks for it, and goes on without: 200 modules and 40 MB that nobody uses here, and no way to a JVM.
    """
    if "pyspark" not in sys.modules:
        sys.modules["pyspark"] = None  # type: ignore[assignment]
