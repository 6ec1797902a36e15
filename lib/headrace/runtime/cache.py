"""Files that are made once and kept in `HEADRACE_HOME`, also when two want to make them at the same time."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from headrace.errors import ConfigError

try:
    import fcntl
except ImportError:  # no such locks on Windows; there, two first runs at the same time do the work twice
    fcntl = None  # type: ignore[assignment]


def folder(home: Path, name: str) -> Path:
    """A folder within `HEADRACE_HOME`, made if need be.

    Raises:
        ConfigError: If it cannot be made.
    """
    path = home / name
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot write to {path} ({error.strerror}); set HEADRACE_HOME to a folder of yours"
        ) from error
    return path


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """Hold a lock on a folder; the lock goes with the process, however it ends."""
    if fcntl is None:
        yield
        return
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def digest(*parts: str | bytes) -> str:
    """A short name for a content."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()[:16]


def write(path: Path, data: bytes, mode: int = 0o600) -> Path:
    """Write a file so that readers see all of it or nothing."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as out:
        out.write(data)
    part.replace(path)
    return path


def archive(home: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """A zip of some files in `HEADRACE_HOME`, equal for equal files; `name` tells its content."""
    target = folder(home, "cache") / name
    if not target.exists():
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as packed:
            for path, content in files.items():
                packed.writestr(zipfile.ZipInfo(path, (2000, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
        write(target, data.getvalue(), mode=0o644)
    return target


@contextmanager
def temporary(files: Mapping[str, bytes]) -> Iterator[list[str]]:
    """Files, by their path within a folder that is there as long as the `with` lasts; gives what lies at its top."""
    with TemporaryDirectory(prefix="headrace-") as folder:
        for place, content in files.items():
            file = Path(folder, place)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        yield sorted(str(entry) for entry in Path(folder).iterdir())
