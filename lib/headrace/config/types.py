"""The types of a pipeline's YAML, in the order in which data flows.

Frozen, and unknown keys are refused. What a value means is decided in the rooms of the stages; here stands
only what may be written. References between sections are checked in `config/references.py`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from headrace.config.durations import Duration

Task = Literal["binary", "multiclass", "regression"]
OnFail = Literal["quarantine", "warn", "fail"]


def _name(value: str) -> str:
    if not value.isidentifier() or not value.isascii() or value.startswith("_"):
        raise ValueError(f"{value!r} is no name; use letters, digits and underscores, beginning with a letter")
    return value.lower()


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def moment_of(text: str) -> datetime:
    """A point in time: a date is 00:00 UTC, a time without a zone is UTC.

    >>> moment_of("2013-12-01").isoformat()
    '2013-12-01T00:00:00+00:00'

    Raises:
        ValueError: If the text is no ISO date or time.
    """
    value = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _moment(value: object) -> object:
    if isinstance(value, str):
        return moment_of(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value


def _lower(value: object) -> object:
    """Column names are lower case inside, as SQL does not tell the cases apart."""
    if isinstance(value, str):
        return value.lower()
    return [v.lower() if isinstance(v, str) else v for v in value] if isinstance(value, list | tuple) else value


Name = Annotated[str, AfterValidator(_name)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Column = Annotated[str, BeforeValidator(_lower)]
Columns = Annotated[tuple[str, ...], BeforeValidator(lambda value: _lower(_listed(value)))]
Moment = Annotated[datetime, BeforeValidator(_moment)]
Sql = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A part of the YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, str_strip_whitespace=True)


class Source(Section):
    """Where a table's rows come from."""

    format: str
    path: str = Field(description="a file, a folder or a glob; `example:<package>/<file>` for the packaged examples")
    options: dict[str, Any] = Field({}, description="options of Spark's reader")
    mode: Literal["append", "snapshot"] | None = Field(
        None, description="default: a single file is a snapshot, a folder or glob is appended file by file"
    )


class Rule(Section):
    """A check that each row must pass; one that yields NULL passes."""

    name: Name
    check: Sql
    on_fail: OnFail = "quarantine"


class Table(Section):
    """A cleaned table and how it comes to be."""

    description: str | None = None
    source: Source
    types: dict[Column, str] = Field({}, description="SQL types of source columns; inferred where absent")
    columns: dict[Name, Sql] = Field({}, description="SQL over the source's columns, added in this order")
    keep: Columns = Field((), description="columns of the cleaned table; default: all")
    key: Columns = ()
    event_time: Column | None = None
    available_at: Column | None = None
    known_early: Columns = ()
    rules: tuple[Rule, ...] = ()


class Aggregates(Section):
    """Window aggregates of one column."""

    column: Column = Field(description="a column of the table, or `*` to count rows")
    functions: Names = Field(description="count, sum, mean, stddev, min, max, first, last, distinct, p01 ... p99")
    windows: Annotated[tuple[Duration, ...], BeforeValidator(_listed)]
    where: Sql | None = Field(None, description="only events for which this holds")
    name: Name | None = Field(None, description="what the features are called instead of by their column")


class FeatureTable(Section):
    """Features of an entity over time. Exactly one of `aggregates`, `latest`, `lookup`."""

    description: str | None = None
    from_: Name = Field(alias="from")
    entity: Columns
    time: Column | None = Field(None, description="the windows' clock; default: the table's event_time")
    aggregates: tuple[Aggregates, ...] = ()
    latest: Columns = Field((), description="columns of the newest row known, within max_age")
    lookup: Columns = Field((), description="columns found by key, without time")
    max_age: Duration | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> FeatureTable:
        kinds = [k for k in ("aggregates", "latest", "lookup") if getattr(self, k)]
        if len(kinds) != 1:
            raise ValueError(
                f"a feature table has exactly one of aggregates, latest, lookup; this one has {kinds or 'none'}"
            )
        if self.max_age and not self.latest:
            raise ValueError("max_age belongs to `latest`; windows have their own length")
        return self

    @property
    def kind(self) -> Literal["aggregates", "latest", "lookup"]:
        """Which of the three it is."""
        return "aggregates" if self.aggregates else "latest" if self.latest else "lookup"


