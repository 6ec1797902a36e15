"""The second half of a pipeline's YAML: training set, search, gates, scoring, monitoring."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from headrace.config.deciding import Calibration, Cut
from headrace.config.durations import Duration
from headrace.config.folds import CutInto, unfit
from headrace.config.hook_types import Estimator, Hook, OwnTransformer, Scalar
from headrace.config.leakage import Leakage
from headrace.config.outliers import OutlierTreatment
from headrace.config.preparation import Balance, OneOf, Preparation
from headrace.config.pruning import Pruned, Pruning
from headrace.config.schedules import Every
from headrace.config.section import Name, Section
from headrace.config.segments import BySegment
from headrace.config.spines import EntityGrid, FutureLabel, Label, Spine
from headrace.config.strategies import Strategic, Strategy
from headrace.config.streaming import Stream
from headrace.config.values import Column, Columns, Moment, Sql, listed, number, whole

LARGEST = 2**31 - 1
"""Of whole numbers in the JVM, and of seeds."""
Whole = Annotated[int, Field(le=LARGEST), BeforeValidator(whole)]
Number = Annotated[float, BeforeValidator(number)]
Task = Literal["binary", "multiclass", "regression", "clustering", "recommendation", "anomaly", "topics"]
TASKS: tuple[str, ...] = get_args(Task)
CENSORED = "censored"
"""The column of a training set that says which labels are only lower bounds."""
UNLABELLED = ("clustering", "anomaly", "topics")
"""Tasks that learn without a label."""
REJECTED = "_rejected"
"""What the table's name of rows without an answer is that of the predictions, and this."""
NAMING = ("clustering", "topics")
"""Tasks whose predictions are numbers that are only names: those of another version mean something else."""
MOST_IN_TIME = 1000
"""Trials of a search that is given a time, and no number."""


class Split(Section):
    """Which rows train, validate, test, and are scored."""

    by: Literal["time", "hash"] = "hash"
    train_until: Moment | None = None
    validation_until: Moment | None = None
    test_until: Moment | None = None
    group: Columns = Field((), description="columns whose rows stay together when split by hash")
    shares: tuple[Number, Number, Number] = Field((0.70, 0.15, 0.15), description="train, validation, test by hash")
    folds: CutInto | None = Field(
        None, description="a search validates in so many folds of train and validation; a number, or how they are cut"
    )

    @property
    def folds_by(self) -> str:
        """How folds are cut."""
        return (self.folds and self.folds.by) or self.by

    @model_validator(mode="after")
    def _foldable(self) -> Split:
        wrong = self.folds and unfit(self.folds, self.folds_by, bool(self.group))
        if wrong:
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _ordered(self) -> Split:
        times = (self.train_until, self.validation_until, self.test_until)
        if self.by == "hash":
            if any(times):
                raise ValueError("train_until, validation_until and test_until belong to `by: time`")
            if abs(sum(self.shares) - 1) > 1e-9 or min(self.shares) <= 0:
                raise ValueError(f"shares must be positive and add up to 1; these are {list(self.shares)}")
            return self
        ignored = [key for key in ("group", "shares") if key in self.model_fields_set]
        if ignored:
            raise ValueError(
                f"{' and '.join(ignored)}: only for `by: hash`; by time each row goes by its own predict_at"
            )
        train, validation, test = times
        if not (train and validation and test):
            raise ValueError("`by: time` needs train_until, validation_until and test_until")
        if not train < validation < test:
            raise ValueError("a part would be empty: train_until < validation_until < test_until must hold")
        return self


