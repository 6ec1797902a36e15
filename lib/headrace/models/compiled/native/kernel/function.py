"""Trees as a function that Spark knows by name.

Its class is written in Java and compiled by Janino, the compiler that Spark brings for its own queries: so it fits the
Spark that is there, and needs no JDK. Class and trees travel to the executors as a jar.
"""

from __future__ import annotations

import hashlib
import uuid
import zipfile
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JError
from pyspark import SparkFiles
from pyspark.errors import PySparkException

from headrace.runtime.janino import cooked, instance

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PACKAGE, _CLASS = "headrace", "Trees"


@dataclass(frozen=True)
class Function:
    """Trees as a function of an array of doubles, all features in order, none of them null.

    Attributes:
        trees: As `packed` gives them.
    """

    trees: bytes

    @cached_property
    def name(self) -> str:
        """By what is in it: of two that have one name it does not matter which is asked."""
        return f"headrace_trees_{hashlib.sha256(_source().encode() + self.trees).hexdigest()[:16]}"

    def make(self, spark: SparkSession) -> bool:
        """Let a session know it, if it does not yet; whether it does: some take no jars."""
        session: Any = spark._jsparkSession
        try:
            if not session.catalog().functionExists(self.name):
                made = _instance(spark, self.name, self.trees)
                session.udf().register(self.name, made, session.parseDataType('"double"'))
        except (PySparkException, Py4JError, OSError, TypeError):  # no such compiler, no such folder, no JVM at hand
            return False
        return True


def _source() -> str:
    return files(__package__).joinpath(f"{_CLASS}.java").read_text()


def _instance(spark: SparkSession, name: str, trees: bytes) -> Any:
    context: Any = spark.sparkContext
    java = context._jvm.java.lang
    jar = Path(SparkFiles.getRootDirectory(), _PACKAGE, f"{name}.jar")  # until Spark ends
    if not jar.exists():  # executors may have it open
        _write(jar, _classes(context, name), f"{_PACKAGE}/{name}.bin", trees)
    session: Any = spark._jsparkSession
    session.sessionState().resourceLoader().addJar(jar.as_uri())  # as SQL's `add jar`, which takes no quotes
    loader = java.Thread.currentThread().getContextClassLoader()
    return instance(context, java.Class.forName(f"{_PACKAGE}.{name}", True, loader))


def _classes(context: Any, name: str) -> dict[str, bytes]:
    """The class, compiled, by its path in a jar."""
    made = cooked(context, _source().replace(_CLASS, name)).getBytecodes()
    return {f"{found.replace('.', '/')}.class": bytes(made[found]) for found in made}


def _write(jar: Path, classes: dict[str, bytes], beside: str, trees: bytes) -> None:
    jar.parent.mkdir(exist_ok=True)
    part = jar.with_suffix(f".{uuid.uuid4().hex}")
    with zipfile.ZipFile(part, "w") as whole:
        for path, held in classes.items():
            whole.writestr(path, held)
        whole.writestr(beside, trees)
    part.replace(jar)
