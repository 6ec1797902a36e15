"""Real servers for tests: installed when missing, each on a free port of the loopback, stopped at the end."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import PROJECT


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def cached() -> Path:
    """Where programs of servers are kept from one test run to the next."""
    folder = Path(os.environ.get("HEADRACE_HOME", PROJECT / ".headrace")).absolute() / "test-servers"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def alone() -> Iterator[None]:
    """Of several test processes one at a time fetches programs."""
    with (cached() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Server:
    """A database server with an empty database `shop`."""

    url: str
    client: tuple[str, ...]
    env: dict[str, str]
    user: str = "spark"
    password: str = "s3cr3t-Zq"

    def sql(self, text: str) -> str:
        """What the server's own client says."""
        done = subprocess.run(
            [*self.client], input=text, env={**os.environ, **self.env}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def postgres_programs() -> Path:
    """PostgreSQL's own programs, installed when missing."""

    def found() -> list[Path]:
        return sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))

    if not found() and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=False, capture_output=True)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "-o", "DPkg::Lock::Timeout=120", "postgresql"],
            check=True,
            capture_output=True,
        )
    if not found():
        pytest.fail("no PostgreSQL server and no apt-get to install one: install the package postgresql")
    return found()[-1].parent


@contextmanager
def postgres() -> Iterator[Server]:
    """A server, run by the user `postgres` where the tests run as root (it refuses root)."""
    with alone():
        programs = postgres_programs()
    port, folder = free_port(), Path(tempfile.mkdtemp())
    secret = folder / "password"
    secret.write_text(Server.password)
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        shutil.chown(secret, "postgres")

    def run(line: str) -> None:
        wrapped = ["su", "postgres", "-s", "/bin/bash", "-c", line] if os.geteuid() == 0 else ["bash", "-c", line]
        subprocess.run(wrapped, check=True, capture_output=True, cwd="/")

    run(
        f"{programs}/initdb -D {folder}/data -U {Server.user} --auth=scram-sha-256 --pwfile={secret} "
        "-E UTF8 --locale=C.UTF-8 --no-sync"
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    run(f"{programs}/pg_ctl -D {folder}/data -w -l {folder}/log -o '{options}' start")
    try:
        client = (
            f"{programs}/psql",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-U",
            Server.user,
            "-qAt",
            "-v",
            "ON_ERROR_STOP=1",
        )
        env = {"PGPASSWORD": Server.password}
        Server("", (*client, "postgres"), env).sql("create database shop")
        yield Server(f"jdbc:postgresql://127.0.0.1:{port}/shop", (*client, "shop"), env)
    finally:
        run(f"{programs}/pg_ctl -D {folder}/data -m immediate stop")
        shutil.rmtree(folder, ignore_errors=True)


PACKAGES = (
    "mariadb-server-core", "mariadb-server", "mariadb-client-core", "mariadb-client", "libaio1", "liburing2",
    "libmariadb3", "libnuma1",
)  # fmt: skip


def mariadb_programs() -> Path:
    """MariaDB's own programs, unpacked from the distribution's packages without installing them."""
    root = cached() / "mariadb"
    if not (root / "usr/sbin/mariadbd").exists():
        if not shutil.which("apt-get"):
            pytest.fail("no MariaDB and no apt-get to fetch it")
        subprocess.run(["apt-get", "update", "-qq"], check=False, capture_output=True)
        with tempfile.TemporaryDirectory(dir=cached()) as scratch:
            subprocess.run(["apt-get", "download", *PACKAGES], check=True, capture_output=True, cwd=scratch)
            for package in Path(scratch).glob("*.deb"):
                subprocess.run(["dpkg", "-x", str(package), f"{scratch}/root"], check=True)
            if not root.exists():
                Path(scratch, "root").replace(root)
    return root / "usr"


@contextmanager
def mariadb(time_zone: str = "+02:00") -> Iterator[Server]:
    """A server whose own time zone is another one than Spark's."""
    with alone():
        programs = mariadb_programs()
    port, folder = free_port(), Path(tempfile.mkdtemp())
    env = {"LD_LIBRARY_PATH": str(programs / "lib/x86_64-linux-gnu")}
    everything = {**os.environ, **env}
    as_root = os.geteuid() == 0
    user = "nobody" if as_root else os.environ.get("USER", "nobody")
    if as_root:
        shutil.chown(folder, "nobody")
        folder.chmod(0o755)
    statements = folder / "init.sql"  # a statement a line
    statements.write_text(
        "CREATE DATABASE shop CHARACTER SET utf8mb4;\n"
        f"CREATE USER spark@'127.0.0.1' IDENTIFIED BY '{Server.password}';\n"
        "GRANT ALL ON *.* TO spark@'127.0.0.1';\n"
        f"SET GLOBAL time_zone = '{time_zone}';\n"
    )
    common = ("--no-defaults", f"--basedir={programs}", f"--datadir={folder}/data", f"--user={user}")
    subprocess.run(
        [f"{programs}/bin/mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True, capture_output=True, env=everything,
    )  # fmt: skip
    log = (folder / "log").open("w")
    server = subprocess.Popen(
        [f"{programs}/sbin/mariadbd", *common, f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve",
         f"--socket={folder}/s.sock", f"--pid-file={folder}/pid", f"--init-file={statements}",
         f"--plugin-dir={programs}/lib/mysql/plugin"],
        env=everything, stdout=log, stderr=log,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            alive = server.poll() is None and time.monotonic() < deadline
            assert alive, (folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        client = (f"{programs}/bin/mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(port), "-u", Server.user,
                  f"-p{Server.password}", "-N", "-B", "--default-character-set=utf8mb4", "shop")  # fmt: skip
        yield Server(f"jdbc:mysql://127.0.0.1:{port}/shop", client, env)
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)
