"""Models that are sums over features; see `compiled.learners`. The last of a pipeline becomes its `RegressionModel`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from headrace.models.compiled import learners
from headrace.models.exporting.graphs.graph import NotExported
from headrace.models.exporting.pmml.sheet import Arrays, Cell, Frame, Params, Sheet, apply, constant, ref, sum_of
from headrace.models.exporting.pmml.stages import ends, numbers, predictors, weighed


def give(sheet: Sheet, frame: Frame, params: Params, raw: Any, probability: Any, prediction: Cell) -> None:
    """What a classifier says of rows, by the names that its stage has for it."""
    if params.get("raw"):
        frame[params["raw"]] = raw
    if params.get("probability"):
        frame[params["probability"]] = probability
    frame[params["prediction"]] = prediction


def model(sheet: Sheet, tag: str, function: str, more: dict[str, str], target: str | None = None) -> Element:
    """A model's element, with its schema and room for what it says; the document's own, if it is the first."""
    made = Element(tag, {"functionName": function, **more})
    schema = SubElement(made, "MiningSchema")
    if target:
        SubElement(schema, "MiningField", {"name": target, "usageType": "target"})
    for name in sheet.inputs:
        SubElement(schema, "MiningField", {"name": name, "usageType": "active"})
    return made


def told(sheet: Sheet, made: Element, wanted: str) -> Element:
    """Make it the document's model, one that gives a number; a reference to that."""
    sheet.model = made
    SubElement(made, "Output")
    return ref(sheet.output(wanted, "double", final=False, feature="predictedValue"))


def shares(sheet: Sheet, made: Element, target: str, labels: Sequence[str]) -> list[Cell]:
    """Make it the document's model, one that gives probabilities of classes; a reference to each."""
    sheet.model = made
    SubElement(made, "Output")
    return [
        Cell(ref(sheet.output(f"__probability_{at}", "double", final=False, feature="probability", value=label)))
        for at, label in enumerate(labels)
    ]


def index(condition: Element) -> Cell:
    """1 where a condition is met, 0 elsewhere: the class of two."""
    return Cell(apply("if", condition, constant(1.0), constant(0.0)))


def _above(of: Element, cut: float) -> Element:
    return apply("greaterThan", of, constant(float(cut)), missing="false")


def sides(margin: Element) -> list[Cell]:
    """Margins of both classes."""
    return [Cell(apply("*", margin, constant(-1.0))), Cell(margin)]


def odds(sheet: Sheet, margin: Element, slope: float = 1.0) -> list[Cell]:
    """Probabilities of both classes, of the margin of the second."""
    raised = apply("exp", margin if slope == 1 else apply("*", margin, constant(slope)))
    no = sheet.named(apply("/", constant(1.0), apply("+", constant(1.0), raised)), wanted="__no")
    return [Cell(no), Cell(sheet.named(apply("-", constant(1.0), no), wanted="__yes"))]


