"""A compiled scorer as a document of PMML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import pyarrow as pa

from headrace.models.compiled import texts
from headrace.models.compiled.columns import arrow_type
from headrace.models.compiled.scorer import Compiled, Described
from headrace.models.exporting.graphs.graph import NotExported
from headrace.models.exporting.pmml import boosting, learners, stages, trees
from headrace.models.exporting.pmml.logic import number
from headrace.models.exporting.pmml.sheet import Cell, Frame, Sheet, apply, constant, looked_up, plain, ref

KINDS: dict[str, Callable[[Sheet, Mapping[str, Any], Mapping[str, Any], Frame], None]] = {
    "sql": stages.sql, "index": stages.index, "hot": stages.hot, "assemble": stages.assemble, "picked": stages.picked,
    "components": stages.components, "times": stages.times, "normal": stages.normal, "spread": stages.spread,
    "rising": stages.rising, "logistic": learners.logistic, "machine": learners.machine, "linear": learners.linear, "bayes": learners.bayes,
    "against_the_rest": learners.against_the_rest, "forest": trees.forest, "boosted": trees.boosted, "values": trees.values,
    "xgboost": boosting.xgboost,
}  # fmt: skip
"""As `compiled.scorer.KINDS`."""
TREES = ("forest", "boosted", "values", "xgboost")
SUMS = ("logistic", "linear", "bayes")
DEEPEST = 320
"""Elements within each other: readers walk down them, and have no more room on their stack for twice as many."""
NAMESPACE, VERSION = "http://www.dmg.org/PMML-4_4", "4.4"


def document_of(compiled: Compiled, about: Mapping[str, str]) -> bytes:
    """All of the scoring as a document of PMML 4.4.

    Fields are named as the features that are read: text; booleans; integers; dates as days and times as milliseconds since
    1970; all else doubles. What is null, and NaN, is missing. Outputs: `prediction`, in the label's own type, and `probability`
    of the positive class, or `probability_<class>` of each.

    Args:
        compiled: The scorer.
        about: Goes into the header.

    Raises:
        NotExported: If a part cannot be expressed.
    """
    features = {name: compiled.card.features[name] for name in compiled.inputs}
    outputs = _outputs(compiled)
    if not features or set(outputs) & set(features):
        raise NotExported("a model of no columns, or of one that is called prediction or probability")
    sheet = Sheet([*features, *outputs], "", tuple(features))
    target = sheet.free("label") if compiled.labels is not None else None
    labels = [plain(one) for one in texts.as_text(compiled.labels).to_pylist()] if compiled.labels is not None else []
    frame = {name: _input(sheet, name, kind) for name, kind in features.items()}
    own = _own(compiled.described)
    for place, (kind, params, arrays) in enumerate(compiled.described):
        if kind not in KINDS:
            raise NotExported(kind)
        if sheet.model is not None and kind in TREES:
            raise NotExported("a model that is made of several")
        more = {"target": target, "classes": labels, "last": place == own}
        KINDS[kind](sheet, {**params, **more}, arrays, frame)
    if sheet.model is None:
        if compiled.labels is not None:
            raise NotExported("classes by other models than sums, trees, forests and boosted trees")
        frame["prediction"] = learners.as_it_is(sheet, number(frame["prediction"]))
    _answers(sheet, compiled, frame, labels, outputs)
    return _whole(sheet, compiled, features, target, labels, about)


def _own(steps: Sequence[Described]) -> int:
    """The step that becomes the document's model: trees, or else the last sum; of several with trees what these go to."""
    found = [place for place, (kind, _, _) in enumerate(steps) if kind in TREES]
    sums = [place for place, (kind, _, _) in enumerate(steps) if kind in SUMS]
    return found[0] if len(found) == 1 else max(sums, default=-1)


def _outputs(compiled: Compiled) -> list[str]:
    if compiled.labels is None:
        return ["prediction"]
    likely = ["probability"] if compiled.card.task == "binary" else [f"probability_{one}" for one in compiled.names]
    return ["prediction", *likely]


def _input(sheet: Sheet, name: str, kind: str) -> Cell:
    """A feature as a cell."""
    of = arrow_type(kind)
    if pa.types.is_string(of):
        return Cell(ref(name), "text")
    if pa.types.is_boolean(of):
        no = apply("not", ref(name), missing="false")
        yes = apply("not", no)
        return Cell((apply("and", apply("isNotMissing", ref(name)), yes), no), "bool")
    if pa.types.is_temporal(of):
        return Cell(ref(name), "date" if pa.types.is_date(of) else "timestamp")
    return Cell(ref(name), "whole" if pa.types.is_integer(of) else "double")


def data_type(kind: str) -> str:
    """PMML's type of a feature."""
    of = arrow_type(kind)
    if pa.types.is_string(of):
        return "string"
    if pa.types.is_boolean(of):
        return "boolean"
    return "integer" if pa.types.is_integer(of) or pa.types.is_temporal(of) else "double"


