"""A compiled scorer as one graph of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.models.compiled.columns import arrow_type
from headrace.models.compiled.scorer import Compiled
from headrace.models.exporting.graphs import boosting, learners, stages, trees
from headrace.models.exporting.graphs.graph import (
    IR,
    MISSING,
    ML_OPSET,
    NO_MOMENT,
    OPSET,
    Cell,
    Frame,
    Graph,
    NotExported,
    Vector,
)

KINDS: dict[str, Callable[[Graph, Mapping[str, Any], Mapping[str, Any], Frame], None]] = {
    "sql": stages.sql, "index": stages.index, "hot": stages.hot, "assemble": stages.assemble, "picked": stages.picked,
    "components": stages.components, "times": stages.times, "normal": stages.normal, "spread": stages.spread_out,
    "rising": stages.rising, "logistic": learners.logistic, "machine": learners.machine, "linear": learners.linear,
    "bayes": learners.bayes, "against_the_rest": learners.against_the_rest, "forest": trees.forest,
    "boosted": trees.boosted, "values": trees.values, "xgboost": boosting.xgboost,
}  # fmt: skip
"""As `compiled.scorer.KINDS`."""
DOUBLE, INT, TEXT, BOOL = 11, 7, 8, 9
"""As `TensorProto` numbers them."""


def graph_of(compiled: Compiled, about: Mapping[str, str]) -> Any:
    """All of the scoring as a model of ONNX.

    Inputs are named as the features that are read, each (rows, 1): text, where `MISSING` stands for null; dates and times
    as days and microseconds since 1970 in integers of 64 bits, where `NO_MOMENT` stands for null; all else doubles, where NaN
    does. Outputs: `prediction` (rows,), in the label's own type, and `probability` (rows,) of the positive class, or
    (rows, classes).

    Args:
        compiled: The scorer.
        about: Goes into the model's properties.

    Raises:
        NotExported: If a part cannot be expressed.
    """
    graph, frame, inputs = opened({name: compiled.card.features[name] for name in compiled.inputs})
    for kind, params, arrays in compiled.described:
        KINDS[kind](graph, params, arrays, frame)
    return closed(graph, inputs, _answers(graph, compiled, frame), about)


def opened(features: Mapping[str, str]) -> tuple[Graph, Frame, list[Any]]:
    """A graph with nothing but its inputs; as cells by name; as ONNX has them.

    Args:
        features: Name -> Spark's simple type.

    Raises:
        NotExported: If there is none, or one has the name of an output.
    """
    from onnx import helper

    if not features or {"prediction", "probability"} & set(features):
        raise NotExported("a model of no columns, or of one that is called prediction or probability")
    graph, frame, inputs = Graph(), dict[str, Any](), []
    for name, kind in features.items():
        inputs.append(helper.make_tensor_value_info(name, _type(arrow_type(kind)), ["rows", 1]))
        frame[name] = _input(graph, name, kind)
    frame[stages.ROWS] = graph.op("Shape", graph.named(next(iter(features))))
    return graph, frame, inputs


def closed(graph: Graph, inputs: list[Any], outputs: list[Any], about: Mapping[str, str]) -> Any:
    """A graph as a model, checked by ONNX's own rules."""
    from onnx import checker, helper

    constants = [tensor for _, tensor in graph.constants.values()]
    made = helper.make_model(
        helper.make_graph(graph.nodes, "headrace", inputs, outputs, constants),
        producer_name="headrace",
        ir_version=IR,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
    )
    helper.set_model_props(made, dict(about))
    checker.check_model(made)
    return made


def _type(kind: pa.DataType) -> int:
    if pa.types.is_string(kind):
        return TEXT
    return INT if pa.types.is_temporal(kind) else DOUBLE


def _input(graph: Graph, name: str, kind: str) -> Cell:
    """A feature as a cell."""
    of = arrow_type(kind)
    graph.named(name)
    if pa.types.is_string(of):
        return Cell(name, graph.op("Equal", name, graph.constant(np.array([[MISSING]], dtype=object))), "text")
    if pa.types.is_temporal(of):
        nulls = graph.op("Equal", name, graph.whole(int(NO_MOMENT)))
        return Cell(
            graph.op("Where", nulls, graph.whole(0), name), nulls, "date" if pa.types.is_date(of) else "timestamp"
        )
    nulls = graph.op("IsNaN", name)
    if pa.types.is_boolean(of):
        return Cell(graph.op("Greater", name, graph.number(0.5)), nulls, "bool")
    return Cell(name, nulls, "whole" if pa.types.is_integer(of) else "double")


def _answers(graph: Graph, compiled: Compiled, frame: Frame) -> list[Any]:
    """The outputs, written."""
    from onnx import helper

    flat = graph.constant(np.array([-1]))
    said = graph.op("Reshape", frame["prediction"].values, flat)
    labels, kind = compiled.labels, DOUBLE
    if labels is not None:
        values = np.array(labels.to_pylist(), dtype=object if pa.types.is_string(labels.type) else None)
        values = values.astype(np.int64) if pa.types.is_integer(labels.type) else values
        kind = {"O": TEXT, "b": BOOL, "i": INT}.get(values.dtype.kind, DOUBLE)
        said = graph.op("Gather", graph.constant(values), graph.cast(said, "int"), axis=0)
    graph.nodes.append(helper.make_node("Identity", [said], ["prediction"]))
    outputs = [helper.make_tensor_value_info("prediction", kind, ["rows"])]
    if labels is None:
        return outputs
    likely: Vector = frame["probability"]
    name = likely.name
    shape: list[str | int | None] = ["rows", likely.width]
    if compiled.card.task == "binary":
        name, shape = graph.op("Reshape", graph.picked(name, [1]), flat), ["rows"]
    graph.nodes.append(helper.make_node("Identity", [name], ["probability"]))
    return [*outputs, helper.make_tensor_value_info("probability", DOUBLE, shape)]
