"""A graph asked about rows, by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.models.compiled.scorer import Compiled
from headrace.models.exporting.graphs.graph import MISSING, NO_MOMENT


def feeds(types: Mapping[str, pa.DataType], rows: pa.Table) -> dict[str, Any]:
    """Rows as the inputs of a graph.

    Args:
        types: Of the inputs, by name.
        rows: Their columns, and maybe others.
    """
    return {name: _feed(rows.column(name).combine_chunks().cast(kind)) for name, kind in types.items()}


def _feed(column: pa.Array) -> Any:
    if pa.types.is_string(column.type):
        return np.array(column.fill_null(MISSING).to_pylist(), dtype=object)[:, None]
    if pa.types.is_temporal(column.type):
        wide = column.view(pa.int32()) if pa.types.is_date32(column.type) else column.view(pa.int64())
        return pc.fill_null(wide.cast(pa.int64()), int(NO_MOMENT)).to_numpy(zero_copy_only=False)[:, None]
    if pa.types.is_decimal(column.type):
        return np.array([np.nan if one is None else float(one) for one in column.to_pylist()])[:, None]
    wide = pc.cast(column, pa.float64(), safe=False)
    return wide.fill_null(np.nan).to_numpy(zero_copy_only=False)[:, None]


def run(content: bytes, given: Mapping[str, Any]) -> list[Any]:
    """The outputs of a model of ONNX, in order."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    wanted = {one.name for one in session.get_inputs()}
    return list(session.run(None, {name: one for name, one in given.items() if name in wanted}))


def asked(content: bytes, compiled: Compiled, rows: pa.Table) -> pa.Table:
    """What a model of ONNX says of rows, as `Compiled.score` gives it."""
    told = run(content, feeds(compiled.types, rows))
    said = pa.array(told[0].tolist(), compiled.schema.field("prediction").type)
    count = rows.num_rows
    if compiled.labels is None:
        return pa.Table.from_arrays([said, pa.nulls(count, pa.float64())], schema=compiled.schema)
    if compiled.card.task == "binary":
        return pa.Table.from_arrays([said, pa.array(told[1])], schema=compiled.schema)
    names = compiled.names
    ends = pa.array(np.arange(count + 1, dtype=np.int32) * len(names), pa.int32())
    keys = pa.array(names).take(pa.array(np.tile(np.arange(len(names)), count)))
    each = pa.MapArray.from_arrays(ends, keys, pa.array(np.ravel(told[1])))
    return pa.Table.from_arrays([said, each], schema=compiled.schema)
