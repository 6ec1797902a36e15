"""From settings to a Spark that starts: one file of properties and an environment, local or on a cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.config import modules, secrets
from headrace.errors import ConfigError
from headrace.runtime import cache, faststart, hooks, packages, places, settings
from headrace.runtime.jars import delta_jars
from headrace.runtime.java import java_home

LEVELS = ("error", "warn", "info", "debug")

LIGHT = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"
"""Compile lightly: the JVM's first compiler starts fast, its second pays in long computations only.

With the first alone the JVM sets 48 MB aside for compiled code. The classes that Spark generates fill them within
minutes (an open `headrace sql`); from then on a quarter of the time went into sweeping them and compiling again.
"""


@dataclass(frozen=True)
class Wishes:
    """What is asked of Spark.

    Attributes:
        user: Settings from the command line; they win.
        file: Settings from the user's file of properties.
        pipeline: `spark:` of the pipeline.
        environment: `spark:` of the environment, with its master.
        jars: Jars for the driver's class path.
        warehouse: Root of all schemas; None: in `HEADRACE_HOME`.
        hive: Whether the catalogue is a Hive metastore; otherwise it is in memory.
        quick: A short command: compile lightly, and make no archive.
        archive: Whether the JVM may make its start-up archive as it ends: not where nobody waits for it.
        fetch: Options of spark-submit that say where jars come from.
        hooks: The user's own modules that the pipeline names.
        packages: Jars that its sources need, by coordinates.
        utc: Whether Java's time zone has to be UTC: drivers of databases hand over times in it.
    """

    user: Mapping[str, str] = field(default_factory=dict)
    file: Mapping[str, str] = field(default_factory=dict)
    pipeline: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    jars: tuple[str, ...] = ()
    warehouse: str | None = None
    hive: bool = False
    quick: bool = False
    archive: bool = True
    fetch: tuple[str, ...] = ()
    hooks: Mapping[str, modules.Source] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    utc: bool = False


@dataclass(frozen=True)
class Launch:
    """Spark, ready to start.

    Attributes:
        spark_home: Spark's folder.
        properties: The file of properties.
        env: The environment.
        notice: A line for people, or None.
    """

    spark_home: Path
    properties: Path
    env: dict[str, str]
    notice: str | None = None


def prepare(home: Path, wishes: Wishes, env: Mapping[str, str] = os.environ) -> Launch:
    """Find Java, Spark and the jars, and write the file of properties.

    Raises:
        ConfigError: On settings that cannot be.
        HeadraceError: If Java or the jars cannot be had.
    """
    spark = places.spark_home(env)
    java = java_home(home, places.project(), env)
    child = {**env, "HEADRACE_HOME": str(home), "SPARK_HOME": str(spark), "JAVA_HOME": str(java)}
    jars = tuple(map(str, delta_jars(home, spark, child, wishes.fetch)))
    upper = _upper(wishes)
    wanted = packages.lacking(wishes.packages, spark, (*wishes.jars, *_given_jars(wishes, upper)))
    jars += tuple(map(str, packages.jars(home, spark, wanted, child, wishes.fetch)))
    own, master = _own(home, wishes, jars)
    start = faststart.Start()
    if settings.is_local(master):
        child.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        child["PYSPARK_PYTHON"] = sys.executable
        class_path = settings.layered(own, upper)[settings.DRIVER_CLASS_PATH].split(os.pathsep)
        if faststart.wanted(env, upper.get(settings.DRIVER_JAVA_OPTIONS, ""), class_path):
            start = faststart.start(home, java, spark, class_path, may_make=wishes.archive and not wishes.quick)
    else:
        child.setdefault("PYSPARK_PYTHON", sys.executable)
    child["PYSPARK_DRIVER_PYTHON"] = sys.executable
    options = {settings.DRIVER_JAVA_OPTIONS: f"{_logging(env)} {start.options} {LIGHT if wishes.quick else ''}".strip()}
    return Launch(spark, _properties(home, settings.layered(own, options, upper)), child, start.notice)


def _properties(home: Path, found: Mapping[str, str]) -> Path:
    """The file of properties; one that holds secrets is in memory only, and gone with the processes that use it.

    Raises:
        ConfigError: If a secret is not set, or there are no such files.
    """
    text = settings.render(secrets.revealed(found)).encode()
    if not any(map(secrets.names, found.values())):
        return cache.write(cache.folder(home, "cache") / f"spark-{cache.digest(text)}.conf", text)
    if not hasattr(os, "memfd_create"):
        raise ConfigError("secrets among Spark's settings need Linux; elsewhere set them by --properties-file")
    handle = os.memfd_create("headrace", 0)  # inherited: spark-submit, its JVM and its Python read it
    os.write(handle, text)
    return Path(f"/proc/{os.getpid()}/fd/{handle}")


def _upper(wishes: Wishes) -> dict[str, str]:
    """What lies above Headrace's own settings; of the command line only lists, the rest is passed on as it is."""
    lists = {key: value for key, value in wishes.user.items() if key in settings.JOINED}
    texts = settings.as_text(wishes.pipeline), settings.as_text(wishes.environment)
    return settings.layered(*texts, wishes.file, lists)


