"""Stores that lie elsewhere, on the loopback: HDFS of Hadoop's own mini cluster, and an S3 server."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyspark
from pyspark.sql import SparkSession

from headrace.runtime import ivy
from tests.support.servers import alone, answers, cached, free_port

SPARK_HOME = Path(pyspark.__file__).parent
MINICLUSTER = "org.apache.hadoop:hadoop-client-minicluster:3.5.0"
_SPARK_HAS = ("ch.qos*:*", "com.google*:*", "commons-*:*", "junit:*", "org.bouncycastle:*", "org.junit*:*", "org.slf4j:*",
              "org.apache.hadoop:hadoop-client-api", "org.apache.hadoop:hadoop-client-runtime", "org.xerial*:*")  # fmt: skip


def minicluster_jar() -> Path:
    """Hadoop's mini cluster, fetched once (56 MB); all else it needs is in Spark."""
    folder = cached() / "hdfs"
    there = sorted(folder.glob("*minicluster*.jar"))
    if not there:
        with tempfile.TemporaryDirectory(dir=cached()) as scratch:
            env = {**os.environ, "SPARK_HOME": str(SPARK_HOME)}
            jars, output = ivy.fetched(Path(scratch), SPARK_HOME, env, (), (MINICLUSTER,), _SPARK_HAS)
            assert jars, ivy.said(output)
            folder.mkdir(exist_ok=True)
            there = [jar.replace(folder / jar.name) for jar in jars]
    return there[0]


@contextmanager
def _running(command: list[str], port: int, log: Path, env: dict[str, str] | None = None) -> Iterator[None]:
    """A server while this lasts, once it answers."""
    with log.open("w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, cwd=log.parent, env=env)
    try:
        deadline = time.monotonic() + 120
        while not answers(port):
            alive = server.poll() is None and time.monotonic() < deadline
            assert alive, log.read_text()[-2000:]
            time.sleep(0.1)
        yield
    finally:
        server.kill()
        server.wait()


@contextmanager
def hdfs() -> Iterator[str]:
    """A name node and a data node; yields the address, as `hdfs://127.0.0.1:1234`."""
    with alone():
        jar = minicluster_jar()
    port = free_port()
    java = str(Path(os.environ["JAVA_HOME"], "bin", "java")) if os.environ.get("JAVA_HOME") else "java"
    with tempfile.TemporaryDirectory(prefix="hdfs-") as folder:
        details = Path(folder, "ready.json")
        line = [java, "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", f"{jar}:{SPARK_HOME}/jars/*",
                "org.apache.hadoop.test.MiniDFSClusterManager", "-format", "-datanodes", "1", "-nnport", str(port),
                "-D", f"hdfs.minidfs.basedir={folder}/dfs", "-D", "dfs.namenode.rpc-bind-host=127.0.0.1",
                "-writeDetails", str(details)]  # fmt: skip
        with _running(line, port, Path(folder, "log")):
            deadline = time.monotonic() + 60
            while not details.exists():  # the name node answers before the data node has joined
                assert time.monotonic() < deadline, Path(folder, "log").read_text()[-2000:]
                time.sleep(0.1)
            yield f"hdfs://127.0.0.1:{port}"


@dataclass(frozen=True)
class Folder:
    """A folder of HDFS, written by the session's own client.

    Attributes:
        spark: The session.
        path: Where it is.
    """

    spark: SparkSession
    path: str

    def put(self, name: str, content: str | bytes) -> None:
        """Write a file."""
        system, path = self._at(name)
        stream = system.create(path, True)
        stream.write(bytearray(content.encode() if isinstance(content, str) else content))
        stream.close()

    def delete(self, name: str) -> None:
        """Delete a file."""
        system, path = self._at(name)
        assert system.delete(path, True)

    def _at(self, name: str) -> tuple[Any, Any]:
        jvm: Any = self.spark.sparkContext._jvm
        path = jvm.org.apache.hadoop.fs.Path(f"{self.path}/{name}")
        return path.getFileSystem(self.spark.sparkContext._jsc.hadoopConfiguration()), path  # type: ignore[union-attr]


@dataclass(frozen=True)
class Bucket:
    """A bucket on an S3 server that takes any keys for credentials.

    Attributes:
        address: The server's.
        name: The bucket's.
        prefix: Of all keys.
    """

    address: str
    name: str
    prefix: str = ""

    @property
    def path(self) -> str:
        """The bucket, or a folder of it, as Spark names it."""
        return f"s3a://{self.name}{self.prefix}"

    def folder(self, name: str) -> Bucket:
        """A folder of the bucket."""
        return replace(self, prefix=f"{self.prefix}/{name}")

    def put(self, key: str, content: str | bytes) -> None:
        """Write an object, past Hadoop."""
        self._ask(
            "PUT", f"{quote(self.prefix)}/{quote(key)}", content.encode() if isinstance(content, str) else content
        )

    def delete(self, key: str) -> None:
        """Delete an object."""
        self._ask("DELETE", f"{quote(self.prefix)}/{quote(key)}")

    def settings(self) -> dict[str, str]:
        """Hadoop's settings for this server, without credentials."""
        of_bucket = f"fs.s3a.bucket.{self.name}"
        return {
            f"{of_bucket}.endpoint": self.address,
            f"{of_bucket}.endpoint.region": "us-east-1",
            f"{of_bucket}.path.style.access": "true",
            f"{of_bucket}.connection.ssl.enabled": "false",
        }

    def _ask(self, method: str, path: str, body: bytes | None = None) -> None:
        url = f"{self.address}/{self.name}{path}"
        signed = "AWS4-HMAC-SHA256 Credential=x/20240101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x"
        headers = {"Content-Type": "application/octet-stream", "Authorization": signed}
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=30):
            pass


@contextmanager
def moto() -> Iterator[str]:
    """Moto's server, of S3 and of DynamoDB; yields its address."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="moto-") as folder:
        line = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with _running(line, port, Path(folder, "log"), {**os.environ, "PYTHONPATH": ""}):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/data.json", timeout=30).close()
            yield f"http://127.0.0.1:{port}"


@contextmanager
def s3(*names: str) -> Iterator[tuple[Bucket, ...]]:
    """A server with empty buckets."""
    with moto() as address:
        made = tuple(Bucket(address, name) for name in names)
        for bucket in made:
            bucket._ask("PUT", "")
        yield made
