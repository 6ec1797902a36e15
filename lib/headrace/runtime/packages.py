"""Jars that a pipeline needs: drivers of databases, connectors, file systems. Fetched once, kept in `HEADRACE_HOME`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace.config import secrets
from headrace.config.types import Environment, Pipeline, Source
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime import cache
from headrace.runtime.ivy import fetched, said

MARIADB = "org.mariadb.jdbc:mariadb-java-client:3.5.11"
DRIVERS = {
    "jdbc:postgresql:": "org.postgresql:postgresql:42.7.14",
    "jdbc:mysql:": "com.mysql:mysql-connector-j:9.7.0",
    "jdbc:mariadb:": MARIADB,
}
CONNECTORS = {
    "avro": ("org.apache.spark:spark-avro_2.13:4.2.0",),
    "mongodb": ("org.mongodb.spark:mongo-spark-connector_2.13:10.5.0",),
    "kafka": ("org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0",),
}
"""What a format needs; Spark's own ones of its version."""
_AWS = "2.35.4"
S3A = ",".join(
    (
        "org.apache.hadoop:hadoop-aws:3.5.0",
        *(f"software.amazon.awssdk:{module}:{_AWS}" for module in ("s3", "s3-transfer-manager", "sts")),
        "software.amazon.s3.analyticsaccelerator:analyticsaccelerator-s3:1.3.1",
    )
)
"""What `s3a://` needs, fetched together; of Hadoop's version in Spark. 15 MB, in place of AWS's bundle of 655 MB."""
EXCLUDES = (
    "at.yawk.lz4:*",
    "com.google.code.findbugs:*",
    "org.apache.hadoop:hadoop-client-*",
    "org.scala-lang*:*",
    "org.slf4j:*",
    "org.xerial.snappy:*",
)
"""What Spark has of its own."""
_OF_S3A = ("commons-*:*", "io.netty:*", "org.apache.httpcomponents:*", "software.amazon.awssdk:bundle")
"""What S3A names besides: Spark has it, and of the bundle it has the parts that it uses."""


def coordinates(pipeline: Pipeline, environment: Environment | None = None) -> tuple[str, ...]:
    """What the pipeline's own tables and its places need, by coordinates: as the YAML says, else what a url asks for."""
    sources = [table.source for table in pipeline.tables.values() if not table.shared]
    sources += [pipeline.scoring.stream.source] if pipeline.scoring.stream else []
    elsewhere = [sink.path for sink in pipeline.sinks.values()] + [environment.warehouse if environment else None]
    found = (*(package for source in sources for package in needed(source)), *of_places(*elsewhere))
    return tuple(dict.fromkeys(found))


def needed(source: Source) -> tuple[str, ...]:
    """What one source needs."""
    if source.packages is not None:
        return source.packages
    if source.kind == "jdbc":
        return of_url(source.url or "")
    return (*CONNECTORS.get(source.format.lower(), ()), *of_places(source.path))


def of_places(*paths: str | None) -> tuple[str, ...]:
    """What the file systems of some paths need, beyond those that Spark has."""
    return (S3A,) if any(path and path.lower().startswith("s3a:") for path in paths) else ()


def of_command(words: Sequence[str]) -> tuple[str, ...]:
    """What the words of a command line ask for: a path, the name of a format, or a file of it."""
    formats = [n for n in CONNECTORS if any(w.lower() == n or w.lower().endswith(f".{n}") for w in words)]
    return (*(package for name in formats for package in CONNECTORS[name]), *of_places(*words))


def of_url(url: str) -> tuple[str, ...]:
    """The driver that a database's URL asks for; none where it is not known."""
    try:
        url = secrets.reveal(url)
    except ConfigError:  # the stage that reads it says so; others go on without
        return ()
    if "permitMysqlScheme" in url:
        return (MARIADB,)
    return tuple(package for prefix, package in DRIVERS.items() if url.startswith(prefix))


def jars(
    home: Path,
    spark_home: Path,
    wanted: Sequence[str],
    env: Mapping[str, str] = os.environ,
    options: Sequence[str] = (),
) -> tuple[Path, ...]:
    """The jars of some coordinates, with all that they need.

    Args:
        home: `HEADRACE_HOME`.
        spark_home: Spark's folder, whose Ivy fetches what is not there.
        wanted: As `group:artifact:version`; those with commas between them are fetched as one.
        env: The environment.
        options: Options of spark-submit that say where from.

    Raises:
        HeadraceError: If they cannot be fetched.
    """
    return tuple(jar for package in wanted for jar in _of(home, spark_home, package, env, options))


def lacking(wanted: Sequence[str], spark_home: Path, given: Sequence[str]) -> tuple[str, ...]:
    """Of some coordinates those to be fetched: not what S3 needs where Spark was made for it, or the jar is given.

    Args:
        wanted: Coordinates.
        spark_home: Spark's folder.
        given: Jars and coordinates that the user names.
    """
    there = any((spark_home / "jars").glob("hadoop-aws-*.jar")) or any("hadoop-aws" in text for text in given)
    return tuple(package for package in wanted if not (there and package == S3A))


def _of(home: Path, spark_home: Path, package: str, env: Mapping[str, str], options: Sequence[str]) -> tuple[Path, ...]:
    folder = cache.folder(home, "packages")
    target = folder / f"{package.split(':')[1]}-{cache.digest(package)}"
    if not target.is_dir():
        with cache.alone(folder):
            if not target.is_dir():
                _fetch(folder, target, spark_home, package, env, options)
    return tuple(sorted(target.glob("*.jar")))


def _fetch(
    folder: Path, target: Path, spark_home: Path, package: str, env: Mapping[str, str], options: Sequence[str]
) -> None:
    started = time.monotonic()
    name, excludes = package.partition(",")[0], (*EXCLUDES, *_OF_S3A) if package == S3A else EXCLUDES
    sys.stderr.write(f"headrace: fetching {name} (once) ...\n")
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as scratch:
        found, output = fetched(Path(scratch), spark_home, env, options, package.split(","), excludes)
        if not found:
            raise HeadraceError(
                f"{name} could not be fetched from the Maven repository. Spark's Ivy said:\n  {said(output)}\n"
                "What to do, one of these:\n"
                "- mend `packages` of the source, if a version is not there\n"
                "- name a mirror: DEFAULT_ARTIFACT_REPOSITORY=URL, or --conf spark.jars.ivySettings=FILE\n"
                "- have the jars already: `packages: []` of the source, and --jars, or `jars` of an overlay"
            )
        ready = Path(scratch, "ready")
        ready.mkdir()
        for jar in found:
            shutil.move(jar, ready / jar.name)
        ready.replace(target)
    size = sum(jar.stat().st_size for jar in target.glob("*.jar")) / 1e6
    sys.stderr.write(f"headrace: fetched {target.name}: {time.monotonic() - started:.0f} s, {size:.1f} MB\n")