class TrainingSet(Section):
    """One row per spine row: label, split and features as known at `predict_at`."""

    from_: Spine = Field(alias="from")
    predict_at: Sql | None = Field(None, description="SQL over the spine; default: its event time")
    label: Label | None = None
    censored: Sql | None = Field(
        None,
        description="regression of a time until an event: SQL over the row, true where the event had not happened by the "
        "time that the label tells, which is only a lower bound then",
    )
    task: Task | None = Field(None, description="inferred from the label where it can be")
    user: Column | None = Field(None, description="recommendation: column of who rates, buys or clicks")
    item: Column | None = Field(None, description="recommendation: column of what is recommended")
    rating: Sql | None = Field(None, description="recommendation: SQL over the spine, the rating to be predicted")
    implicit: Sql | None = Field(
        None, description="recommendation: SQL over the spine, how much the row says that the item was liked; as `1`"
    )
    top_k: Whole = Field(10, ge=1, le=1000, description="recommendation: items per user, in metrics and in the table")
    relevant: Number | None = Field(
        None, description="recommendation: rating from which an item counts as relevant; default: the mean rating"
    )
    contamination: Number = Field(0.01, gt=0, lt=0.5, description="anomaly: share of the training rows taken for odd")
    texts: Columns = Field((), description="topics: columns of text that are read; default: all features")
    label_delay: Duration | None = None
    features: Columns = Field((), description="feature tables")
    row_features: dict[Name, Sql] = Field({}, description="SQL over the row's early columns and the joined features")
    transform: Hook | None = Field(
        None, description="DataFrame -> DataFrame after row_features, keeping rows; new columns become features"
    )
    exclude: Columns = Field((), description="columns that are no features")
    allow_sensitive: Columns = Field((), description="sensitive columns that may be features all the same")
    split: Split = Split()
    leakage: Leakage = Leakage()

    @property
    def spine(self) -> str:
        """The table whose rows, or entities, are predicted."""
        return self.from_ if isinstance(self.from_, str) else self.from_.entities

    @property
    def grid(self) -> EntityGrid | None:
        """When the entities are predicted, where the spine is not the table's rows."""
        return None if isinstance(self.from_, str) else self.from_

    @property
    def kind(self) -> Task | None:
        """The task, where the file says it: by name, by a `user` and an `item`, or by a label that may be `censored`."""
        if self.task or not (self.user or self.item or self.censored):
            return self.task
        return "recommendation" if self.user or self.item else "regression"

    @property
    def made_of_label(self) -> tuple[str, ...]:
        """Columns of the training set that tell what came true."""
        return ("label", CENSORED) if self.censored else ("label",)

    def way(self, task: str | None) -> str | None:
        """What estimators and metrics go by: the task, but `survival` where labels may be censored."""
        return "survival" if self.censored and task in (None, "regression") else task

    @property
    def labelled(self) -> bool:
        """Whether there is something to predict: a label, a rating, a weight."""
        return self.kind not in UNLABELLED

    @property
    def target_key(self) -> str:
        """The key of the YAML that has what is to be predicted."""
        if self.kind != "recommendation":
            return "label"
        return "rating" if self.rating is not None else "implicit"

    @property
    def expression(self) -> str | None:
        """SQL over the spine's row of what is to be predicted; None where it is counted over later events, or nothing."""
        found = getattr(self, self.target_key) if self.labelled else None
        return found if isinstance(found, str) else None

    @property
    def future(self) -> FutureLabel | None:
        """The label, where it is counted over later events."""
        found = getattr(self, self.target_key) if self.labelled else None
        return found if isinstance(found, FutureLabel) else None


class Ensemble(Section):
    """The best trials together, where that is better than the best alone."""

    best: Whole = Field(3, ge=2, le=20, description="so many of the best trials")
    by: Literal["average", "stacking"] = Field(
        "average", description="average: the mean of what they say; stacking: a linear model of what they say"
    )


