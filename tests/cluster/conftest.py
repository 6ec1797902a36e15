"""Servers of these tests: started here, on the loopback, stopped at the end."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyspark
import pytest

SPARK_HOME = Path(pyspark.__file__).parent


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


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


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL with an empty database `metastore`."""

    port: int
    user: str = "spark"
    password: str = "secret"

    @property
    def url(self) -> str:
        return f"jdbc:postgresql://127.0.0.1:{self.port}/metastore"


def _server_programs() -> Path:
    """PostgreSQL's own programs, installed when missing."""

    def found() -> list[Path]:
        return sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))

    if not found() and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=False, capture_output=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "postgresql"], check=True, capture_output=True)
    if not found():
        pytest.fail(
            "no PostgreSQL server on this machine and no apt-get to install one: install the package postgresql"
        )
    return found()[-1].parent


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server on the loopback, run by the user `postgres` where the tests run as root (it refuses root)."""
    programs, port = _server_programs(), free_port()
    folder = Path(subprocess.run(["mktemp", "-d"], check=True, capture_output=True, text=True).stdout.strip())
    password = folder / "password"
    password.write_text(Postgres.password)
    as_root = os.geteuid() == 0
    if as_root:
        shutil.chown(folder, "postgres")
        shutil.chown(password, "postgres")

    def run(*line: str) -> None:
        wrapped = (
            ["su", "postgres", "-s", "/bin/bash", "-c", " ".join(line)] if as_root else ["bash", "-c", " ".join(line)]
        )
        subprocess.run(wrapped, check=True, capture_output=True, cwd="/")

    run(
        f"{programs}/initdb -D {folder}/data -U {Postgres.user} --auth=scram-sha-256 --pwfile={password} -E UTF8 --locale=C.UTF-8 --no-sync"
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    run(f"{programs}/pg_ctl -D {folder}/data -w -l {folder}/log -o '{options}' start")
    env = {**os.environ, "PGPASSWORD": Postgres.password}
    subprocess.run(
        [f"{programs}/createdb", "-h", "127.0.0.1", "-p", str(port), "-U", Postgres.user, "metastore"],
        check=True,
        env=env,
    )
    yield Postgres(port)
    run(f"{programs}/pg_ctl -D {folder}/data -m fast stop")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def jdbc_jar() -> Path:
    """PostgreSQL's JDBC driver, fetched once by Spark's own resolver."""
    home = Path(os.environ.get("HEADRACE_HOME", ".headrace")).absolute() / "test-jars"
    found = sorted(home.glob("jars/*postgresql*.jar"))
    if not found:
        home.mkdir(parents=True, exist_ok=True)
        (home / "noop.py").write_text("")
        line = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local[1]", "--conf", f"spark.jars.ivy={home}",
                "--conf", "spark.ui.enabled=false", "--packages", "org.postgresql:postgresql:42.7.14", str(home / "noop.py")]  # fmt: skip
        subprocess.run(line, check=True, capture_output=True, env={**os.environ, "SPARK_HOME": str(SPARK_HOME)})
        found = sorted(home.glob("jars/*postgresql*.jar"))
    return found[0]


@pytest.fixture(scope="session")
def metastore_classes() -> str:
    """The classes of the metastore's model: named at once, DataNucleus makes all tables without locking itself out."""
    jar = next((SPARK_HOME / "jars").glob("hive-metastore-*.jar"))
    text = zipfile.ZipFile(jar).read("package.jdo").decode()
    names = sorted(set(re.findall(r'<class name="(M[A-Za-z]+)', text)))
    return ",".join(f"org.apache.hadoop.hive.metastore.model.{n}" for n in names)