class Split(Section):
    """Which rows train, validate, test, and are scored."""

    by: Literal["time", "hash"] = "hash"
    train_until: Moment | None = None
    validation_until: Moment | None = None
    test_until: Moment | None = None
    group: Columns = Field((), description="columns whose rows stay together when split by hash")
    shares: tuple[float, float, float] = Field((0.70, 0.15, 0.15), description="train, validation, test by hash")

    @model_validator(mode="after")
    def _ordered(self) -> Split:
        times = (self.train_until, self.validation_until, self.test_until)
        if self.by == "hash":
            if any(times):
                raise ValueError("train_until, validation_until and test_until belong to `by: time`")
            if abs(sum(self.shares) - 1) > 1e-9 or min(self.shares) <= 0:
                raise ValueError(f"shares must be positive and add up to 1; these are {list(self.shares)}")
            return self
        train, validation, test = times
        if not (train and validation and test):
            raise ValueError("`by: time` needs train_until, validation_until and test_until")
        if not train < validation < test:
            raise ValueError("a part would be empty: train_until < validation_until < test_until must hold")
        return self


class TrainingSet(Section):
    """One row per spine row: label, split and features as known at `predict_at`."""

    from_: Name = Field(alias="from")
    predict_at: Sql | None = Field(None, description="SQL over the spine; default: its event time")
    label: Sql
    task: Task | None = Field(None, description="inferred from the label where it can be")
    label_delay: Duration | None = None
    features: Names = Field((), description="feature tables")
    row_features: dict[Name, Sql] = Field({}, description="SQL over the row's early columns and the joined features")
    exclude: Columns = Field((), description="columns that are no features")
    split: Split = Split()


class Search(Section):
    """The search over estimators and their hyperparameters."""

    estimators: Annotated[Names, Field(min_length=1)] = ("logistic_regression", "random_forest", "gbt", "xgboost")
    algorithm: Literal["tpe", "random", "anneal"] = "tpe"
    max_evals: int = Field(20, ge=1)
    timeout: Duration | None = None
    trial_timeout: Duration | None = None
    parallelism: int = Field(2, ge=1)
    metric: str | None = Field(None, description="default: areaUnderROC, f1 or rmse, by task")
    seed: int = 42
    max_categories: int = Field(100, ge=2, description="categories kept per column; the rest become one")


class Gate(Section):
    """What a new model version must fulfil to become champion."""

    metric: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    slice: Column | None = Field(None, description="a column: the bound holds for each of its values")
    min_rows: int = Field(100, ge=1, description="slices with fewer labelled rows are not judged")
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
    every: str | None = None


class Alarm(Section):
    """When monitoring raises its voice."""

    drift: Literal["psi", "js"] = "psi"
    above: float = Field(0.2, gt=0)
    alpha: float = Field(0.01, gt=0, lt=1, description="false-discovery rate over all tests of a run")


class Monitoring(Section):
    """What scored rows are held against."""

    baseline: Literal["training"] = "training"
    label_delay: Duration | None = None
    alarms: tuple[Alarm, ...] = (Alarm(),)


class Pipeline(Section):
    """A whole pipeline."""

    pipeline: Name
    description: str | None = None
    tables: dict[Name, Table] = Field(min_length=1)
    feature_tables: dict[Name, FeatureTable] = {}
    training_set: TrainingSet | None = None
    search: Search = Search()
    gates: tuple[Gate, ...] = ()
    scoring: Scoring = Scoring()
    monitoring: Monitoring = Monitoring()
    spark: dict[str, Any] = Field({}, description="settings of Spark")


class Environment(Section):
    """An overlay (`--env NAME`): where things are, never what is computed."""

    prefix: str = Field("", pattern=r"^[A-Za-z0-9_]*$", description="before the schema and the model name")
    master: str | None = None
    warehouse: str | None = Field(None, description="default: warehouse/ in HEADRACE_HOME")
    mlflow: str | None = Field(None, description="tracking and registry; default: SQLite in HEADRACE_HOME")
    metastore: Literal["memory", "hive"] = "memory"
    jars: tuple[str, ...] = Field((), description="jar files for the driver's class path (a JDBC driver)")
    spark: dict[str, Any] = {}
