"""From the steps of the compiled scorer to SQL, where a model is a sum over features or a few trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.models.compiled.expressions import Node
from headrace.models.compiled.learners import within
from headrace.models.compiled.native.after import levels
from headrace.models.compiled.native.lookup import lookup
from headrace.models.compiled.native.printed import inlined, number, sql
from headrace.models.compiled.scorer import Compiled
from headrace.models.compiled.sql import NotCompiled

SPLITS = 2_000
"""Of all trees together: beyond, Java takes longer to compile them than they spare."""


@dataclass(frozen=True)
class Number:
    """A feature that is a number: SQL."""

    sql: str


@dataclass(frozen=True)
class Hot:
    """A 1 at the place of a text among `labels`, or at the last of all others."""

    of: str
    labels: tuple[str, ...]

    @property
    def place(self) -> str:
        """SQL of the place itself."""
        places = [float(at) for at in range(len(self.labels))]
        return lookup(self.of, self.labels, places, float(len(places)))


@dataclass(frozen=True)
class Said:
    """What a learner says, as SQL.

    Attributes:
        features: SQL of numbers that `total` names `f0`, `f1`, ...; empty where it names the table's own columns.
        total: SQL of the sum that all else follows from.
        prediction: SQL of the number that is predicted, or of the class's index, from `total`.
        probability: SQL of that of the second class, None of a regression.
    """

    features: tuple[str, ...]
    total: str
    prediction: str
    probability: str | None


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
    return _joined(terms, "+")


def _joined(terms: list[str], by: str) -> str:
    """Halves of halves: Spark walks down expressions, and thousands of sums one in the other are too deep."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return f"({_joined(terms[:middle], by)} {by} {_joined(terms[middle:], by)})"


def _logistic(params: Mapping[str, Any], arrays: Any, parts: list[Any], refuses: bool) -> Said:
    if len(arrays["weights"]) > 1:
        raise NotCompiled("more than two classes")
    at = params["threshold"]
    cut = np.log(at / (1 - at)) if 0 < at < 1 else (-np.inf if at == 0 else np.inf)
    total = _sum(parts, arrays["weights"][0], arrays["intercepts"][0])
    return Said((), total, _above(cut), "1D - 1D / (1D + exp(total))")


def _above(cut: float) -> str:
    """For Spark NaN is greater than any number, for the model it is not."""
    return f"if(total > {number(float(cut))} and not isnan(total), 1D, 0D)"


_LINKS = {"identity": "total", "log": "exp(total)", "sqrt": "total * total", "logit": "1D / (1D + exp(-total))"}


def _linear(params: Mapping[str, Any], arrays: Any, parts: list[Any], refuses: bool) -> Said:
    if params["link"] not in _LINKS:
        raise NotCompiled(f"link {params['link']}")
    told = _LINKS[params["link"]]
    low, high = within(params.get("family"))
    if np.isfinite(high):
        told = f"if(isnan({told}), {told}, greatest({number(low)}, least({number(high)}, {told})))"
    return Said((), _sum(parts, arrays["weights"][0], arrays["intercepts"][0]), told, None)


def _boosted(params: Mapping[str, Any], arrays: Any, parts: list[Any], refuses: bool) -> Said:
    features, total = _trees(arrays, parts, refuses)
    return Said(features, total, _above(0.0), "1D - 1D / (1D + exp(2D * total))")


def _values(params: Mapping[str, Any], arrays: Any, parts: list[Any], refuses: bool) -> Said:
    features, total = _trees(arrays, parts, refuses)
    return Said(features, total, f"total / {number(float(params['count']))}", None)


def _trees(arrays: Any, parts: list[Any], refuses: bool) -> tuple[tuple[str, ...], str]:
    """The features that trees read, and the sum of what they say."""
    decides = arrays["feature"] >= 0
    if decides.sum() > SPLITS:
        raise NotCompiled(f"trees of {decides.sum():,} splits")
    if any(isinstance(part, Hot) for part in parts):
        raise NotCompiled("trees over a 1 at the place of a text")
    used = range(len(parts)) if refuses else sorted(set(arrays["feature"][decides].tolist()))
    names = {place: f"f{at}" for at, place in enumerate(used)}
    starts = np.flatnonzero(np.diff(arrays["tree"], prepend=-1))
    said = []
    for start, weight in zip(starts, arrays["weights"], strict=True):
        said.append(f"({_tree(arrays, int(start), 0, names)}) * {number(float(weight))}")
    total = _joined(said, "+")
    if refuses:  # a comparison with NaN has an answer
        missing = _joined([f"isnan({name})" for name in names.values()], "or")
        total = f"if({missing}, {number(np.nan)}, {total})"
    return tuple(parts[place].sql for place in used), total


def _tree(arrays: Any, start: int, node: int, names: Mapping[int, str]) -> str:
    at = start + node
    feature = int(arrays["feature"][at])
    if feature < 0:
        return number(float(arrays["value"][at, 0]))
    sides = [_tree(arrays, start, int(arrays[side][at]), names) for side in ("left", "right")]
    return f"if({names[feature]} <= {number(float(arrays['threshold'][at]))}, {sides[0]}, {sides[1]})"


_LEARNERS: dict[str, Callable[[Mapping[str, Any], Any, list[Any], bool], Said]] = {
    "logistic": _logistic,
    "linear": _linear,
    "boosted": _boosted,
    "values": _values,
}
