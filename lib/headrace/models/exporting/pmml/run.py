"""A document of PMML asked about rows, by PMML4S."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import HeadraceError
from headrace.models.compiled.scorer import Compiled

_ASK = """
import sys
from pypmml import Model
document, rows, told = sys.argv[1:]
answer = Model.fromString(open(document, encoding="utf-8").read()).predict(open(rows, encoding="utf-8").read())
open(told, "w", encoding="utf-8").write(answer)
Model.close()
"""
_BEYOND = "1e999"
"""JSON has no infinity, but numbers that are none else as a double."""


def records(types: Mapping[str, pa.DataType], rows: pa.Table) -> str:
    """Rows as JSON, as documents take them; what is missing is not there.

    Args:
        types: Of the inputs, by name.
        rows: Their columns, and maybe others.
    """
    columns = [_column(rows.column(name).combine_chunks().cast(kind)) for name, kind in types.items()]
    names = [json.dumps(name) for name in types]
    each = (
        ",".join(f"{name}:{value}" for name, value in zip(names, row, strict=True) if value != "null")
        for row in zip(*columns, strict=True)
    )
    return "[" + ",".join(f"{{{one}}}" for one in each) + "]"


def _column(column: pa.Array) -> list[str]:
    if pa.types.is_timestamp(column.type):
        column = _milliseconds(column)
    elif pa.types.is_date(column.type):
        column = column.view(pa.int32())
    elif pa.types.is_decimal(column.type):
        return ["null" if one is None else json.dumps(float(one)) for one in column.to_pylist()]
    return [_json(one) for one in column.to_pylist()]


def _milliseconds(column: pa.Array) -> pa.Array:
    """Since 1970, rounded down."""
    micros = column.view(pa.int64())
    below = pc.less(micros, 0)
    return pc.if_else(below, pc.divide(pc.subtract(micros, 999), 1000), pc.divide(micros, 1000))


def _json(value: Any) -> str:
    if isinstance(value, float) and not np.isfinite(value):
        return "null" if np.isnan(value) else _BEYOND if value > 0 else f"-{_BEYOND}"
    return json.dumps(value)


def asked(content: bytes, compiled: Compiled, rows: pa.Table) -> pa.Table:
    """What a document says of rows, as `Compiled.score` gives it; by a process that has nothing but it.

    Raises:
        HeadraceError: If it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-") as scratch:
        document, given, told = (Path(scratch) / name for name in ("model.pmml", "rows.json", "told.json"))
        document.write_bytes(content)
        given.write_text(records(compiled.types, rows), encoding="utf-8")
        command = [sys.executable, "-c", _ASK, str(document), str(given), str(told)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not told.is_file():
            last = (done.stderr or done.stdout).strip().splitlines()
            raise HeadraceError(f"what was written cannot be read by PMML4S: {last[-1] if last else 'no answer'}")
        return answers(compiled, told.read_text(encoding="utf-8"))


def answers(compiled: Compiled, told: str) -> pa.Table:
    """What PMML4S said, as `Compiled.score` gives it."""
    data = json.loads(told)

    def column(name: str) -> list[Any]:
        return [row.get(name) for row in data]

    said, count = column("prediction"), len(data)
    kind = compiled.schema.field("prediction").type
    if compiled.labels is None:
        found = pa.array(_floats(said))
        return pa.Table.from_arrays([found, pa.nulls(count, pa.float64())], schema=compiled.schema)
    prediction = pa.array(said, kind)
    if compiled.card.task == "binary":
        likely = pa.array(_floats(column("probability")))
        return pa.Table.from_arrays([prediction, likely], schema=compiled.schema)
    classes = compiled.names
    every = np.array([_floats(column(f"probability_{name}")) for name in classes]).T
    ends = pa.array(np.arange(count + 1, dtype=np.int32) * len(classes), pa.int32())
    keys = pa.array(classes).take(pa.array(np.tile(np.arange(len(classes)), count)))
    each = pa.MapArray.from_arrays(ends, keys, pa.array(np.ravel(every)))
    return pa.Table.from_arrays([prediction, each], schema=compiled.schema)


def _floats(values: Sequence[Any]) -> Any:
    """What is missing as NaN."""
    return np.array([np.nan if one is None else float(one) for one in values], dtype=np.float64)
