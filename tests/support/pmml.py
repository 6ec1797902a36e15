"""Documents of PMML asked by PMML4S, in one JVM for all tests; it ends with this process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pypmml import Model

from headrace.models.compiled.columns import arrow_type
from headrace.models.compiled.scorer import Compiled
from headrace.models.exporting.pmml import build, learners, run, stages
from headrace.models.exporting.pmml.sheet import Sheet


def told(compiled: Compiled, table: pa.Table) -> pa.Table:
    """What the document of a scorer says of rows."""
    model = Model.fromString(build.document_of(compiled, {"headrace.model": "demo"}).decode())
    return run.answers(compiled, model.predict(run.records(compiled.types, table)))


def features(steps: Sequence[Any], types: Mapping[str, str], table: pa.Table) -> np.ndarray:
    """The features that a document makes: (rows, width)."""
    sheet = Sheet([*types], "", tuple(types))
    frame: dict[str, Any] = {name: build._input(sheet, name, kind) for name, kind in types.items()}
    for one in steps:
        build.KINDS[one.kind](sheet, one.params, one.arrays, frame)
    made = [sheet.named(one) for one in stages.numbers(sheet, frame["features"])]
    learners.as_it_is(sheet, made[0])
    for place, one in enumerate(made):
        build._final(sheet, f"feature {place}", "double", one)
    content = build._whole(sheet, None, types, None, [], {})  # type: ignore[arg-type]
    kinds = {name: arrow_type(kind) for name, kind in types.items()}
    found = json.loads(Model.fromString(content.decode()).predict(run.records(kinds, table)))
    every = [[row.get(f"feature {place}") for place in range(len(made))] for row in found]
    return np.array(every, dtype=np.float64)


def of_whole_milliseconds(table: pa.Table) -> np.ndarray:
    """Rows of no time that documents cut off."""
    whole = np.ones(table.num_rows, bool)
    for column in table.columns:
        if pa.types.is_timestamp(column.type):
            micros = column.cast(pa.int64()).fill_null(0).to_numpy()
            whole &= micros % 1000 == 0
    return whole
