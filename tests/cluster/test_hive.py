"""The flights loop with its tables in a Hive metastore on a real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.cluster.conftest import Postgres
from tests.conftest import PROJECT
from tests.support.flights import SMALL, sample
from tests.support.running import environment, run_job

SETS = tuple(part for change in SMALL for part in ("--set", change))

QUERY = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
for row in spark.sql("show tables in flights").collect():
    print("TABLE", row["tableName"])
print("ROWS", spark.sql("select count(*) from flights.predictions").first()[0])
print("VIEW", spark.sql("select count(*) from flights.latest_predictions").first()[0])
"""


def test_tables_are_in_the_metastore_for_other_applications(
    postgres: Postgres, jdbc_jar: Path, metastore_classes: str, tmp_path: Path
) -> None:
    config, home = sample(tmp_path, 3_000), tmp_path / "home"
    (config.parent / "env").mkdir()
    (config.parent / "env" / "hive.yaml").write_text((PROJECT / "conf" / "env" / "hive.yaml").read_text())
    where = {
        "HEADRACE_JDBC_JAR": str(jdbc_jar),
        "HEADRACE_METASTORE_URL": postgres.url,
        "HEADRACE_METASTORE_USER": postgres.user,
        "HEADRACE_METASTORE_PASSWORD": postgres.password,
        "HEADRACE_WAREHOUSE": str(tmp_path / "shared"),
    }
    first = {
        "HEADRACE_METASTORE_CREATE": "true",
        "HEADRACE_METASTORE_START": "Classes",
        "HEADRACE_METASTORE_CLASSES": metastore_classes,
    }
    made = run_job("pipeline", config, home, "--env", "hive", *SETS, **where, **first)
    assert made.code == 0, made.said[-3000:]

    again = run_job("pipeline", config, home, "--env", "hive", *SETS, **where)
    assert again.code == 0, again.said[-3000:]
    assert set(again.stages().values()) == {"unchanged"}

    script = tmp_path / "other.py"
    script.write_text(QUERY)
    line = [
        str(PROJECT / "spark-submit.sh"),
        "--master",
        "local[1]",
        str(script),
        "--config",
        str(config),
        "--env",
        "hive",
    ]
    other = subprocess.run(
        line, cwd=PROJECT, env={**environment(home), **where}, capture_output=True, text=True, timeout=300, check=False
    )
    assert other.returncode == 0, other.stderr[-3000:]
    tables = {text.split()[1] for text in other.stdout.splitlines() if text.startswith("TABLE")}
    assert {"flights", "training_set", "predictions", "carrier_delays", "latest_predictions"} <= tables
    rows = [text.split()[1] for text in other.stdout.splitlines() if text.startswith(("ROWS", "VIEW"))]
    assert len(rows) == 2
    assert int(rows[0]) > 100
    assert rows[0] == rows[1]
    assert os.path.isdir(tmp_path / "shared" / "flights" / "predictions")
