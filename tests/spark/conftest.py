"""One lean session for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from headrace.runtime.launch import LIGHT
from headrace.runtime.settings import held
from tests.conftest import connector_jars, delta_jars, driver_jars
from tests.support.brokers import Broker, broker
from tests.support.runs import Project

JAVA = f"{LIGHT} -XX:+UseSerialGC -Xms1400m -Xmn640m -XX:MetaspaceSize=512m"
"""What hundreds of small queries in one JVM ask for: room for the classes that Spark makes, and few collections."""

INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
}


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Delta on `local[2]`, UTC, ANSI, few shuffle partitions, no UI."""
    scratch = tmp_path_factory.mktemp("spark")
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.extraClassPath", f"{delta_jars()}:{driver_jars()}:{connector_jars()}")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.databricks.delta.snapshotPartitions", "1")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.ansi.enabled", "true")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.scheduler.mode", "FAIR")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.warehouse.dir", str(scratch / "warehouse"))
        .config("spark.driver.memory", "2g")
        .config("spark.driver.extraJavaOptions", f"{JAVA} -Duser.timezone=UTC -Dderby.system.home={scratch}")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    """A broker for all tests that talk to one."""
    with broker() as made:
        yield made


@pytest.fixture(scope="module")
def interpreted(spark: SparkSession) -> Iterator[None]:
    """Queries are interpreted, and planned once.

    For files that run whole steps over a handful of rows: there it takes longer to compile a query, and to plan it
    anew after each of its stages, than to run it. Files that compare values with a slow reference stay without it,
    and so do the jobs of `tests/people` and `tests/cluster`: compiled, as users have it.
    """
    with held(spark, INTERPRETED):
        yield


@pytest.fixture
def scratch(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A scratch project in this session."""
    return Project(spark, tmp_path, monkeypatch)
