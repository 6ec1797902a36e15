"""Looks for a text in everything that a run has left."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq


def holding(folder: Path, value: str) -> list[str]:
    """The files below a folder that hold a text, as they are or among the values of Parquet: those are packed."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [str(path) for path in files if value.encode() in path.read_bytes() or value in _values(path)]


def _values(path: Path) -> str:
    if path.suffix != ".parquet":
        return ""
    with pq.ParquetFile(path) as file:
        return json.dumps(file.read().to_pylist(), default=str, ensure_ascii=False)
