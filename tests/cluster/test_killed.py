"""The driver is killed once in each stage and started again: the tables equal those of an undisturbed run."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from tests.spark.conftest import spark as spark_session
from tests.support.flights import SMALL, sample
from tests.support.running import kill_in, run_job, terminate_in

spark = spark_session
FLIGHTS = 3_000
SETS = tuple(part for change in SMALL for part in ("--set", change))
STEPS = (
    "ingest:flights",
    "validate:flights",
    "clean:departures",
    "features:carrier_delays",
    "training_set",
    "search",
    "evaluate",
    "register",
    "score",
    "monitor",
)
TABLES = (
    *("raw_flights", "flights", "flights_quarantine", "weather_quarantine", "departures"),
    *("carrier_delays", "origin_weather", "training_set", "test_predictions", "evaluation"),
    *("predictions", "drift_metrics", "quality_metrics"),
)
OF_THE_RUN = {"_ingested_at", "run_id", "scored_at", "computed_at", "model_uri"}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    folder = tmp_path_factory.mktemp("killed")
    config = sample(folder, FLIGHTS, kept=("carrier_delays", "origin_weather", "plane"))  # one of each kind
    calm, killed = folder / "calm", folder / "stormy"
    undisturbed = run_job("pipeline", config, calm, *SETS)
    assert undisturbed.code == 0, undisturbed.said[-3000:]
    repeated = run_job(
        "pipeline", config, calm, *SETS
    )  # it also makes the archive by which all later jobs start faster
    assert set(repeated.stages().values()) == {"unchanged"}, repeated.stages()
    killed.mkdir()
    hit = [
        step
        for number, step in enumerate(STEPS)
        if (step != "search" or terminated(config, killed))
        and kill_in(step, "pipeline", config, killed, *SETS, after=0.2 + 0.35 * (number % 4))
    ]
    ended = run_job("pipeline", config, killed, *SETS)
    assert ended.code == 0, ended.said[-3000:]
    again = run_job("pipeline", config, killed, *SETS)
    assert set(again.stages().values()) == {"unchanged"}, again.stages()
    return calm, killed, hit


def terminated(config: Path, home: Path) -> bool:
    """Schedulers do not kill at once: they ask Spark to end first."""
    told = terminate_in("search", "pipeline", config, home, *SETS, after=1.0)
    assert "stopped by SIGTERM. What was finished stands" in told, told[-3000:]
    return True


def table(spark: SparkSession, home: Path, name: str) -> DataFrame:
    frame = spark.read.format("delta").load(str(home / "warehouse" / "flights" / name))
    return frame.select(*sorted(c for c in frame.columns if c not in OF_THE_RUN))


def test_every_stage_was_hit(homes: tuple[Path, Path, list[str]]) -> None:
    assert homes[2] == list(STEPS)


@pytest.mark.parametrize("name", TABLES)
def test_tables_equal_those_of_an_undisturbed_run(
    spark: SparkSession, homes: tuple[Path, Path, list[str]], name: str
) -> None:
    calm, killed = table(spark, homes[0], name), table(spark, homes[1], name)
    assert calm.schema == killed.schema
    assert calm.exceptAll(killed).count() == 0
    assert killed.exceptAll(calm).count() == 0
    assert calm.count() > 0 or name.endswith("_quarantine")


def test_each_file_landed_once(spark: SparkSession, homes: tuple[Path, Path, list[str]]) -> None:
    assert table(spark, homes[1], "raw_flights").count() == FLIGHTS
