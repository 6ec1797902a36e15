"""What a search is about: label, task, features, metric, and the rows to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.config.learning import UNLABELLED
from headrace.config.metrics import DEFAULT_METRIC, unknown_metric
from headrace.errors import ConfigError, DataError
from headrace.metrics.own import OwnMetric, own_metric
from headrace.models.card import ModelCard
from headrace.models.predict import in_own_values
from headrace.runtime.step import Run
from headrace.search.columns import Columns, columns
from headrace.search.estimators import chosen
from headrace.search.own import Stage, fit_stages, recipes
from headrace.search.own import stages as own_stages
from headrace.search.recipe import Recipe
from headrace.search.special import Special, special
from headrace.search.target import Target, target, without_classes
from headrace.search.trial import Parts


@dataclass(frozen=True)
class Problem:
    """What the search is about.

    Attributes:
        target: The label.
        columns: What was learned of the features.
        metric: Spark ML's name.
        estimators: To try.
        parts: Rows with a label, as the user's stages make them.
        facts: What the training set's commit carries.
        recipes: All estimators by name, the user's first.
        raw: Rows with a label before any stage.
        stages: The user's transformers, not fitted yet.
        own: The metric, where it is the user's.
        special: How the task is learned, where it has a way of its own.
        last: The label of the last training row, where the split is by time: what one would guess without any model.
    """

    target: Target
    columns: Columns
    metric: str
    estimators: tuple[str, ...]
    parts: Parts
    facts: Mapping[str, Any]
    recipes: Mapping[str, Recipe]
    raw: Parts
    stages: tuple[Stage, ...]
    own: OwnMetric | None
    special: Special | None = None
    last: float | None = None

    @property
    def features(self) -> dict[str, str]:
        """Raw feature columns that the model reads -> type: with stages of the user's all, for who knows what they need."""
        if not self.stages and self.target.task != "recommendation":
            return self.columns.used
        raw = self.raw.train
        return {field.name: field.dataType.simpleString() for field in raw.schema if field.name != "label"}


def look(run: Run) -> Problem:
    """Read the training set and find label, task, features and metric. Runs Spark jobs."""
    facts = run.facts("training_set").get("facts") or {}
    configured = run.pipeline.training_set.kind if run.pipeline.training_set else None
    whole = run.read("training_set")
    whole = whole if configured in UNLABELLED else whole.where("label is not null")
    train, validation = whole.where("split = 'train'"), whole.where("split = 'validation'")
    if configured in UNLABELLED or configured == "recommendation":
        found = without_classes(train, configured)
    else:
        found = target(train, facts, configured)
    metric = run.pipeline.search.metric or DEFAULT_METRIC[found.task]
    wrong = unknown_metric(metric, found.task, tuple(run.pipeline.metrics))
    if wrong:
        raise ConfigError(f"search.metric: {wrong}")
    explicit = "estimators" in run.pipeline.search.model_fields_set
    every, stages = recipes(run.spark, run.pipeline), own_stages(run.spark, run.pipeline)
    names = chosen(run.pipeline.search.names, found.task, explicit, every)
    wanted = ["label", *[f"`{name}`" for name in facts["features"]]]
    raw = Parts(found.with_index(train.select(*wanted)), found.with_index(validation.select(*wanted)))
    made = PipelineModel(fit_stages(stages, raw.train))
    features = [name for name in made.transform(raw.train).columns if name != "label"] if stages else facts["features"]
    if found.task == "recommendation":
        known = Columns((), (), {}, {}, {})
    else:
        known = columns(made.transform(raw.train) if stages else train, features, run.pipeline.search.max_categories)
    if not known.used and found.task != "recommendation":
        raise DataError(
            "no feature can teach anything: "
            + "; ".join(f"{name} is {why}" for name, why in known.dropped.items())
            + "; add features, or look at the split"
        )
    used = ["label", *[f"`{name}`" for name in known.used or facts["features"]]]
    parts = Parts(made.transform(raw.train).select(*used), made.transform(raw.validation).select(*used))
    _check_validation(parts, found)
    own = _own(own_metric(run.spark, run.pipeline, metric), found)
    last = _last(run, found.with_index(train), facts) if found.task == "regression" else None
    training = run.pipeline.training_set
    way = special(training, found.task, known, raw.train) if training else None
    return Problem(found, known, metric, names, parts, facts, every, raw, stages, own, way, last)


def _last(run: Run, train: DataFrame, facts: Mapping[str, Any]) -> float | None:
    """The label of the last training row by time; of several the one with the greatest key."""
    training = run.pipeline.training_set
    if training is None or training.split.by != "time":
        return None
    latest = F.struct("predict_at", *[f"`{name}`" for name in facts.get("key") or ()])
    found = train.agg(F.max_by("label", latest).alias("last")).first()
    return None if found is None or found["last"] is None else float(found["last"])


def _own(metric: OwnMetric | None, found: Target) -> OwnMetric | None:
    """The user's metric, of what models give: labels and predictions become the label's own values."""
    if metric is None:
        return None
    card = ModelCard(found.task, {}, found.label_type, found.labels)
    return replace(metric, of=lambda output: metric.of(in_own_values(output, card)))


def _check_validation(parts: Parts, found: Target) -> None:
    labels = [row[0] for row in parts.validation.select("label").distinct().limit(2).collect()]
    if not labels or (found.task == "binary" and len(labels) == 1):
        row = "row" if found.task in UNLABELLED else "row with a label"
        what = f"no {row}" if not labels else "rows of one class only"
        raise DataError(f"the validation part has {what}; move split.validation_until, or split by hash")
