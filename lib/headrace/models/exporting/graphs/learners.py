"""Models that are sums over features, and those made of other models, as nodes; see `compiled.learners`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from headrace.models.compiled import learners
from headrace.models.exporting.graphs.graph import Cell, Frame, Graph, Vector
from headrace.models.exporting.graphs.stages import Arrays, Params


def give(graph: Graph, frame: Frame, params: Mapping[str, str], raw: Vector, probability: str, prediction: str) -> None:
    """What a classifier says of rows, by the names that its stage has for it; `prediction` of any type."""
    frame[params["raw"]] = raw
    if params.get("probability"):
        frame[params["probability"]] = Vector(probability, raw.width)
    frame[params["prediction"]] = Cell(graph.cast(prediction, "double"))


def shares(graph: Graph, values: str) -> str:
    """Each row's part of the row's sum; of nothing nothing."""
    total = graph.sum(values)
    zero = graph.op("Equal", total, graph.number(0.0))
    return graph.op("Div", values, graph.op("Where", zero, graph.number(1.0), total))


def softmax(graph: Graph, margins: str) -> str:
    """Probabilities of margins."""
    return shares(graph, graph.op("Exp", graph.op("Sub", margins, graph.most(margins))))


def sides(graph: Graph, margin: str) -> Vector:
    """Margins of both classes, of those of the second."""
    return Vector(graph.side_by_side(graph.op("Neg", margin), margin), 2)


def both(graph: Graph, margin: str, slope: float = 1.0) -> str:
    """Probabilities of both classes, of the margins of the second, which is what is left of 1, as in Spark."""
    odds = graph.op("Exp", graph.op("Mul", margin, graph.number(slope)))
    unlikely = graph.op("Div", graph.number(1.0), graph.op("Add", graph.number(1.0), odds))
    return graph.side_by_side(unlikely, graph.op("Sub", graph.number(1.0), unlikely))


def _sums(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> str:
    sums = graph.matrix(frame[params["input"]].name, arrays["weights"])
    return graph.op("Add", sums, graph.constant(np.asarray(arrays["intercepts"], np.float64)[None, :]))


def logistic(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """A logistic regression of two classes or of more."""
    margins, count = _sums(graph, params, arrays, frame), len(arrays["weights"])
    if count > 1:
        give(graph, frame, params, Vector(margins, count), softmax(graph, margins), graph.best(margins))
        return
    at = params["threshold"]
    cut = np.log(at / (1 - at)) if 0 < at < 1 else (-np.inf if at == 0 else np.inf)
    above = graph.op("Greater", margins, graph.number(cut))
    give(graph, frame, params, sides(graph, margins), both(graph, margins), above)


def machine(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """A support vector machine of two classes."""
    margin = _sums(graph, params, arrays, frame)
    raw = sides(graph, margin)
    give(graph, frame, params, raw, raw.name, graph.op("Greater", margin, graph.number(params["threshold"])))


def linear(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """A linear regression, or a generalised one."""
    sums, one, family = _sums(graph, params, arrays, frame), graph.number(1.0), params.get("family")
    link = params["link"]
    if link == "log":
        sums = graph.op("Exp", sums)
    elif link == "sqrt":
        sums = graph.op("Mul", sums, sums)
    elif link == "inverse":
        sums = graph.op("Div", one, sums)
    elif link == "logit":
        sums = graph.op("Div", one, graph.op("Add", one, graph.op("Exp", graph.op("Neg", sums))))
    if family:
        low, high = learners.within(family)
        ends = [graph.constant(np.array(end, np.float64)) for end in (low, high)]
        sums = graph.op("Clip", sums, *ends)
    frame[params["prediction"]] = Cell(sums)


def bayes(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Naive Bayes: `gaussian`, `multinomial` or `complement`; of rows that Spark refuses NaN."""
    of, theta, kind = frame[params["input"]].name, arrays["theta"], params["model"]
    pi = graph.constant(np.asarray(arrays["pi"], np.float64)[None, :])
    if kind == "gaussian":
        sigma = arrays["sigma"]
        rows = graph.op("Unsqueeze", of, graph.constant(np.array([1])))
        far = graph.op("Sub", rows, graph.constant(theta[None, :, :]))
        far = graph.sum(graph.op("Div", graph.op("Mul", far, far), graph.constant(sigma[None, :, :])), 2, keep=False)
        whole = graph.op("Add", far, graph.constant(np.log(sigma).sum(axis=1)[None, :]))
        raw = graph.op("Sub", pi, graph.op("Div", whole, graph.number(2.0)))
    else:
        raw = graph.matrix(of, theta)
        if kind == "multinomial":
            raw = graph.op("Add", raw, pi)
        else:
            top = graph.most(raw)
            total = graph.op("Log", graph.sum(graph.op("Exp", graph.op("Sub", raw, top))))
            raw = graph.op("Sub", raw, graph.op("Add", total, top))
        least = graph.op("ReduceMin", of, graph.constant(np.array([1])), keepdims=1)
        refused = graph.op("Less", least, graph.number(0.0))
        raw = graph.op("Where", refused, graph.number(np.nan), raw)
    give(graph, frame, params, Vector(raw, len(theta)), softmax(graph, raw), graph.best(raw))


def against_the_rest(graph: Graph, params: Params, arrays: Arrays, frame: Frame) -> None:
    """A model per class against all others: what each says is a margin."""
    margins = graph.side_by_side(*[graph.picked(frame[name].name, [1]) for name in params["margins"]])
    give(graph, frame, params, Vector(margins, len(params["margins"])), margins, graph.best(margins))