def logistic(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """A logistic regression of two classes or of more."""
    weights, intercepts, of = arrays["weights"], arrays["intercepts"], frame[params["input"]]
    if len(weights) > 1:
        _of_many(sheet, params, arrays, frame)
        return
    if sheet.model is not None or not params.get("last"):
        margin = sheet.named(weighed(of, weights[0], intercepts[0]), wanted="__margin")
        likely = odds(sheet, margin)
    else:
        made = model(sheet, "RegressionModel", "classification", {"normalizationMethod": "logit"}, params["target"])
        margin = None
        labels = params["classes"]
        tables = [Element("RegressionTable", {"targetCategory": labels[1]})]
        predictors(sheet, tables[0], of, weights[0], intercepts[0])
        tables.append(Element("RegressionTable", {"intercept": "0", "targetCategory": labels[0]}))
        likely = shares(sheet, made, params["target"], labels)
        made.extend(tables)
    cut = params["threshold"]
    met = _above(likely[1].values, cut) if cut > 0 else apply("isNotMissing", likely[1].values)
    give(sheet, frame, params, margin if margin is None else sides(margin), likely, index(met))


def _of_many(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """By `softmax`: of margins less the greatest of them, for the powers of large ones are infinite."""
    of = frame[params["input"]]
    margins = [
        sheet.field(weighed(of, one, start), wanted=f"__margin_{at}")
        for at, (one, start) in enumerate(zip(arrays["weights"], arrays["intercepts"], strict=True))
    ]
    softmax(sheet, params, margins, frame)


def softmax(sheet: Sheet, params: Params, margins: Sequence[Element], frame: Frame) -> None:
    """The document's model: classes by margins."""
    if sheet.model is not None or not params.get("last"):
        raise NotExported("a logistic regression of several classes within another model")
    most = sheet.field(apply("max", *margins), wanted="__most")
    below = [sheet.field(apply("-", one, most), wanted=f"__below_{at}") for at, one in enumerate(margins)]
    made = model(sheet, "RegressionModel", "classification", {"normalizationMethod": "softmax"}, params["target"])
    likely = shares(sheet, made, params["target"], params["classes"])
    for label, one in zip(params["classes"], below, strict=True):
        table = SubElement(made, "RegressionTable", {"intercept": "0", "targetCategory": label})
        SubElement(table, "NumericPredictor", {"name": one.attrib["field"], "coefficient": "1"})
    give(sheet, frame, params, [Cell(one) for one in margins], likely, Cell(None, "class"))


def machine(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """A support vector machine of two classes."""
    margin = sheet.named(
        weighed(frame[params["input"]], arrays["weights"][0], arrays["intercepts"][0]), wanted="__margin"
    )
    raw = sides(margin)
    give(sheet, frame, params, raw, raw, index(_above(margin, params["threshold"])))


def against_the_rest(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """A model per class against all others: what each says is a margin."""
    margins = [frame[name][1] for name in params["margins"]]
    give(sheet, frame, params, margins, margins, Cell(None, "class"))


def linear(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """A linear regression, or a generalised one: of a link that regressions of PMML have, by that."""
    link, family = params["link"], params.get("family")
    if link == "log" and not family:
        raise NotExported("predictions that may be infinite")
    own = {"log": "exp", "logit": "logit"}.get(link, "none")
    made = model(sheet, "RegressionModel", "regression", {"normalizationMethod": own})
    table = Element("RegressionTable")
    predictors(sheet, table, frame[params["input"]], arrays["weights"][0], arrays["intercepts"][0])
    of = told(sheet, made, "__linear")
    made.append(table)
    if link == "inverse":
        of = sheet.named(apply("/", constant(1.0), of))
    elif link == "sqrt":
        of = sheet.named(apply("*", of, of))
    frame[params["prediction"]] = Cell(ends(learners.within(family), of))


def bayes(sheet: Sheet, params: Params, arrays: Arrays, frame: Frame) -> None:
    """Naive Bayes: `gaussian`, `multinomial` or `complement`, as classes by margins."""
    of, theta, pi, kind = frame[params["input"]], arrays["theta"], arrays["pi"], params["model"]
    if kind == "gaussian":
        every = numbers(sheet, of)
        margins = [
            _far(sheet, every, mean, spread, start, f"__bayes_{at}")
            for at, (mean, spread, start) in enumerate(zip(theta, arrays["sigma"], pi, strict=True))
        ]
    else:
        starts = pi if kind == "multinomial" else [0.0] * len(theta)
        each = enumerate(zip(theta, starts, strict=True))
        margins = [sheet.field(weighed(of, one, start), wanted=f"__bayes_{at}") for at, (one, start) in each]
    softmax(sheet, params, margins, frame)


def _far(sheet: Sheet, every: Sequence[Element], mean: Any, spread: Any, start: float, wanted: str) -> Element:
    """How likely numbers are by normal distributions, as a logarithm."""
    parts = []
    for one, middle, wide in zip(every, mean, spread, strict=True):
        off = sheet.named(apply("-", one, constant(float(middle))), wanted="__off")
        parts.append(apply("/", apply("*", off, off), constant(float(-2 * wide))))
    parts.append(constant(float(start - np.log(spread).sum() / 2)))
    return sheet.field(sum_of(parts), wanted=wanted)


def as_it_is(sheet: Sheet, of: Element) -> Cell:
    """Make a number that is computed before any model the document's model."""
    made = model(sheet, "RegressionModel", "regression", {"normalizationMethod": "none"})
    table = Element("RegressionTable")
    predictors(sheet, table, [Cell(of)], [1.0], 0.0)
    found = told(sheet, made, "__number")
    made.append(table)
    return Cell(found)
