"""The types of a pipeline's YAML, in the order in which data flows.

Frozen, and unknown keys are refused. What a value means is decided in the rooms of the stages; here stands
only what may be written. References between sections are checked in `config/checks/`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator
from pydantic.config import JsonDict

from headrace.config.describing import ColumnText, Owner, Tags, Text
from headrace.config.durations import Duration
from headrace.config.hook_types import Hook, Metric
from headrace.config.learning import (
    Gate,
    Monitoring,
    Scoring,
    Search,
    TrainingSet,
)
from headrace.config.privacy import Privacy, Sensitive
from headrace.config.publishing import Publish, Step
from headrace.config.rules import Rule
from headrace.config.schedules import Schedule
from headrace.config.section import Name, Section
from headrace.config.sinks import Sink
from headrace.config.source import Source as Source  # those who read sources ask for it here
from headrace.config.spark_types import OnFailure, Spark
from headrace.config.values import Column, Columns, ModelStoreUri, Names, Sql, listed
from headrace.config.windows import FUNCTIONS, WindowLength


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
    sensitive: Sensitive = Field(
        {}, description="columns that the tables never hold as they came: hash (default), mask, drop"
    )


class Aggregates(Section):
    """Window aggregates of one column."""

    column: Column = Field(description="a column of the table, or `*` to count rows")
    functions: Names = Field(description=f"{', '.join(FUNCTIONS)}, p01 ... p99")
    windows: Annotated[tuple[WindowLength, ...], BeforeValidator(listed)]
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
    until: Column | None = Field(
        None, description="of `latest`: the column that says from when on a row does not hold any more; null: it does"
    )
    max_age: Duration | None = None
    publish: Publish = Field(Publish(), description="when the table has rows: `events` (default), or {every: 1 day}")
    every: Step | None = Field(None, description="the same as `publish: {every: ...}`")

    @model_validator(mode="after")
    def _one_kind(self) -> FeatureTable:
        kinds = [k for k in ("aggregates", "latest", "lookup") if getattr(self, k)]
        if len(kinds) != 1:
            raise ValueError(
                f"a feature table has exactly one of aggregates, latest, lookup; this one has {kinds or 'none'}"
            )
        if self.max_age and not self.latest:
            raise ValueError("max_age belongs to `latest`; windows have their own length")
        if self.until and not self.latest:
            raise ValueError("until belongs to `latest`: rows that hold from their event time until this one")
        if self.until and "valid_until" in self.latest:
            raise ValueError(f"valid_until is what the feature table calls {self.until}; take it out of `latest`")
        if self.grid and not self.aggregates:
            raise ValueError(
                "a grid of times belongs to `aggregates`; `latest` and `lookup` have the rows of their table"
            )
        if self.every and self.publish.every:
            raise ValueError(
                "`every` stands twice; leave out one: `every: 1 day` says the same as `publish: {every: 1 day}`"
            )
        return self

    @property
    def grid(self) -> str | None:
        """The step of the grid of times at which the table has rows; None: just after each event."""
        return self.publish.every or self.every

    @property
    def kind(self) -> Literal["aggregates", "latest", "lookup"]:
        """Which of the three it is."""
        return "aggregates" if self.aggregates else "latest" if self.latest else "lookup"


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
    sinks: dict[Name, Sink] = Field({}, description="where predictions and feature tables are written on to")
    schedules: dict[Name, Schedule] = Field({}, description="when which jobs run, for `headrace schedule`")
    privacy: Privacy = Privacy()
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
    mlflow: ModelStoreUri | None = Field(None, description="tracking and registry; default: SQLite in HEADRACE_HOME")
    metastore: Literal["memory", "hive"] = "memory"
    jars: tuple[str, ...] = Field((), description="jar files for the driver's class path (a JDBC driver)")
    spark: Spark = Spark()
    on_failure: OnFailure | None = None
