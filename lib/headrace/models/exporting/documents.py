"""Formats that are one file for all of the scoring: the graph of ONNX, the document of PMML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from headrace.models.compiled.agreement import TOLERANCE
from headrace.models.compiled.scorer import Compiled
from headrace.models.compiled.sql import NotCompiled
from headrace.models.exporting import formats
from headrace.models.exporting.graphs.graph import MISSING, NO_MOMENT, NotExported

FILES = {"onnx": "model.onnx", "pmml": "model.pmml"}
"""By format, the file."""
_NAMES = {"onnx": "ONNX", "pmml": "PMML"}


def content(form: str, compiled: Compiled, about: Mapping[str, Any]) -> bytes:
    """The file of a scorer.

    Args:
        form: The format.
        compiled: The scorer.
        about: `model`, `version`, `signature`; the file carries it.

    Raises:
        ConfigError: If the format cannot express the scorer, with the reason and the nearest format that works.
    """
    try:
        if form == "onnx":
            from headrace.models.exporting.graphs import build as graphs

            more = {"missing_text": MISSING, "missing_moment": int(NO_MOMENT)}
            made: bytes = graphs.graph_of(compiled, _properties(compiled, {**about, **more})).SerializeToString()
            return made
        from headrace.models.exporting.pmml import build as pmml

        return pmml.document_of(compiled, _properties(compiled, about))
    except (NotExported, NotCompiled) as error:
        raise formats.refusal(form, f"{_NAMES[form]} cannot express {error}", "pickle") from error


def _properties(compiled: Compiled, about: Mapping[str, Any]) -> dict[str, str]:
    """What a file says of itself."""
    inputs = {name: compiled.card.features[name] for name in compiled.inputs}
    told = {**about, "card": compiled.card.as_dict(), "inputs": inputs, "classes": list(compiled.names)}
    return {f"headrace.{name}": json.dumps(value, ensure_ascii=False, default=str) for name, value in told.items()}


def asked(form: str, held: bytes, compiled: Compiled, rows: pa.Table) -> pa.Table:
    """What a file says of rows, as `Compiled.score` gives it."""
    if form == "onnx":
        from headrace.models.exporting.graphs import run as graphs

        return graphs.asked(held, compiled, rows)
    from headrace.models.exporting.pmml import run as pmml

    return pmml.asked(held, compiled, rows)


def tolerance(compiled: Compiled) -> float:
    """Within which a file must agree with Spark, relative; see `agreement`."""
    if any(kind == "xgboost" for kind, _, _ in compiled.described):
        from headrace.models.exporting.graphs import boosting

        return boosting.TOLERANCE
    return TOLERANCE
