"""A faster start on one machine: classes that an earlier run has loaded are kept in an archive of the JVM.

Measured on two cores (Java 17): session, Delta write and read, from start to exit 17.4 s without, 11.8 s with;
29 and 21 seconds of CPU. Making the archive lengthens one run by 11 s and takes 190 MB, so the second run in
a `HEADRACE_HOME` makes it, as it ends: a folder that is used once never pays. The JVM checks that the archive fits
(its own version, the class path, the jars' times) and otherwise starts without it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import ConfigError
from headrace.runtime import cache

SILENT = "-Xshare:auto -Xlog:disable -Xlog:all=off"
ROOM = 1 << 30
FOLDERS = ("SPARK_CONF_DIR", "HADOOP_CONF_DIR", "YARN_CONF_DIR", "SPARK_DIST_CLASSPATH")
"What puts folders on the class path."


@dataclass(frozen=True)
class Start:
    """How to start the JVM.

    Attributes:
        options: Options of Java.
        notice: A line for people, or None.
    """

    options: str = ""
    notice: str | None = None


def wanted(env: Mapping[str, str], java_options: str, class_path: Sequence[str]) -> bool:
    """Whether an archive may be used: the user has no word in it, and no folder is on the class path."""
    switch = env.get("HEADRACE_FAST_START", "on")
    if switch not in ("on", "off"):
        raise ConfigError(f"HEADRACE_FAST_START={switch} is not known; on (the default) or off")
    folders = any(env.get(name) for name in FOLDERS)
    mine = "-Xshare" in java_options or "Archive" in java_options
    return switch == "on" and not mine and not folders and all(entry.endswith(".jar") for entry in class_path)


def start(home: Path, java_home: Path, spark_home: Path, class_path: Sequence[str], may_make: bool) -> Start:
    """Use the archive if there is one, make it in this run if it is the second, note that this is the first.

    Args:
        home: `HEADRACE_HOME`.
        java_home: The Java in use.
        spark_home: Spark's folder.
        class_path: Jars in front of Spark's own.
        may_make: False for short commands, which load too little to be worth keeping.
    """
    folder = cache.folder(home, "cache")
    key = _key(java_home, spark_home, class_path)
    archive, seen = folder / f"start-{key}.jsa", folder / f"start-{key}.seen"
    if archive.is_file():
        return Start(f'"-XX:SharedArchiveFile={archive}" {SILENT}')
    if not may_make or shutil.disk_usage(folder).free < ROOM:
        return Start()
    if not seen.exists():
        seen.touch()
        return Start()
    for old in (*folder.glob("start-*.jsa"), *folder.glob("start-*.seen")):
        old.unlink(missing_ok=True)
    return Start(
        f'"-XX:ArchiveClassesAtExit={archive}" {SILENT}',
        "as it ends, this run keeps what makes later starts faster (once, about 10 s; HEADRACE_FAST_START=off: never)",
    )


def _key(java_home: Path, spark_home: Path, class_path: Sequence[str]) -> str:
    files = [java_home / "release", java_home / "bin" / "java", spark_home / "jars", *map(Path, class_path)]
    return cache.digest(*(f"{path} {_stamp(path)}" for path in files))


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "none"
    return f"{found.st_size} {found.st_mtime_ns}"