def _answers(sheet: Sheet, compiled: Compiled, frame: Frame, labels: list[str], outputs: Sequence[str]) -> None:
    """The outputs, written."""
    said: Cell = frame["prediction"]
    if compiled.labels is None:
        _final(sheet, "prediction", "double", number(said))
        return
    kind = data_type(compiled.card.label_type)
    if said.kind == "class":
        best = sheet.output("__class", kind, final=False, feature="predictedValue")
        _final(sheet, "prediction", kind, ref(best, labels[0]))  # without probabilities the first, as in Spark
    elif len(labels) == 2:
        _final(sheet, "prediction", kind, _chosen(sheet, kind, number(said), labels))
    else:
        raise NotExported("a class of several that SQL chooses")
    likely = stages.numbers(sheet, frame["probability"])
    chosen = [likely[1]] if compiled.card.task == "binary" else likely
    for name, one in zip(outputs[1:], chosen, strict=True):
        _final(sheet, name, "double", one)


def _chosen(sheet: Sheet, kind: str, said: Element, labels: Sequence[str]) -> Element:
    """The label of the second class where its index is told, that of the first elsewhere."""
    if kind == "string":  # by a table, which holds any text
        place = sheet.field(said, wanted="__class").attrib["field"]
        return looked_up([place], [(("1.0",), labels[1])], labels[0], "string")
    values = [Element("Constant", {"dataType": kind}) for _ in labels]
    for one, label in zip(values, labels, strict=True):
        one.text = label
    return apply("if", apply("greaterThan", said, constant(0.5), missing="false"), values[1], values[0])


def _final(sheet: Sheet, name: str, kind: str, expression: Element) -> None:
    optype = "continuous" if kind in ("double", "integer") else "categorical"
    made = Element("OutputField", {"name": name, "optype": optype, "dataType": kind, "feature": "transformedValue"})
    made.append(expression)
    sheet.outputs.append(made)


def _whole(
    sheet: Sheet,
    compiled: Compiled,
    features: Mapping[str, str],
    target: str | None,
    labels: Sequence[str],
    about: Mapping[str, str],
) -> bytes:
    root = Element("PMML", {"xmlns": NAMESPACE, "version": VERSION})
    _header(root, about)
    fields = SubElement(root, "DataDictionary")
    for name, kind in features.items():
        of = data_type(kind)
        optype = "continuous" if of in ("double", "integer") else "categorical"
        SubElement(fields, "DataField", {"name": name, "optype": optype, "dataType": of})
    if target is not None:
        of = data_type(compiled.card.label_type)
        made = SubElement(fields, "DataField", {"name": target, "optype": "categorical", "dataType": of})
        for label in labels:
            SubElement(made, "Value", {"value": label})
    fields.set("numberOfFields", str(len(fields)))
    assert sheet.model is not None
    output = sheet.model.find("Output")
    assert output is not None
    output.extend(_used(sheet.outputs, []))
    whole = _chained(sheet, target) if sheet.segments else sheet.model
    between = SubElement(root, "TransformationDictionary")
    between.extend(_used(sheet.derived, [whole]))
    if not len(between):
        root.remove(between)
    root.append(whole)
    if _deep(root) > DEEPEST:
        raise NotExported(f"SQL of more than {DEEPEST} levels, one within the other")
    ElementTree.indent(root, " ")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="utf-8") + b"\n"


def _chained(sheet: Sheet, target: str | None) -> Element:
    """The model after those whose numbers it is of."""
    last = sheet.model
    assert last is not None
    schema, local = last[0], Element("LocalTransformations")
    for one in sheet.segments:
        name = one[1][0].attrib["name"]  # its only output
        SubElement(schema, "MiningField", {"name": name, "usageType": "active"})
    local.extend(_used(sheet.local, [last]))
    if len(local):
        last.insert(2, local)
    made = learners.model(sheet, "MiningModel", last.attrib["functionName"], {}, target)
    chain = SubElement(made, "Segmentation", {"multipleModelMethod": "modelChain"})
    for place, one in enumerate([*sheet.segments, last]):
        segment = SubElement(chain, "Segment", {"id": str(place + 1)})
        SubElement(segment, "True")
        segment.append(one)
    return made


def _deep(root: Element) -> int:
    """How many elements are within each other, at most."""
    deepest, row = 0, [root]
    while row and deepest <= DEEPEST:
        deepest, row = deepest + 1, list({id(one): one for of in row for one in of}.values())
    return deepest


def _header(root: Element, about: Mapping[str, str]) -> None:
    made = SubElement(root, "Header")
    for name, value in about.items():
        SubElement(made, "Extension", {"extender": "headrace", "name": name, "value": value})
    SubElement(made, "Application", {"name": "headrace"})
    SubElement(made, "Timestamp").text = datetime.now(UTC).isoformat(timespec="seconds")


def _used(fields: Sequence[Element], readers: Sequence[Element]) -> list[Element]:
    """Without fields that nobody reads; outputs that are no result are read by later ones alone."""
    wanted, kept = set[str](), list[Element]()
    for one in readers:
        wanted |= _read(one)
    for one in reversed(fields):
        final = one.tag == "OutputField" and "isFinalResult" not in one.attrib
        if final or one.attrib["name"] in wanted:
            wanted |= _read(one)
            kept.append(one)
    return kept[::-1]


def _read(of: Element) -> set[str]:
    """Names of fields that an element, or one within it, reads."""
    found = set[str]()
    for one in of.iter():
        found |= {one.attrib[key] for key in ("field",) if key in one.attrib}
        if one.tag in ("NumericPredictor", "CategoricalPredictor"):
            found.add(one.attrib["name"])
    return found
