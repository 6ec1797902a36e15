"""From a saved pipeline of Spark ML to the steps of the compiled scorer, or why that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from headrace.models.card import ModelCard
from headrace.models.compiled import facts
from headrace.models.compiled.columns import arrow_type
from headrace.models.compiled.expressions import names
from headrace.models.compiled.facts import Facts
from headrace.models.compiled.members import packed
from headrace.models.compiled.saved import Saved, matrix, vector
from headrace.models.compiled.scorer import Compiled
from headrace.models.compiled.sql import NotCompiled, levels

TASKS = ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class Made:
    """A step, and what it reads and writes.

    Attributes:
        kind: Its name in `scorer.KINDS`.
        params: As JSON can hold them.
        arrays: Numbers in bulk.
        reads: Columns.
        writes: Columns.
    """

    kind: str
    params: dict[str, Any]
    reads: frozenset[str]
    writes: frozenset[str]
    arrays: Mapping[str, Any] = field(default_factory=dict)


def build(model: Path, card: ModelCard) -> Compiled:
    """Compile a fitted pipeline.

    Args:
        model: The folder in which Spark ML saved it.
        card: The model's.

    Raises:
        NotCompiled: If it has parts that this scorer does not know.
    """
    if card.task not in TASKS:
        raise NotCompiled(f"task {card.task}")
    try:
        kept = _needed(_steps(Saved(model)), _last(card.task != "regression"))
        read = _reads(kept)
        inputs = {name: kind for name, kind in card.features.items() if name in read}
        for kind in inputs.values():
            arrow_type(kind)
        if read - set(inputs):
            raise NotCompiled(f"it reads {', '.join(sorted(read - set(inputs)))}, which is no feature")
        return Compiled(card, tuple(inputs), [(one.kind, one.params, one.arrays) for one in kept])
    except ValueError as error:
        raise NotCompiled(str(error)) from error


def _last(classes: bool) -> str:
    """What is read of a model besides its prediction."""
    return "probability" if classes else "prediction"


def _needed(made: list[Made], last: str) -> list[Made]:
    """Without what nobody reads."""
    wanted, kept = {"prediction", last}, list[Made]()
    for one in reversed(made):
        if not one.writes & wanted:
            continue
        if one.kind == "sql":
            make = {name: node for name, node in one.params["make"].items() if name in wanted}
            reads = frozenset(set[str]().union(*[names(node) for node in make.values()]))
            one = replace(one, params={"make": make}, writes=frozenset(make), reads=reads)
        wanted = (wanted - one.writes) | one.reads
        kept.append(one)
    return kept[::-1]


def _steps(stage: Saved) -> list[Made]:
    if stage.kind == "PipelineModel":
        return [one for inner in stage.stages() for one in _steps(inner)]
    made = _STAGES.get(stage.kind)
    if made is None:
        raise NotCompiled(f"its stage {stage.kind}")
    if stage.param("thresholds") or stage.param("leafCol"):
        raise NotCompiled(f"its stage {stage.kind} has thresholds, or tells leaves")
    found = made(stage)
    return found if isinstance(found, list) else [found]


def _sql(stage: Saved) -> list[Made]:
    return [
        Made("sql", {"make": make}, frozenset(), frozenset(make)) for make in levels(stage.param("statement")) if make
    ]


def _between(kind: str, of: Callable[[Saved], Facts], name: str = "inputCol") -> Callable[[Saved], Made]:
    """A stage of one column in and one out."""

    def made(stage: Saved) -> Made:
        params, arrays = of(stage)
        source, target = stage.param(name), stage.param("predictionCol" if name == "featuresCol" else "outputCol")
        params |= {"input": source, "output": target}
        return Made(kind, params, frozenset({source}), frozenset({target}), arrays)

    return made


def _index(stage: Saved) -> Facts:
    labels = stage.row["labelsArray"]
    if stage.param("handleInvalid") != "keep" or len(labels) != 1:
        raise NotCompiled("StringIndexer that does not keep what is new")
    return {"labels": labels[0]}, {}


def _hot(stage: Saved) -> Made:
    if stage.param("dropLast") or stage.param("handleInvalid") != "error":
        raise NotCompiled("OneHotEncoder that drops a value")
    inputs, outputs = stage.param("inputCols"), stage.param("outputCols")
    params = {"inputs": inputs, "outputs": outputs, "sizes": stage.row["categorySizes"]}
    return Made("hot", params, frozenset(inputs), frozenset(outputs))


def _assemble(stage: Saved) -> Made:
    how, inputs, output = stage.param("handleInvalid"), stage.param("inputCols"), stage.param("outputCol")
    if how == "skip":
        raise NotCompiled("VectorAssembler that leaves rows out")
    params = {"inputs": inputs, "output": output, "keep": how == "keep"}
    return Made("assemble", params, frozenset(inputs), frozenset({output}))


def _rising(stage: Saved) -> Facts:
    row = stage.row
    arrays = {name: np.asarray(row[name], dtype=np.float64) for name in ("boundaries", "predictions")}
    return {"place": stage.param("featureIndex")}, arrays


def _spread(stage: Saved) -> Facts:
    if (stage.param("min"), stage.param("max")) != (0.0, 1.0):
        raise NotCompiled("MinMaxScaler to other ends than 0 and 1")
    return {}, {"low": vector(stage.row["originalMin"]), "high": vector(stage.row["originalMax"])}


def _learner(kind: str, of: Callable[[Saved], Facts]) -> Callable[[Saved], Made]:
    def made(stage: Saved) -> Made:
        params, arrays = of(stage)
        for name in ("raw", "probability"):
            params[name] = stage.param({"raw": "rawPredictionCol"}.get(name, f"{name}Col"))
        params |= {"input": stage.param("featuresCol"), "prediction": stage.param("predictionCol")}
        writes = {params[name] for name in ("raw", "probability", "prediction")} - {None, ""}
        return Made(kind, params, frozenset({params["input"]}), frozenset(writes), arrays)

    return made


def _against_the_rest(stage: Saved) -> list[Made]:
    found: list[Made] = []
    margins = []
    for number in range(stage.metadata["numClasses"]):
        (inner,) = _steps(Saved(stage.folder / f"model_{number}"))
        margins.append(f"__margin_{number}")
        named = {"raw": margins[-1], "probability": None, "prediction": f"__side_{number}"}
        found.append(
            replace(inner, params=inner.params | named, writes=frozenset({margins[-1], named["prediction"] or ""}))
        )
    params = {"margins": margins, "raw": stage.param("rawPredictionCol"), "prediction": stage.param("predictionCol")}
    writes = frozenset({params["raw"], params["prediction"]})
    return [*found, Made("against_the_rest", params, frozenset(margins), writes)]


def _several(kind: str, folders: list[Path], classes: bool, more: dict[str, Any], read: set[str]) -> Made:
    """A model that is made of others."""
    every = [_needed(_steps(Saved(folder)), _last(classes)) for folder in folders]
    reads = [_reads(one) for one in every]
    told, arrays = packed([[(one.kind, one.params, one.arrays) for one in steps] for steps in every])
    inputs = sorted(read.union(*reads))
    params = {"members": told, "reads": [sorted(one) for one in reads], "inputs": inputs, **more}
    writes = {"prediction", _last(classes)}
    return Made(kind, params, frozenset(inputs), frozenset(writes), arrays)


def _reads(steps: list[Made]) -> set[str]:
    """Columns that must be there before."""
    return set[str]().union(*[one.reads for one in steps]) - set[str]().union(*[one.writes for one in steps])


def _per_segment(stage: Saved) -> Made:
    told = stage.metadata
    folders = [stage.folder / "members" / str(number) for number in range(len(told["values"]) + 1)]
    more = {"by": told["by"], "values": told["values"], "classes": told["classes"]}
    return _several("segments", folders, bool(told["classes"]), more, {told["by"]})


def _mean(stage: Saved) -> Made:
    told = stage.metadata
    folders = [stage.folder / "members" / str(number) for number in range(told["members"])]
    return _several("mean", folders, bool(told["classes"]), {"classes": told["classes"]}, set())


_STAGES: dict[str, Callable[[Saved], Made | list[Made]]] = {
    "SQLTransformer": _sql,
    "StringIndexerModel": _between("index", _index),
    "OneHotEncoderModel": _hot,
    "VectorAssembler": _assemble,
    "VectorSlicer": _between("picked", lambda stage: ({"places": stage.param("indices")}, {})),
    "PCAModel": _between("components", lambda stage: ({}, {"weights": matrix(stage.row["pc"]).T.copy()})),
    "ElementwiseProduct": _between("times", lambda stage: ({}, {"factors": _factors(stage)})),
    "Normalizer": _between("normal", lambda stage: ({"p": stage.param("p")}, {})),
    "MinMaxScalerModel": _between("spread", _spread),
    "IsotonicRegressionModel": _between("rising", _rising, "featuresCol"),
    "LogisticRegressionModel": _learner("logistic", facts.logistic),
    "LinearSVCModel": _learner("machine", facts.machine),
    "LinearRegressionModel": _learner("linear", facts.linear),
    "GeneralizedLinearRegressionModel": _learner("linear", facts.linear),
    "AFTSurvivalRegressionModel": _learner("linear", facts.linear),
    "NaiveBayesModel": _learner("bayes", facts.bayes),
    "DecisionTreeClassificationModel": _learner("forest", facts.trees),
    "RandomForestClassificationModel": _learner("forest", facts.trees),
    "GBTClassificationModel": _learner("boosted", facts.trees),
    "DecisionTreeRegressionModel": _learner("values", facts.trees),
    "RandomForestRegressionModel": _learner("values", facts.trees),
    "GBTRegressionModel": _learner("values", facts.trees),
    "SparkXGBClassifierModel": _learner("xgboost", facts.xgboost),
    "SparkXGBRegressorModel": _learner("xgboost", facts.xgboost),
    "OneVsRestModel": _against_the_rest,
    "Segmented": _per_segment,
    "Blend": _mean,
}


def _factors(stage: Saved) -> Any:
    found = stage.param("scalingVec")
    return vector({"type": found.get("type", 1), **found} if isinstance(found, dict) else {"type": 1, "values": found})