def _given_jars(wishes: Wishes, upper: Mapping[str, str]) -> list[str]:
    """What the user names of jars and coordinates, wherever."""
    names = (settings.JARS, settings.DRIVER_CLASS_PATH, settings.PACKAGES)
    return [found[name] for found in (wishes.user, upper) for name in names if name in found]


def _own(home: Path, wishes: Wishes, jars: tuple[str, ...]) -> tuple[dict[str, str], str]:
    """Headrace's settings, and the master."""
    master = wishes.user.get("spark.master") or _upper(wishes).get("spark.master") or "local[*]"
    own = settings.read_file(places.conf() / "base.conf") | settings.DELTA
    own["spark.sql.warehouse.dir"] = wishes.warehouse or str(home / "warehouse")
    own[settings.S3A_CREDENTIALS] = ",".join(settings.S3A_PROVIDERS)
    own["spark.sql.catalogImplementation"] = "hive" if wishes.hive else "in-memory"
    driver = os.pathsep.join((*jars, *wishes.jars))
    if settings.is_local(master):
        own |= {"spark.driver.memory": settings.driver_memory()} | settings.read_file(places.conf() / "local.conf")
        own[settings.DRIVER_CLASS_PATH] = driver
    else:
        own[settings.JARS] = ",".join((*jars, *wishes.jars))
        own[settings.PY_FILES] = str(library_zip(home))
        if wishes.jars:
            own[settings.DRIVER_CLASS_PATH] = os.pathsep.join(wishes.jars)
    if wishes.hooks:
        shipped = str(hooks.archive(home, wishes.hooks))
        own[settings.PY_FILES] = settings.joined(own.get(settings.PY_FILES, ""), shipped, ",")
    if wishes.utc:
        own |= dict.fromkeys((settings.DRIVER_JAVA_OPTIONS, settings.EXECUTOR_JAVA_OPTIONS), "-Duser.timezone=UTC")
    own["spark.master"] = master
    return own, master


def _logging(env: Mapping[str, str]) -> str:
    level = (env.get("HEADRACE_LOG") or "warn").lower()
    if level not in LEVELS:
        raise ConfigError(f"HEADRACE_LOG={level} is no level; {', '.join(LEVELS)} are (default: warn)")
    options = f"-Dlog4j2.configurationFile={(places.conf() / 'log4j2.properties').as_uri()} -Dheadrace.log={level}"
    return f"{options} -Dheadrace.noisy={level}" if level in ("info", "debug") else options


def library_zip(home: Path, package: Path = places.PACKAGE) -> Path:
    """The library as one file for executors, named after its content."""
    files = sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    contents = {str(path.relative_to(package.parent)): path.read_bytes() for path in files}
    name = cache.digest(*(part for pair in contents.items() for part in pair))
    return cache.archive(home, f"headrace-{name}.zip", contents)
