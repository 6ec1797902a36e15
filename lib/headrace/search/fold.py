"""What is learned of the rows that a model learns from, and of them alone: of each fold its own; the hold-out is one fold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyspark.ml import PipelineModel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from headrace.config.learning import CENSORED, UNLABELLED, TrainingSet
from headrace.errors import DataError
from headrace.metrics.frame import with_flag
from headrace.metrics.own import OwnMetric, own_metric
from headrace.metrics.survival import CONCORDANCE
from headrace.models.card import ModelCard
from headrace.models.predict import in_own_values
from headrace.runtime.step import Run
from headrace.search.columns import Columns, Facts, columns, looked
from headrace.search.own import Stage, fit_stages, through
from headrace.search.plan import plan
from headrace.search.prepared import Parts
from headrace.search.recipe import Kind
from headrace.search.special import Special, special
from headrace.search.tallies import Goal
from headrace.search.target import Target, target, without_classes
from headrace.search.wanted import BESIDE, beside, by_label, rows_named
from headrace.search.words import text_columns


@dataclass(frozen=True)
class Known:
    """Rows to learn from, and what they say.

    Attributes:
        target: The label.
        columns: What was learned of the features.
        raw: Label (double), `FLAG` where labels may be censored, and features, before any stage of the user's.
        rows: As these stages make them, and without features that teach nothing.
        made: The stages, fitted.
        own: The metric, where it is the user's.
        special: How the task is learned, where it has a way of its own.
        by_label: Whether the label's mean tells many values of a category apart, where nothing else is said.
    """

    target: Target
    columns: Columns
    raw: DataFrame
    rows: DataFrame
    made: PipelineModel
    own: OwnMetric | None
    special: Special | None
    by_label: bool = False

    @property
    def goal(self) -> Goal:
        """What is learned, as far as encodings go."""
        return Goal(None if self.target.task in UNLABELLED else len(self.target.labels))


@dataclass(frozen=True)
class Fold:
    """Rows to learn from and rows to judge by.

    Attributes:
        number: From 1; 0 is the hold-out: the parts train and validation.
        known: What the former say.
        parts: Rows with a label, as the user's stages make them.
        last: The label of the last row to learn from, where time divides the two: what one would guess without a model;
            None also where the order alone is judged, of which a constant says nothing.
    """

    number: int
    known: Known
    parts: Parts
    last: float | None = None


@dataclass(frozen=True)
class Sight:
    """Looks at rows; what it goes by is the same for all folds.

    Attributes:
        run: The run.
        facts: What the training set's commit carries.
        training: The configuration.
        metric: What is measured.
        stages: The user's transformers, not fitted yet.
        timed: Whether time divides those who teach from those who judge.
        kinds: Of the estimators that are searched.
    """

    run: Run
    facts: Mapping[str, Any]
    training: TrainingSet | None
    metric: str
    stages: tuple[Stage, ...]
    timed: bool
    kinds: frozenset[Kind] = frozenset()

    def raw(self, rows: DataFrame, found: Target) -> DataFrame:
        """Label and features of rows of the training set."""
        key, by_mean = self.facts.get("key") or (), self.by_label(rows, found)
        named = rows_named(rows, self.run.pipeline.search, self.training, key, by_mean)
        named = with_flag(named, self.training)
        return found.with_index(named.select(*taken(named, self.facts["features"])))

    def by_label(self, rows: DataFrame, found: Target) -> bool:
        """Whether the label's mean tells many values of a category apart, where nothing else is said."""
        every = {one.name: one.dataType.simpleString() for one in rows.schema}
        types = {name: every[name] for name in self.facts["features"]}
        return by_label(self.run.pipeline.search, found.task, self.kinds, types)

    def looked(self, rows: DataFrame, parts: Mapping[int, Column]) -> dict[int, Facts]:
        """What features of parts of the rows are like, in one pass; nothing where each part has features of its own."""
        if self.stages or (self.training and self.training.kind in ("recommendation", "topics")):
            return {}
        return looked(rows, self.facts["features"], self.run.pipeline.search.preparation, parts)

    def known(self, rows: DataFrame, found: Target, facts: Facts | None = None) -> Known:
        """What rows of the training set say; `facts`: what is known of their features. Runs Spark jobs."""
        conf, features = self.run.pipeline.search, self.facts["features"]
        raw = self.raw(rows, found)
        made, by_mean = PipelineModel(fit_stages(self.stages, raw)), self.by_label(rows, found)
        if self.stages:
            features = [name for name in through(made, raw).columns if name not in BESIDE]
        if found.task == "recommendation":
            seen = Columns((), (), {}, {}, {})
        elif found.task == "topics":
            types = {one.name: one.dataType.simpleString() for one in through(made, raw).schema}
            read = self.training.texts if self.training else ()
            seen = text_columns({name: types[name] for name in features}, read, conf.preparation)
        else:
            texts = found.task not in UNLABELLED  # thousands of columns are no distance, and no covariance
            looked_at = through(made, raw) if self.stages else rows
            seen = columns(looked_at, features, conf.max_categories, conf.preparation, texts, facts, by_mean)
        if not seen.used and found.task != "recommendation":
            raise DataError(
                "no feature can teach anything: "
                + "; ".join(f"{name} is {why}" for name, why in seen.dropped.items())
                + "; add features, or look at the split"
            )
        first = plan("linear", seen, conf.preparation)
        way = special(self.training, found.task, seen, first, raw) if self.training else None
        own = _own(own_metric(self.run.spark, self.run.pipeline, self.metric), found)
        return Known(found, seen, raw, self._used(raw, raw, made, seen), made, own, way, by_mean)

    def fold(
        self, number: int, trains: DataFrame, validates: DataFrame, found: Target, facts: Facts | None = None
    ) -> Fold:
        """A fold of rows of the training set; `facts`: of the features of those that train. Runs Spark jobs."""
        known = self.known(trains, found, facts)
        judged = self._used(self.raw(validates, found), known.raw, known.made, known.columns)
        _check_judged(judged, found, number)
        if self.training and self.training.censored and number:
            _check_events(trains, validates)
        guessed = found.task == "regression" and self.metric != CONCORDANCE  # no constant is better by its order
        last = self._last(found.with_index(trains)) if guessed else None
        return Fold(number, known, Parts(known.rows, judged), last)

    def _used(self, rows: DataFrame, raw: DataFrame, made: PipelineModel, seen: Columns) -> DataFrame:
        return through(made, rows).select(*taken(raw, seen.used or self.facts["features"]))

    def _last(self, train: DataFrame) -> float | None:
        """The label of the last row by time; of several the one with the greatest key."""
        if not self.timed:
            return None
        latest = F.struct("predict_at", *[f"`{name}`" for name in self.facts.get("key") or ()])
        found = train.agg(F.max_by("label", latest).alias("last")).first()
        return None if found is None or found["last"] is None else float(found["last"])


