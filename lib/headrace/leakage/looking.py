"""Looks at a training set: three Spark jobs at most, whatever the number of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, IntegralType, StringType

from headrace.config.learning import UNLABELLED, TrainingSet
from headrace.leakage import copies
from headrace.leakage.alone import Told
from headrace.leakage.findings import Finding, Limits, levelled, of_entity, of_feature, of_parts
from headrace.leakage.sampled import Asked, capacity, drawn, measured, shares
from headrace.metrics.frame import class_index
from headrace.runtime.step import Run

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class Look:
    """What was seen.

    Attributes:
        findings: Without advice.
        rows: Rows of which features were measured, or else compared.
        features: How many were measured.
        strongest: The feature that alone tells most, in words; empty: none was measured.
    """

    findings: tuple[Finding, ...]
    rows: int
    features: int
    strongest: str = ""


def look(run: Run, facts: Mapping[str, Any]) -> Look:
    """Measure features, and compare the parts. Runs Spark jobs."""
    training = run.pipeline.training_set
    assert training is not None
    whole = run.read("training_set")
    types = {field.name: field.dataType.simpleString() for field in whole.schema}
    limits = Limits(facts["task"], training.leakage, types)
    found: list[Finding] = []
    told: list[tuple[str, Told]] = []
    rare: Column = F.lit(True)
    if facts["task"] not in UNLABELLED:
        asked = _asked(whole, facts, training)
        told, common = _measured(whole, asked, facts, run)
        rare = rare if common is None else F.col("label") != common
        count = len(facts["features"])
        for name, one in told[:count]:
            found += of_feature(name, one, limits)
        for name, one in told[count:]:
            found += of_entity(name, one, limits)
    compared, rows = _compared(whole, facts, training, rare, run)
    found += compared
    kept = tuple(one for one in (levelled(one, training.leakage) for one in found) if one)
    measured_rows = told[0][1].rows if told else rows
    return Look(kept, measured_rows, len(facts["features"]), _strongest(told[: len(facts["features"])], limits))


def _asked(whole: DataFrame, facts: Mapping[str, Any], training: TrainingSet) -> Asked:
    """The features; of a split by hash of a key of several columns also these, which may be entities."""
    key, features = tuple(facts["key"]), facts["features"]
    entities: list[str] = []
    if training.split.by == "hash" and not training.split.group and len(key) > 1:
        kinds = (StringType, IntegralType, BooleanType)
        entities = [name for name in key if name not in features and isinstance(whole.schema[name].dataType, kinds)]
    columns = (*((name, False) for name in features), *((name, True) for name in entities))
    classes = tuple(map(_word, facts["labels"])) if facts["task"] != "regression" else ()
    return Asked(columns, (*key, "predict_at"), classes)


def _word(label: Any) -> str:
    """A label as SQL writes it."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _measured(whole: DataFrame, asked: Asked, facts: Mapping[str, Any], run: Run) -> tuple[list[tuple[str, Told]], Any]:
    """What each column tells, and the most frequent label; None: it is a number."""
    kind = whole.schema["label"].dataType
    index = class_index(F.col("label"), facts["labels"], kind) if asked.classes else F.col("label").cast("double")
    rows = whole.where("split in ('train', 'validation') and label is not null").withColumn("_label", index)
    rows = rows.where(F.col("_label") < len(asked.classes)) if asked.classes else rows.where("not isnan(_label)")
    rows = rows.withColumn("_class", F.col("_label").cast("int") if asked.classes else F.lit(0))
    counts: dict[tuple[str, int], int] = {}
    most = capacity(len(asked.columns))
    size, by_hash = _size(run), run.pipeline.training_set and run.pipeline.training_set.split.by == "hash"
    if size is None or size > most or (by_hash and asked.classes):
        counted = rows.groupBy("split", "_class").count().collect()  # at most 200 rows
        counts = {(row["split"], row["_class"]): row["count"] for row in counted}
    common = max(counts, key=lambda one: counts[one])[1] if counts and asked.classes else None
    told = measured(drawn(rows, asked.key, shares(counts, most)), asked)
    return told, None if common is None else F.lit(facts["labels"][common]).cast(kind)


def _size(run: Run) -> int | None:
    """Rows of training and validation, as the training set's commit knows them."""
    counts = run.facts("training_set").get("counts") or {}
    return counts.get("train", 0) + counts.get("validation", 0) if counts else None


def _compared(
    whole: DataFrame, facts: Mapping[str, Any], training: TrainingSet, rare: Column, run: Run
) -> tuple[list[Finding], int]:
    """What the parts know of each other."""
    wanted = {kind for kind in ("overlap", "duplicates") if training.leakage.level(kind) != "off"}
    if training.split.by != "hash" or not wanted:
        return [], _size(run) or 0
    group = training.split.group or tuple(facts["key"])
    together = [name for name in group if name in whole.columns]
    rows = whole.where("split in ('train', 'validation', 'test')")
    share = 1 + (_size(run) or 0) // copies.MOST_ROWS
    twins = copies.twins(rows, together if len(together) == len(group) else [], facts["features"], rare, share)
    return list(of_parts(twins, ", ".join(group))), twins.rows + twins.judged


def _strongest(told: Sequence[tuple[str, Told]], limits: Limits) -> str:
    powers = [(one.power, name) for name, one in told if one.power is not None]
    if not powers:
        return ""
    value, name = max(powers)
    return f"{name} ({limits.measure} {value:.3f})"
