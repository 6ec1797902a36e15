"""Servers of these tests: started here, on the loopback, stopped at the end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyspark
import pytest

from tests.conftest import driver_jars
from tests.support.servers import Server, free_port, postgres

SPARK_HOME = Path(pyspark.__file__).parent


@dataclass(frozen=True)
class Standalone:
    """A standalone master with two workers, each a process of its own."""

    url: str
    folders: tuple[Path, Path]


def _alive_workers(web: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{web}/json/", timeout=2) as answer:
            return int(json.load(answer)["aliveworkers"])
    except (OSError, ValueError, KeyError):
        return 0


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A master and two workers of one core."""
    folder = tmp_path_factory.mktemp("standalone")
    env = {**os.environ, "SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    env.pop("PYTHONPATH", None)
    port, web = free_port(), free_port()
    url, started = f"spark://127.0.0.1:{port}", []

    def start(name: str, *arguments: str) -> None:
        log = (folder / f"{name}.log").open("w")
        line = [str(SPARK_HOME / "bin" / "spark-class"), *arguments]
        started.append(subprocess.Popen(line, env=env, stdout=log, stderr=log, cwd=folder, start_new_session=True))

    start(
        "master",
        "org.apache.spark.deploy.master.Master",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--webui-port",
        str(web),
    )
    folders = (folder / "w1", folder / "w2")
    for work in folders:
        start(work.name, "org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--port", str(free_port()),
              "--webui-port", str(free_port()), "-c", "1", "-m", "1500m", "-d", str(work), url)  # fmt: skip
    deadline = time.monotonic() + 120
    while _alive_workers(web) < 2:
        assert time.monotonic() < deadline, (folder / "master.log").read_text()[-2000:]
        time.sleep(0.5)
    yield Standalone(url, folders)
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def metastore() -> Iterator[Server]:
    """A PostgreSQL with an empty database `metastore`."""
    with postgres() as server:
        server.sql("create database metastore")
        yield replace(server, url=server.url.replace("/shop", "/metastore"))


@pytest.fixture(scope="session")
def jdbc_jar() -> Path:
    """PostgreSQL's JDBC driver."""
    return next(Path(jar) for jar in driver_jars().split(":") if "postgresql-" in Path(jar).name)


@pytest.fixture(scope="session")
def metastore_classes() -> str:
    """The classes of the metastore's model: named at once, DataNucleus makes all tables without locking itself out."""
    jar = next((SPARK_HOME / "jars").glob("hive-metastore-*.jar"))
    text = zipfile.ZipFile(jar).read("package.jdo").decode()
    names = sorted(set(re.findall(r'<class name="(M[A-Za-z]+)', text)))
    return ",".join(f"org.apache.hadoop.hive.metastore.model.{n}" for n in names)
