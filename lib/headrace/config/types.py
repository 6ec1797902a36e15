"""The types of a pipeline's YAML, in the order in which data flows.

Frozen, and unknown keys are refused. What a value means is decided in the rooms of the stages; here stands
only what may be written. References between sections are checked in `config/references.py`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator
from pydantic.config import JsonDict

from headrace.config.describing import ColumnText, Owner, Tags, Text
from headrace.config.document import shown
from headrace.config.durations import Duration
from headrace.config.hook_types import Estimator, Hook, Metric, OwnTransformer
from headrace.config.section import Name, Section
from headrace.config.spark_types import OnFailure, Spark

Task = Literal["binary", "multiclass", "regression"]
OnFail = Literal["quarantine", "warn", "fail"]


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
    return _utc(value)


def _utc(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("isoformat: before the year 1 or after 9999 in UTC") from error


def _moment(value: object) -> object:
    if isinstance(value, str):
        return moment_of(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    return _utc(value) if isinstance(value, datetime) else value


def _lower(value: object) -> object:
    """Column names are lower case inside, as SQL does not tell the cases apart."""
    return value.lower() if isinstance(value, str) else value


def _plain(value: str) -> str:
    if not re.fullmatch(r"\w+|\*", value):
        name = re.sub(r"\W+", "_", value.strip()).strip("_")
        raise ValueError(f"{shown(value)} is no column; other signs become underscores: {shown(name)}")
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Column = Annotated[str, BeforeValidator(_lower), AfterValidator(_plain)]
Columns = Annotated[tuple[Column, ...], BeforeValidator(_listed)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
Sql = Annotated[str, Field(min_length=1, max_length=10_000)]


def _or_python(schema: JsonDict) -> None:
    """For editors: with `python` there is neither format nor path."""
    schema["anyOf"] = [{"required": ["python"]}, {"required": schema.pop("required")}]


class Source(Section):
    """Where a table's rows come from: files, or Python."""

    model_config = ConfigDict(json_schema_extra=_or_python)

    format: str
    path: str = Field(description="a file, a folder or a glob; `example:<package>/<file>` for the packaged examples")
    python: Hook | None = Field(
        None, description="in place of format and path: function(spark, **options) -> DataFrame, or a DataSource"
    )
    options: dict[str, Any] = Field({}, description="options of Spark's reader")
    mode: Literal["append", "snapshot"] | None = Field(
        None, description="default: a single file is a snapshot, a folder or glob is appended file by file"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_python(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("python") is None:
            return value
        if (value.get("format"), value.get("path")) == ("python", value["python"]):
            return value
        given = [key for key in ("format", "path", "mode") if key in value]
        if given:
            raise ValueError(f"with `python` a source has no {', '.join(given)}; what it needs stands under `options`")
        return {**value, "format": "python", "path": str(value["python"]), "mode": "snapshot"}


class Rule(Section):
    """A check that each row must pass; one that yields NULL passes."""

    name: Name
    check: Sql
    on_fail: OnFail = "quarantine"


class Table(Section):
    """A cleaned table and how it comes to be."""

    description: Text | None = None
    owner: Owner | None = Field(None, description="who answers for it; default: the pipeline's owner")
    tags: Tags = ()
    describe: dict[Column, ColumnText] = Field({}, description="what columns mean, for those who query the table")
    shared: str | None = Field(None, description="YAML file of the pipeline that makes the table, instead of all else")
    source: Source
    types: dict[Column, str] = Field({}, description="SQL types of source columns; inferred where absent")
    transform: Hook | None = Field(None, description="DataFrame -> DataFrame before `columns`, keeping rows")
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

    description: Text | None = None
    owner: Owner | None = Field(None, description="who answers for it; default: the pipeline's owner")
    tags: Tags = ()
    describe: dict[Column, ColumnText] = Field({}, description="more on columns, which are told by what they are")
    shared: str | None = Field(None, description="YAML file of the pipeline that makes it, instead of all else")
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
    features: Columns = Field((), description="feature tables")
    row_features: dict[Name, Sql] = Field({}, description="SQL over the row's early columns and the joined features")
    transform: Hook | None = Field(
        None, description="DataFrame -> DataFrame after row_features, keeping rows; new columns become features"
    )
    exclude: Columns = Field((), description="columns that are no features")
    split: Split = Split()


class Search(Section):
    """The search over estimators and their hyperparameters."""

    estimators: Annotated[tuple[Estimator, ...], BeforeValidator(_listed), Field(min_length=1)] = tuple(
        Estimator(name=name) for name in ("logistic_regression", "random_forest", "gbt", "xgboost")
    )
    transformers: Annotated[tuple[OwnTransformer, ...], BeforeValidator(_listed)] = Field(
        (), description="stages of Spark ML that change the feature columns, before all others"
    )
    algorithm: Literal["tpe", "random", "anneal"] = "tpe"
    max_evals: int = Field(20, ge=1)
    timeout: Duration | None = None
    trial_timeout: Duration | None = None
    parallelism: int = Field(2, ge=1)
    metric: str | None = Field(None, description="default: areaUnderROC, f1 or rmse, by task; or one of `metrics`")
    seed: int = 42
    max_categories: int = Field(100, ge=2, description="categories kept per column; the rest become one")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the estimators."""
        return tuple(one.name for one in self.estimators)


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


def _or_extended(schema: JsonDict) -> None:
    """For editors: what a file lacks may stand in the one that it extends."""
    schema["anyOf"] = [{"required": ["extends"]}, {"required": schema.pop("required")}]


class Pipeline(Section):
    """A whole pipeline."""

    model_config = ConfigDict(json_schema_extra=_or_extended)

    pipeline: Name
    extends: None = Field(
        None, description="a YAML file that this one builds on", json_schema_extra={"type": ["string", "null"]}
    )
    description: Text | None = None
    owner: Owner | None = Field(None, description="who answers for the tables and the model")
    tags: Tags = ()
    tables: dict[Name, Table] = Field(min_length=1)
    feature_tables: dict[Name, FeatureTable] = Field({})
    training_set: TrainingSet | None = None
    metrics: dict[Name, Metric] = Field({}, description="metrics in Python, for search.metric and gates")
    search: Search = Search()
    gates: tuple[Gate, ...] = ()
    scoring: Scoring = Scoring()
    monitoring: Monitoring = Monitoring()
    spark: Spark = Spark()
    on_failure: OnFailure | None = None

    _folders: tuple[Path, ...] = PrivateAttr(())
    _overrides: tuple[str, ...] = PrivateAttr(())

    @property
    def folders(self) -> tuple[Path, ...]:
        """Of the YAML and the files that it builds on, where their Python is; none for one that came from no file."""
        return self._folders

    def beside(self, *folders: Path) -> Pipeline:
        """The same pipeline, as of a YAML in these folders."""
        placed = self.model_copy()
        placed._folders = folders
        return placed

    @property
    def owners(self) -> dict[str, str]:
        """The pipelines that make tables and feature tables which this one only reads, by table."""
        tables = {name: table.shared for name, table in self.tables.items() if table.shared}
        return tables | {name: table.shared for name, table in self.feature_tables.items() if table.shared}

    @property
    def overrides(self) -> tuple[str, ...]:
        """What `--set` has changed, as it may be shown and kept: `a.b=value`, without secrets."""
        return self._overrides

    def overridden(self, overrides: tuple[str, ...]) -> Pipeline:
        """The same pipeline, with what `--set` has changed in it."""
        changed = self.model_copy()
        changed._overrides = overrides
        return changed


class Environment(Section):
    """An overlay (`--env NAME`): where things are, never what is computed."""

    prefix: str = Field("", pattern=r"^[A-Za-z0-9_]*$", description="before the schema and the model name")
    master: str | None = None
    warehouse: str | None = Field(None, description="default: warehouse/ in HEADRACE_HOME")
    mlflow: str | None = Field(None, description="tracking and registry; default: SQLite in HEADRACE_HOME")
    metastore: Literal["memory", "hive"] = "memory"
    jars: tuple[str, ...] = Field((), description="jar files for the driver's class path (a JDBC driver)")
    spark: Spark = Spark()
    on_failure: OnFailure | None = None
