"""What Spark wants to know of the program that it runs in."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec


def named() -> None:
    """Give a program without a file (`python -c`, an embedded one) a name.

    `pyspark.sql.connect`, which MLflow imports to look at a model, takes a nameless one for Spark's own doctests, and
    where Spark Connect is not installed ends it with exit code 0: a training would stop half-way and report success.
    """
    main = sys.modules["__main__"]
    if getattr(main, "__spec__", None) is None and not hasattr(main, "__file__"):
        main.__spec__ = ModuleSpec("__main__", None)
