"""Writes the names of all settings that Spark and Delta know: ./spark-submit.sh benchmarks/spark_settings.py OUT.txt

For `lib/headrace/config/checks/spark_settings.txt`, after an upgrade of either. Names come from the JVM: the settings that
register themselves (as `SET -v` shows, and those it hides), and those that Spark's classes hold as plain text; and from
pyspark's own modules, which ask for some by name.
"""

from __future__ import annotations

import re
import sys
import zipfile
from collections import defaultdict
from pathlib import Path

import pyspark
from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

NAME = re.compile(rb"spark\.[a-z][A-Za-z0-9]*(?:\.[A-Za-z0-9_-]+)*")
HOLDERS = re.compile(r"(Conf|Config|Configs|Configuration|internal/config/.*|config/package|HiveUtils)\$\.class$")
ASKED = re.compile(r"""\.get\(\s*["'](spark\.[a-z][A-Za-z0-9]*(?:\.[A-Za-z0-9_-]+)*)["']""")

NOT_PLAIN = ("spark.sql.", "spark.databricks.", "spark.job")


def main(target: str) -> None:
    spark = SparkSession.builder.getOrCreate()
    jvm = spark.sparkContext._jvm
    jars = sorted(Path(jvm.java.lang.System.getenv("SPARK_HOME"), "jars").glob("spark-*.jar"))
    jars += [Path(p) for p in spark.conf.get("spark.driver.extraClassPath", "").split(":") if "delta" in p]
    texts: set[str] = set()
    for jar in jars:
        with zipfile.ZipFile(jar) as archive:
            for entry in archive.namelist():
                if entry.endswith(".class"):
                    texts |= plain(archive.read(entry))
                if HOLDERS.search(entry):
                    load(jvm, entry)
    entries = getattr(jvm.org.apache.spark.internal.config, "ConfigEntry$").__getattr__("MODULE$").knownConfigs()
    registered = {str(name) for name in entries.keySet()}
    # of spark.sql and Delta all settings register; other texts there are properties of tables and jobs
    groups = {name.rpartition(".")[0] for name in registered | texts}
    known = registered | {t for t in texts if not t.startswith(NOT_PLAIN)} - (groups - registered) | of_python()
    write(target, {name: bool(spark.conf.isModifiable(name)) for name in known if NAME.fullmatch(name.encode())})


def plain(content: bytes) -> set[str]:
    """Texts of a class that look like settings: each constant follows its length in two bytes."""
    found = set()
    for match in NAME.finditer(content):
        length = int.from_bytes(content[match.start() - 2 : match.start()], "big")
        if length == len(match[0]) and content[match.start() - 3] == 1:
            found.add(match[0].decode())
    return found


def of_python() -> set[str]:
    """Settings that pyspark's modules read."""
    modules = (f for f in Path(pyspark.__path__[0]).rglob("*.py") if "tests" not in f.parts)
    names = {name for module in modules for name in ASKED.findall(module.read_text(encoding="utf-8"))}
    return {name for name in names if not name.startswith("spark.executorEnv.")}  # in examples


def load(jvm: object, entry: str) -> None:
    """Let an object register its settings."""
    name = entry.removesuffix(".class").replace("/", ".")
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    try:
        jvm.java.lang.Class.forName(name, True, loader)
    except Py4JError as error:  # what needs a library that is not there
        sys.stderr.write(f"{name}: {str(error).splitlines()[1:2]}\n")


def write(target: str, modifiable: dict[str, bool]) -> None:
    """A line a group: `spark.sql.adaptive: +enabled ...`; `+` can be set while Spark runs."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(modifiable):
        group, _, last = name.rpartition(".")
        groups[group].append("+" * modifiable[name] + last)
    lines = [f"{group}: {' '.join(names)}\n" for group, names in sorted(groups.items())]
    Path(target).write_text("".join(lines))
    print(len(modifiable), "settings,", sum(modifiable.values()), "while Spark runs")


main(sys.argv[1])
