"""From the steps of the compiled scorer to SQL, where a model is a sum over features or a few trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.models.compiled.expressions import Node
from headrace.models.compiled.learners import within
from headrace.models.compiled.native import trees
from headrace.models.compiled.native.after import levels
from headrace.models.compiled.native.lookup import lookup
from headrace.models.compiled.native.printed import inlined, number, sql
from headrace.models.compiled.native.said import Hot, Number, Said, above, joined
from headrace.models.compiled.scorer import Compiled
from headrace.models.compiled.sql import NotCompiled


@dataclass(frozen=True)
class Plan:
    """A model as SQL.

    Attributes:
        said: What the learner says.
        after: What becomes of it, level by level; the first names `prediction` and `YES`, the last's are the answer.
        refuses: Whether the model refuses rows in which a feature is missing: the total is NaN of these then.
    """

    said: Said
    after: tuple[dict[str, str], ...]
    refuses: bool


def plan(compiled: Compiled) -> Plan:
    """The plan of a scorer.

    Raises:
        NotCompiled: If it is of another kind.
    """
    if compiled.card.task not in ("binary", "regression"):
        raise NotCompiled(f"task {compiled.card.task}")
    columns: dict[str, Node] = {}
    vectors: dict[str, Any] = {}
    place = next((at for at, (kind, _, _) in enumerate(compiled.described) if kind in _LEARNERS), None)
    for kind, params, _ in compiled.described[:place]:
        if kind not in _STEPS:
            raise NotCompiled(f"a step of kind {kind}")
        _STEPS[kind](params, columns, vectors)
    if place is None:
        raise NotCompiled("its learner")
    kind, params, arrays = compiled.described[place]
    parts, refuses = vectors[params["input"]]
    return Plan(_LEARNERS[kind](params, arrays, parts, refuses), levels(compiled.described[place + 1 :]), refuses)


def _sql(params: Mapping[str, Any], columns: dict[str, Node], vectors: dict[str, Any]) -> None:
    columns |= {name: inlined(node, columns) for name, node in params["make"].items()}


def _index(params: Mapping[str, Any], columns: dict[str, Node], vectors: dict[str, Any]) -> None:
    made = Hot(sql(inlined(["col", params["input"]], columns)), tuple(params["labels"]))
    vectors[params["output"]] = made
    columns[params["output"]] = ["sql", made.place]


def _hot(params: Mapping[str, Any], columns: dict[str, Node], vectors: dict[str, Any]) -> None:
    for source, target in zip(params["inputs"], params["outputs"], strict=True):
        if not isinstance(vectors.get(source), Hot):
            raise NotCompiled("a 1 at the place of a number")
        vectors[target] = [vectors[source]]


def _assemble(params: Mapping[str, Any], columns: dict[str, Node], vectors: dict[str, Any]) -> None:
    parts: list[Any] = []
    refuses = not params["keep"]
    for name in params["inputs"]:
        there = vectors.get(name)
        if isinstance(there, Hot):  # an index as it is
            parts.append(Number(there.place))
        elif there is not None:
            inner, refusing = there if isinstance(there, tuple) else (there, False)
            parts += inner
            refuses |= refusing
        else:
            made = sql(inlined(["col", name], columns))
            parts.append(Number(f"coalesce(cast({made} as double), {number(np.nan)})"))
    vectors[params["output"]] = (parts, refuses)


_STEPS: dict[str, Callable[[Mapping[str, Any], dict[str, Node], dict[str, Any]], None]] = {
    "sql": _sql,
    "index": _index,
    "hot": _hot,
    "assemble": _assemble,
}


def _sum(parts: list[Any], weights: Any, intercept: float) -> str:
    """Of all features, each times its weight."""
    terms, at = [number(float(intercept))], 0
    for part in parts:
        if isinstance(part, Hot):
            count = len(part.labels)
            terms.append(lookup(part.of, part.labels, weights[at : at + count], float(weights[at + count])))
            at += count + 1
        else:
            terms.append(f"{part.sql} * {number(float(weights[at]))}")
            at += 1
    return joined(terms, "+")


def _logistic(params: Mapping[str, Any], arrays: Any, parts: list[Any], refuses: bool) -> Said:
    if len(arrays["weights"]) > 1:
        raise NotCompiled("more than two classes")
    at = params["threshold"]
    cut = np.log(at / (1 - at)) if 0 < at < 1 else (-np.inf if at == 0 else np.inf)
    total = _sum(parts, arrays["weights"][0], arrays["intercepts"][0])
    return Said(total, above(cut), "1D - 1D / (1D + exp(total))")


_LINKS = {"identity": "total", "log": "exp(total)", "sqrt": "total * total", "logit": "1D / (1D + exp(-total))"}


def _linear(params: Mapping[str, Any], arrays: Any, parts: list[Any], refuses: bool) -> Said:
    if params["link"] not in _LINKS:
        raise NotCompiled(f"link {params['link']}")
    told = _LINKS[params["link"]]
    low, high = within(params.get("family"))
    if np.isfinite(high):
        told = f"if(isnan({told}), {told}, greatest({number(low)}, least({number(high)}, {told})))"
    return Said(_sum(parts, arrays["weights"][0], arrays["intercepts"][0]), told, None)


_LEARNERS: dict[str, Callable[[Mapping[str, Any], Any, list[Any], bool], Said]] = {
    "logistic": _logistic,
    "linear": _linear,
    "boosted": trees.boosted,
    "values": trees.values,
    "forest": trees.forest,
    "xgboost": trees.xgboost,
}
