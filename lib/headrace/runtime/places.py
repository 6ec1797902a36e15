"""Where the parts of Headrace and of Spark are: in a clone, or in an installed wheel."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from headrace.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent.parent


def project() -> Path | None:
    """The clone's folder, or None for an installed wheel."""
    folder = PACKAGE.parent.parent
    return folder if (folder / "requirements.lock").is_file() and (folder / "jobs").is_dir() else None


def conf() -> Path:
    """The folder of Spark's settings: the clone's `conf/spark`, otherwise the copy in the package."""
    clone = project()
    return clone / "conf" / "spark" if clone else PACKAGE / "conf" / "spark"


def jobs() -> Path:
    """The folder of Headrace's own jobs."""
    clone = project()
    return clone / "jobs" if clone else PACKAGE / "jobs"


def spark_home(env: Mapping[str, str] = os.environ) -> Path:
    """Spark's folder: that of the package pyspark; with `HEADRACE_SPARK=system`, the one in `SPARK_HOME`.

    Raises:
        ConfigError: If it is not there.
    """
    if env.get("HEADRACE_SPARK") == "system":
        folder = Path(env.get("SPARK_HOME") or "")
        if not env.get("SPARK_HOME") or not (folder / "bin" / "spark-submit").is_file():
            raise ConfigError("HEADRACE_SPARK=system needs SPARK_HOME to be a Spark with bin/spark-submit")
        return folder
    found = importlib.util.find_spec("pyspark")
    if found is None or not found.submodule_search_locations:
        raise ConfigError("pyspark is not installed beside Headrace; run ./spark-submit.sh --help, which sets it up")
    return Path(next(iter(found.submodule_search_locations)))
