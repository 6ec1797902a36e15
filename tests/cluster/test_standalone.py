"""The flights loop on a standalone cluster: two workers as processes of their own, the code shipped with the job."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.conftest import Standalone
from tests.support.flights import sample
from tests.support.running import headrace, run_job

SETS = (
    "--set", "search.estimators=[xgboost]",
    "--set", "search.max_evals=2",
    "--set", "gates=[{metric: areaUnderROC, at_least: 0.3}]",
)  # fmt: skip


def test_the_whole_loop_on_two_workers(standalone: Standalone, tmp_path: Path) -> None:
    config, home = sample(tmp_path, 3_000), tmp_path / "home"
    spark = ("--master", standalone.url, "--executor-memory", "1g", "--executor-cores", "1", "--driver-memory", "1500m",
             "--conf", "spark.sql.shuffle.partitions=2")  # fmt: skip
    ended = run_job("pipeline", config, home, *SETS, spark=spark)
    assert ended.code == 0, ended.said[-3000:]
    assert set(ended.stages().values()) == {"done"}
    shipped = [list(folder.rglob("headrace-*.zip")) for folder in standalone.folders]
    assert all(shipped), f"the library was not shipped to both workers: {shipped}"
    trees = [one for folder in standalone.folders for one in folder.rglob("headrace_trees_*.jar")]
    assert trees, "no worker has walked the trees itself"

    asked = headrace(home, "sql", "select model_name, count(*) > 100 as many from flights.predictions group by 1")
    assert asked.code == 0, asked.err
    assert "flights\ttrue" in asked.out
