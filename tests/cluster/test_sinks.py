"""A sink on a real PostgreSQL: a job that is killed in the middle of its transaction, and run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.support.running import environment
from tests.support.servers import Server, postgres

YAML = """
pipeline: shop
tables:
  orders: {source: {format: csv, path: %s}, key: id}
feature_tables:
  facts: {from: orders, entity: id, lookup: [amount, note]}
sinks:
  crm:
    from: facts
    format: jdbc
    options: {url: "%s", dbtable: crm_facts, user: spark, password: "${secret:CRM_PASSWORD}", driver: org.postgresql.Driver}
"""


def psql(server: Server, sql: str) -> subprocess.Popen[str]:
    line, env = [*server.client, "-c", sql], {**os.environ, **server.env}
    return subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def asked(server: Server, sql: str) -> str:
    return psql(server, sql).communicate(timeout=30)[0].strip()


@pytest.fixture(scope="module")
def shop() -> Iterator[Server]:
    with postgres() as server:
        yield server


def test_a_job_killed_within_its_transaction_sends_every_row_once(shop: Server, jdbc_jar: Path, tmp_path: Path) -> None:
    config, orders = tmp_path / "shop.yaml", tmp_path / "orders.csv"
    config.write_text(YAML % (orders, shop.url))
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "crm.yaml").write_text(f"jars: [{jdbc_jar}]\n")
    line = [sys.executable, "-m", "headrace.cli.submit", "--master", "local[2]", "--conf", "spark.sql.shuffle.partitions=2",
            "jobs/pipeline.py", "--config", str(config), "--env", "crm"]  # fmt: skip
    env = environment(tmp_path / "home", CRM_PASSWORD=shop.password, PYTHONPATH=str(PROJECT / "lib"))

    def run() -> str:
        done = subprocess.run(line, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    orders.write_text("id,amount,note\n1,1.5,é'\n2,,\n")
    run()
    assert asked(shop, "select id, amount, note from crm_facts order by id") == "1|1.5|é'\n2||"

    orders.write_text("id,amount,note\n2,7,\n3,8,x\n")
    holder = psql(shop, "begin; lock table crm_facts in share mode; select pg_sleep(200); commit")
    with (tmp_path / "killed.log").open("w") as log:
        job = subprocess.Popen(line, cwd=PROJECT, env=env, stdout=log, stderr=log, start_new_session=True)
        waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like 'DELETE%'"
        deadline = time.monotonic() + 400
        try:
            while asked(shop, waiting) == "0":  # its rows are staged, its transaction has begun
                assert job.poll() is None, (tmp_path / "killed.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.5)
        finally:
            os.killpg(job.pid, signal.SIGKILL)
            job.wait()
    asked(
        shop,
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and query like 'begin; lock%'",
    )
    holder.wait()
    assert asked(shop, "select id from crm_facts order by id") == "1\n2"

    assert "2 rows in place of what was there" in run()
    assert asked(shop, "select id, amount, note from crm_facts order by id") == "2|7|\n3|8|x"
    assert asked(shop, "select sink, table_version from headrace_sent") == "shop.crm|1"
    assert asked(shop, "select to_regclass('crm_facts_headrace')") == ""
