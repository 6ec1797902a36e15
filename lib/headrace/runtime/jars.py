"""The two jars of Delta: resolved once by Spark's own Ivy, and kept in `HEADRACE_HOME/jars`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace.errors import ConfigError, HeadraceError
from headrace.runtime import cache
from headrace.runtime.trust import java_options

VERSION = "4.4.0"
ARTIFACTS = ("delta-spark_4.2_2.13", "delta-storage")
FILES = tuple(f"{artifact}-{VERSION}.jar" for artifact in ARTIFACTS)
# What else Delta names is in Spark already, or serves catalogues that Headrace does not use: 31 jars, 85 MB.
EXCLUDES = (
    "io.delta:delta-kernel*",
    "io.unitycatalog:*",
    "com.fasterxml*:*",
    "com.github*:*",
    "com.google*:*",
    "commons-*:*",
    "io.airlift:*",
    "jakarta*:*",
    "javax*:*",
    "org.antlr:*",
    "org.apache*:*",
    "org.locationtech*:*",
    "org.roaringbitmap:*",
    "org.slf4j:*",
    "org.xerial*:*",
)


def delta_jars(home: Path, spark_home: Path, env: Mapping[str, str], options: Sequence[str] = ()) -> tuple[Path, ...]:
    """The jars that make Spark read and write Delta tables; fetched if they are not there.

    Args:
        home: `HEADRACE_HOME`.
        spark_home: Spark's folder, whose Ivy fetches them.
        env: The environment; `HEADRACE_JARS` names jars made available by hand.
        options: Options of spark-submit that say where from (`--repositories`, `--conf spark.jars.ivySettings=...`).

    Raises:
        ConfigError: If `HEADRACE_JARS` names a file that is not there.
        HeadraceError: If the jars cannot be fetched.
    """
    if env.get("HEADRACE_JARS"):
        return _given(env["HEADRACE_JARS"])
    folder = cache.folder(home, "jars")
    found = _present(folder)
    if not found:
        with cache.alone(folder):
            found = _present(folder) or _fetch(folder, spark_home, env, options)
    return found


def _given(text: str) -> tuple[Path, ...]:
    jars = tuple(Path(part.strip()).expanduser().absolute() for part in text.split(",") if part.strip())
    missing = [str(jar) for jar in jars if not jar.is_file()]
    if missing:
        raise ConfigError(f"HEADRACE_JARS names what is no file: {', '.join(missing)}; give {' and '.join(FILES)}")
    return jars


def _present(folder: Path) -> tuple[Path, ...]:
    """The jars in a folder, by their own names or as Ivy writes them (`io.delta_...`); empty if one is missing."""
    jars = []
    for name in FILES:
        there = [path for path in (folder / f"io.delta_{name}", folder / name) if path.is_file()]
        if not there:
            return ()
        jars.append(there[0])
    return tuple(jars)


def _fetch(folder: Path, spark_home: Path, env: Mapping[str, str], options: Sequence[str]) -> tuple[Path, ...]:
    started = time.monotonic()
    say = sys.stderr.write
    say(f"headrace: fetching Delta {VERSION} (2 jars, once) ...\n")
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as scratch:
        noop = Path(scratch, "noop.py")
        noop.write_text("")
        command = [str(spark_home / "bin" / "spark-submit"), "--master", "local[1]", *options]
        command += ["--conf", f"spark.jars.ivy={scratch}/ivy", "--conf", "spark.ui.enabled=false"]
        command += ["--packages", ",".join(f"io.delta:{artifact}:{VERSION}" for artifact in ARTIFACTS)]
        command += ["--exclude-packages", ",".join(EXCLUDES), str(noop)]
        child = {**env, "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
        output = _run(command, child)
        fetched = _present(Path(scratch, "ivy", "jars"))
        trust = None if fetched else java_options(Path(scratch), env)
        if trust:  # once more, with the certificates of the machine
            output = _run(command, child | {"JAVA_TOOL_OPTIONS": f"{env.get('JAVA_TOOL_OPTIONS', '')} {trust}".strip()})
            fetched = _present(Path(scratch, "ivy", "jars"))
        if not fetched:
            raise HeadraceError(_failure(output, folder))
        for jar in fetched:
            os.replace(jar, folder / jar.name)
    jars = _present(folder)
    size = sum(jar.stat().st_size for jar in jars) / 1e6
    say(f"headrace: fetching Delta {VERSION}: {time.monotonic() - started:.0f} s, {size:.1f} MB in {folder}\n")
    return jars


def _run(command: list[str], env: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True, errors="replace", check=False)
    return done.stdout + done.stderr


def _failure(output: str, folder: Path) -> str:
    telling = re.compile(r"unresolved|not found|Exception:|refused|timed out|denied|SERVER ERROR", re.I)
    lines = [line.strip(" :\t") for line in output.splitlines() if telling.search(line)]
    lines.sort(key=lambda line: "spark-packages" in line)  # a second repository of Spark's, which has no Delta
    reason = "\n  ".join(dict.fromkeys(line[:200] for line in lines[:4])) or output.strip()[-300:] or "no output"
    return (
        f"Delta's jars could not be fetched from the Maven repository. Spark's Ivy said:\n  {reason}\n"
        "What to do, one of these:\n"
        "- out of reach: run this again, or name a mirror by the variable DEFAULT_ARTIFACT_REPOSITORY=URL, or\n"
        "  by settings of Ivy: ./spark-submit.sh --conf spark.jars.ivySettings=FILE ...\n"
        f"- put {FILES[0]} and {FILES[1]} into {folder}\n"
        "- have them elsewhere: HEADRACE_JARS=/path/a.jar,/path/b.jar"
    )