def target_of(rows: DataFrame, facts: Mapping[str, Any], task: str | None) -> Target:
    """The label of rows of the training set; `task`: where it is known."""
    if task is not None and (task in UNLABELLED or task == "recommendation"):
        return without_classes(rows, task)
    return target(rows, facts, task)


def taken(frame: DataFrame, features: Iterable[str]) -> list[str]:
    """Columns of rows that are to be prepared."""
    return [*beside(frame), *[f"`{name}`" for name in features]]


def _own(metric: OwnMetric | None, found: Target) -> OwnMetric | None:
    """The user's metric, of what models give: labels and predictions become the label's own values."""
    if metric is None:
        return None
    card = ModelCard(found.task, {}, found.label_type, found.labels)
    return replace(metric, of=lambda output: metric.of(in_own_values(output, card)))


def _check_events(trains: DataFrame, validates: DataFrame) -> None:
    """Refuse a fold where nothing happened: the parts that the training set counts have events, folds may have none."""
    for rows, does in ((trains, "learns"), (validates, "validates")):
        if rows.where(~F.col(CENSORED)).isEmpty():
            raise DataError(f"there {does} no row that had its event, all are censored")


def _check_judged(rows: DataFrame, found: Target, number: int) -> None:
    labels = [row[0] for row in rows.select("label").distinct().limit(2).collect()]
    if not labels or (found.task == "binary" and len(labels) == 1):
        row = "row" if found.task in UNLABELLED else "row with a label"
        what = f"no {row}" if not labels else "rows of one class only"
        if number:
            raise DataError(f"there validates {what}")
        raise DataError(f"the validation part has {what}; move split.validation_until, or split by hash")
