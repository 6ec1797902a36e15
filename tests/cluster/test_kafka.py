"""From topic to topic by a job that is killed while it reads, and again while it sends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import PROJECT, connector_jars
from tests.support.brokers import Broker, broker
from tests.support.running import environment

ROWS = 60_000
RECORD = "out.headrace.shop.out"
YAML = """
pipeline: shop
tables:
  orders:
    source:
      format: kafka
      options: {kafka.bootstrap.servers: "%s", subscribe: orders}
      schema: {id: bigint, note: string}
    key: [id, partition, offset]
feature_tables:
  facts: {from: orders, entity: id, lookup: [note]}
sinks:
  out: {from: facts, format: kafka, options: {kafka.bootstrap.servers: "%s", topic: out}}
"""


def sent(made: Broker) -> int:
    """How many parts have been sent."""
    return len(made.read(RECORD)) if RECORD in made.admin.list_topics().topics else 0


def test_a_job_killed_while_it_reads_and_while_it_sends_loses_and_doubles_nothing(tmp_path: Path) -> None:
    connector_jars()  # fetched once, for all homes
    home = tmp_path / "home"
    env = environment(home, PYTHONPATH=str(PROJECT / "lib"))
    config = tmp_path / "shop.yaml"
    line = [sys.executable, "-m", "headrace.cli.submit", "--master", "local[2]", "--conf", "spark.sql.shuffle.partitions=2",
            "jobs/pipeline.py", "--config", str(config)]  # fmt: skip

    def killed_when(reached: Callable[[], bool]) -> None:
        with (tmp_path / "killed.log").open("w") as log:
            job = subprocess.Popen(line, cwd=PROJECT, env=env, stdout=log, stderr=log, start_new_session=True)
            deadline = time.monotonic() + 400
            try:
                while not reached():
                    assert job.poll() is None, (tmp_path / "killed.log").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            finally:
                os.killpg(job.pid, signal.SIGKILL)
                job.wait()

    with broker() as made:
        config.write_text(YAML % (made.servers, made.servers))
        made.make("orders", 2)
        for part in range(2):
            made.send("orders", [(None, json.dumps({"id": n, "note": f"é{n}"})) for n in range(part, ROWS, 2)], part)
        killed_when(lambda: any(home.glob("warehouse/shop/raw_orders/*.parquet")))
        assert not list(home.glob("warehouse/shop/orders/_delta_log/*.json"))
        killed_when(lambda: sent(made) > 0)
        assert sent(made) < 8
        done = subprocess.run(line, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=400, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "merged" not in said
        found = [(json.loads(key or b""), json.loads(value or b"")) for *_, key, value in made.read("out")]
    wanted = [({"id": n}, {"id": n, "note": f"é{n}"}) for n in range(ROWS)]
    assert sorted(found, key=lambda one: one[0]["id"]) == wanted
