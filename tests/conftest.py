"""Where every test finds things: the project's folder, a scratch home, the Delta jars."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in each run: a change is judged by what it changes. HYPOTHESIS_PROFILE=default looks further.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

PROJECT = Path(__file__).resolve().parent.parent


FIRST = (
    *(
        "cluster/test_killed",
        "spark/test_landing",
        "spark/test_cleaning",
        "people/test_readme",
        "people/test_first_day",
    ),
    *("spark/test_search", "spark/test_jdbc", "spark/test_hooks", "spark/test_api", "spark/test_task_pipelines"),
    *("cluster/test_hive", "cluster/test_standalone"),
)
"""The files that take longest, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, short ones last: a stream that gets a long file at the end works while the other waits."""
    items.sort(key=lambda item: _turn(item.nodeid.partition("::")[0].removeprefix("tests/").removesuffix(".py")))


def _turn(file: str) -> tuple[int, bool]:
    return FIRST.index(file) if file in FIRST else len(FIRST), file.startswith("unit/")


def delta_jars() -> str:
    """The class path of the resolved jars; `./test.sh` resolves them before it runs pytest."""
    home = Path(os.environ.get("HEADRACE_HOME", PROJECT / ".headrace"))
    jars = sorted((home / "jars").glob("*.jar"))
    if not jars:
        pytest.exit(f"no Delta jars in {home / 'jars'}: run ./test.sh, which resolves them once", returncode=2)
    return ":".join(map(str, jars))


def driver_jars() -> str:
    """The class path of the drivers that Headrace takes by itself: PostgreSQL's and MySQL's, fetched once."""
    from headrace.runtime.packages import DRIVERS

    return package_jars(DRIVERS["jdbc:postgresql:"], DRIVERS["jdbc:mysql:"])


def connector_jars() -> str:
    """The class path of what Headrace takes by itself for Avro, Kafka, MongoDB and S3, fetched once."""
    from headrace.runtime.packages import CONNECTORS, S3A

    return package_jars(*(package for format_ in CONNECTORS.values() for package in format_), S3A)


def package_jars(*wanted: str) -> str:
    """The class path of jars by their coordinates, as jobs have them."""
    import pyspark

    from headrace.runtime.packages import jars

    home, spark = Path(os.environ.get("HEADRACE_HOME", PROJECT / ".headrace")), Path(pyspark.__file__).parent
    return ":".join(map(str, jars(home.absolute(), spark, wanted, {**os.environ, "SPARK_HOME": str(spark)})))


@pytest.fixture(scope="session", autouse=True)
def _environment() -> None:
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's folder."""
    return PROJECT
