"""The two jars of Delta: resolved once by Spark's own Ivy, and kept in `HEADRACE_HOME/jars`."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace.errors import ConfigError, HeadraceError
from headrace.runtime import cache, ivy

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
        wanted = [f"io.delta:{artifact}:{VERSION}" for artifact in ARTIFACTS]
        _, output = ivy.fetched(Path(scratch), spark_home, env, options, wanted, EXCLUDES)
        fetched = _present(Path(scratch, "ivy", "jars"))
        if not fetched:
            raise HeadraceError(_failure(output, folder))
        for jar in fetched:
            os.replace(jar, folder / jar.name)
    jars = _present(folder)
    size = sum(jar.stat().st_size for jar in jars) / 1e6
    say(f"headrace: fetching Delta {VERSION}: {time.monotonic() - started:.0f} s, {size:.1f} MB in {folder}\n")
    return jars


def _failure(output: str, folder: Path) -> str:
    return (
        f"Delta's jars could not be fetched from the Maven repository. Spark's Ivy said:\n  {ivy.said(output)}\n"
        "What to do, one of these:\n"
        "- out of reach: run this again, or name a mirror by the variable DEFAULT_ARTIFACT_REPOSITORY=URL, or\n"
        "  by settings of Ivy: ./spark-submit.sh --conf spark.jars.ivySettings=FILE ...\n"
        f"- put {FILES[0]} and {FILES[1]} into {folder}\n"
        "- have them elsewhere: HEADRACE_JARS=/path/a.jar,/path/b.jar"
    )
