"""What a search is about: label, task, features, metric, and the rows to learn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.config.learning import UNLABELLED, Search
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
from headrace.search.plan import Plan, plan, with_choices
from headrace.search.prepared import Parts
from headrace.search.recipe import Recipe
from headrace.search.space import Point
from headrace.search.special import Special, special
from headrace.search.tallies import ROW, Goal
from headrace.search.target import Target, target, without_classes
from headrace.search.wanted import check_task, row_column, rows_named


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
        search: The configuration.
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
    search: Search = field(default_factory=Search)

    def plan(self, point: Point) -> Plan:
        """How a point's features are prepared."""
        return plan(self.recipes[point.estimator].kind, self.columns, self.search.preparation, point.params)

    @property
    def balance(self) -> str:
        """For rare classes, where a point does not say it."""
        return self.search.balance[0]

    @property
    def goal(self) -> Goal:
        """What is learned, as far as encodings go."""
        return Goal(None if self.target.task in UNLABELLED else len(self.target.labels))

    def taken(self, frame: DataFrame) -> list[str]:
        """Columns of rows that are to be prepared."""
        return _taken(frame, self.columns.used or self.features)

    @property
    def features(self) -> dict[str, str]:
        """Raw feature columns that the model reads -> type: with stages of the user's all, for who knows what they need."""
        if not self.stages and self.target.task != "recommendation":
            return self.columns.used
        raw = self.raw.train
        return {one.name: one.dataType.simpleString() for one in raw.schema if one.name not in ("label", ROW)}


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
    conf, training = run.pipeline.search, run.pipeline.training_set
    metric = conf.metric or DEFAULT_METRIC[found.task]
    wrong = unknown_metric(metric, found.task, tuple(run.pipeline.metrics))
    if wrong:
        raise ConfigError(f"search.metric: {wrong}")
    check_task(conf, found.task)
    explicit = "estimators" in conf.model_fields_set
    every = with_choices(recipes(run.spark, run.pipeline), conf)
    stages = own_stages(run.spark, run.pipeline)
    names = chosen(conf.names, found.task, explicit, every)
    named = [rows_named(part, conf, training, facts.get("key") or ()) for part in (train, validation)]
    wanted = [found.with_index(part.select(*_taken(part, facts["features"]))) for part in named]
    raw = Parts(wanted[0], wanted[1])
    made = PipelineModel(fit_stages(stages, raw.train))
    features = facts["features"]
    if stages:
        features = [name for name in made.transform(raw.train).columns if name not in ("label", ROW)]
    if found.task == "recommendation":
        known = Columns((), (), {}, {}, {})
    else:
        rows = made.transform(raw.train) if stages else train
        texts = found.task not in UNLABELLED  # thousands of columns are no distance, and no covariance
        known = columns(rows, features, conf.max_categories, conf.preparation, texts)
    if not known.used and found.task != "recommendation":
        raise DataError(
            "no feature can teach anything: "
            + "; ".join(f"{name} is {why}" for name, why in known.dropped.items())
            + "; add features, or look at the split"
        )
    used = _taken(raw.train, known.used or facts["features"])
    parts = Parts(made.transform(raw.train).select(*used), made.transform(raw.validation).select(*used))
    _check_validation(parts, found)
    own = _own(own_metric(run.spark, run.pipeline, metric), found)
    last = _last(run, found.with_index(train), facts) if found.task == "regression" else None
    first = plan("linear", known, conf.preparation)
    way = special(training, found.task, known, first, raw.train) if training else None
    return Problem(found, known, metric, names, parts, facts, every, raw, stages, own, way, last, conf)


def _taken(frame: DataFrame, features: Iterable[str]) -> list[str]:
    return ["label", *row_column(frame), *[f"`{name}`" for name in features]]


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
