"""`python my.py`: a plain script, of a user who has never heard of spark-submit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import PROJECT
from tests.support.running import environment

SCRIPT = """
import headrace

customers = headrace.Pipeline.from_yaml("churn.yaml")
assert [step.decision for step in customers.plan(to="clean")] == ["run"] * 3
done = customers.run(to="clean")
print([(stage["name"], stage["status"]) for stage in done.stages], done.stages[-1]["rows_out"])
kept = customers.table("customers")
print(kept.orderBy("id").collect())
print(headrace.window_features(
    kept, kept, entity=["id"], spine_time="seen_at", event_time="seen_at", aggregates={"n": ("*", "count", "1 day")}
).agg({"n": "sum"}).first()[0])
conf = customers.spark.sparkContext.getConf()
print(customers.spark.conf.get("spark.sql.session.timeZone"), conf.get("spark.master"), conf.get("spark.sql.shuffle.partitions"))
try:
    customers.run(to="clean", job="train")
except headrace.ConfigError as error:
    print("refused:", error)
"""
YAML = """
pipeline: churn
spark: {spark.sql.shuffle.partitions: 3}
tables: {customers: {source: {format: csv, path: customers.csv}, key: id, event_time: seen_at, rules: [{name: some, check: "id > 0"}]}}
"""


def test_a_plain_script_gets_its_session_by_itself(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(SCRIPT)
    (tmp_path / "churn.yaml").write_text(YAML)
    (tmp_path / "customers.csv").write_text(
        "id,seen_at\n1,2024-01-01T12:00:00\n2,2024-01-01T12:00:00\n-1,2024-01-02T12:00:00\n"
    )
    options = "--master local[2] --driver-memory 1g pyspark-shell"
    env = environment(
        tmp_path / "home", PYSPARK_SUBMIT_ARGS=options, PYTHONPATH=str(PROJECT / "lib"), TZ="Asia/Kolkata"
    )
    for name in ("SPARK_HOME", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"):
        env.pop(name, None)
    done = subprocess.run(
        [sys.executable, "my.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert lines[0] == "[('ingest', 'done'), ('validate', 'done'), ('clean', 'done')] 2"
    assert lines[1].startswith("[Row(id=1, ")
    assert lines[2:4] == ["2", "UTC local[2] 3"]
    assert lines[4].startswith("refused:")
    assert "the job train has not that stage" in lines[4]