class Search(Section):
    """The search over estimators and their hyperparameters."""

    estimators: Annotated[tuple[Estimator, ...], BeforeValidator(listed), Field(min_length=1)] = tuple(
        Estimator(name=name) for name in ("logistic_regression", "random_forest", "gbt", "xgboost")
    )
    transformers: Annotated[tuple[OwnTransformer, ...], BeforeValidator(listed)] = Field(
        (), description="stages of Spark ML that change the feature columns, before all others"
    )
    outliers: tuple[OutlierTreatment, ...] = Field(
        (), description="what becomes of outliers in features; learned on training rows, part of the model"
    )
    preparation: Preparation = Field(
        Preparation(), description="how features are prepared, by the role of their columns; lists are choices"
    )
    balance: OneOf[Balance] = Field(
        ("none",),
        description="rare classes in training: weights, or rows left out or repeated; probabilities are set right",
    )
    calibration: Calibration = "none"
    threshold: Cut | None = None
    ensemble: Ensemble | None = Field(
        None, description="the best trials together, judged on the rows that validate; {} for three by their mean"
    )
    segments: BySegment | None = Field(
        None, description="a model of its own for each value of a column, as country, in one registered model"
    )
    algorithm: Literal["tpe", "random", "anneal", "genetic", "optuna", "grid"] = Field(
        "tpe",
        description="optuna: its TPE (an extra); genetic: children of good trials; grid: every combination, of a range "
        "its ends and its middle",
    )
    points: tuple[dict[str, Scalar], ...] = Field(
        (),
        description="tried first, as {estimator: xgboost, depth: 5}; what is left out is as in the estimator's first",
    )
    warm_start: Whole = Field(
        0, ge=0, le=100, description="so many of the best trials of the pipeline's last search are tried next"
    )
    patience: Whole | None = Field(
        None, ge=1, description="the search ends when so many trials in a row were no better than the best before"
    )
    pruning: Pruned = Field(
        Pruning(),
        description="none (default), racing, halving or hyperband: which trials are stopped before their end",
    )
    distribute: Literal["auto", "jobs", "tasks"] = Field(
        "auto",
        description="jobs: each fit is spread over the cluster; tasks: a trial of xgboost or scikit-learn is one Spark "
        "task on one core; auto: tasks where a fold's prepared rows are 64 MiB at most",
    )
    nested: bool = Field(
        False, description="with folds: what the search is worth, by a search for each fold that has not seen it"
    )
    max_evals: Whole = Field(20, ge=1)
    timeout: Duration | None = None
    trial_timeout: Duration | None = None
    parallelism: Whole = Field(2, ge=1)
    metric: str | None = Field(None, description="default: areaUnderROC, f1 or rmse, by task; or one of `metrics`")
    seed: Whole = Field(42, ge=0)
    max_categories: Whole = Field(100, ge=2, description="categories kept per column; the rest become one")

    @property
    def open_ended(self) -> bool:
        """Whether there is a time, and no number: whoever writes so wants the time to be used."""
        return self.timeout is not None and "max_evals" not in self.model_fields_set

    @property
    def most_evals(self) -> int:
        """Trials, at most."""
        return MOST_IN_TIME if self.open_ended else self.max_evals

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the estimators."""
        return tuple(one.name for one in self.estimators)


class Gate(Section):
    """What a new model version must fulfil to become champion."""

    metric: str | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    slice: Column | None = Field(None, description="a column: the bound holds for each of its values")
    min_rows: Whole = Field(100, ge=1, description="slices with fewer labelled rows are not judged")
    beats: Literal["champion"] | None = None

    @model_validator(mode="after")
    def _something(self) -> Gate:
        if self.beats:
            if self.at_least is not None or self.at_most is not None or self.slice:
                raise ValueError("`beats: champion` stands alone (with at most a `metric`)")
        elif self.metric is None or (self.at_least is None) == (self.at_most is None):
            raise ValueError("a gate is `beats: champion`, or a metric with exactly one of at_least, at_most")
        return self


class Scoring(Section):
    """What is scored, and with which model."""

    model: str = Field("champion", description="`champion` or a version number")
    output: Name = "predictions"
    every: Every | None = None
    strategy: Strategic = Field(
        Strategy(), description="which version answers for which entity: champion (default), shadow, canary, ab"
    )
    stream: Stream | None = Field(None, description="rows that are scored as they come, by jobs/stream.py")


class Alarm(Section):
    """When monitoring raises its voice."""

    drift: Literal["psi", "js"] = "psi"
    above: Number = Field(0.2, gt=0)
    alpha: Number = Field(0.01, gt=0, lt=1, description="false-discovery rate over all tests of a run")


class Monitoring(Section):
    """What scored rows are held against."""

    baseline: Literal["training"] = "training"
    label_delay: Duration | None = None
    alarms: tuple[Alarm, ...] = (Alarm(),)
