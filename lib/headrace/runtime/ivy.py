"""Jars by their Maven coordinates, resolved by Spark's own Ivy."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace.runtime.trust import java_options


def fetched(
    scratch: Path,
    spark_home: Path,
    env: Mapping[str, str],
    options: Sequence[str],
    packages: Sequence[str],
    excludes: Sequence[str] = (),
) -> tuple[tuple[Path, ...], str]:
    """Resolve coordinates, with all that they need, into a scratch folder.

    Args:
        scratch: An empty folder.
        spark_home: Spark's folder.
        env: The environment.
        options: Options of spark-submit that say where from.
        packages: As `group:artifact:version`.
        excludes: As `group:artifact`, with `*`.

    Returns:
        The jars, empty where something is missing, and what was said.
    """
    noop = Path(scratch, "noop.py")
    noop.write_text("")
    command = [str(spark_home / "bin" / "spark-submit"), "--master", "local[1]", *options]
    command += ["--conf", f"spark.jars.ivy={scratch}/ivy", "--conf", "spark.ui.enabled=false"]
    command += ["--packages", ",".join(packages)]
    command += ["--exclude-packages", ",".join(excludes)] if excludes else []
    command += [str(noop)]
    child = {**env, "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    output = _run(command, child)
    jars = _jars(scratch, packages)
    trust = None if jars else java_options(scratch, env)
    if trust:  # once more, with the certificates of the machine
        output = _run(command, child | {"JAVA_TOOL_OPTIONS": f"{env.get('JAVA_TOOL_OPTIONS', '')} {trust}".strip()})
        jars = _jars(scratch, packages)
    return jars, output


def said(output: str) -> str:
    """The lines of Ivy that tell why something could not be had."""
    telling = re.compile(r"unresolved|not found|Exception:|refused|timed out|denied|SERVER ERROR", re.I)
    lines = [line.strip(" :\t") for line in output.splitlines() if telling.search(line)]
    lines.sort(key=lambda line: "spark-packages" in line)  # a second repository of Spark's, which has little
    return "\n  ".join(dict.fromkeys(line[:200] for line in lines[:4])) or output.strip()[-300:] or "no output"


def _jars(scratch: Path, packages: Sequence[str]) -> tuple[Path, ...]:
    jars = tuple(sorted(Path(scratch, "ivy", "jars").glob("*.jar")))
    names = {jar.name for jar in jars}
    wanted = {
        "_".join([*package.split(":")[:1], package.split(":")[1]]) + f"-{package.split(':')[2]}.jar"
        for package in packages
    }
    return jars if wanted <= names else ()


def _run(command: list[str], env: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True, errors="replace", check=False)
    return done.stdout + done.stderr
