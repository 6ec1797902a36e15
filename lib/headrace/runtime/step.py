"""A step as data: what it reads, what it writes, and a function between the two.

A room's `stage.py` lists its steps; `flow.py` puts them in order; `runtime/runner.py` reads, runs, writes,
commits and logs around each of them, once, for all stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from headrace.config.types import Pipeline

STAGES = (
    "ingest",
    "validate",
    "clean",
    "features",
    "training_set",
    "search",
    "evaluate",
    "register",
    "score",
    "monitor",
)


@dataclass(frozen=True)
class Output:
    """A table to write: one Delta commit.

    Attributes:
        table: Its name, without the schema.
        frame: What to write. A function is called just before the write, after the earlier outputs are committed.
        mode: `overwrite` the table, `append`, `insert`: add rows whose `keys` are not there yet, or `merge`: put in,
            replace and take out rows by their `keys`, as the column `_change` says (insert, update, delete).
        keys: With `insert` and `merge`, the columns that make a row unique; a `merge` without is of whole rows.
        only: With `insert` and `merge`, SQL over the table (`t`) that all rows fulfil which can be concerned.
        counts: Row counts known before the commit, written into it.
        expect_rows: What Delta must say it wrote; on a difference the version is restored and the run fails.
        merge_schema: Columns that are new are added to the table.
        serializable: Of two writers of the same thing, one loses and sees it.
        comments: Column comments.
        description: The table's comment.
        facts: More facts to carry in the commit.
        based_on: The version of the table that the frame was computed from, -1 where there was none: when another
            run has written since, this one gives way. None: no matter.
        adds_nothing: The frame is empty and only the facts are new: to those who read the table it is as it was.
        views: SQL of views over the table, by name; `{schema}` stands for the schema. Where several tables bring a view
            of the same name, it is all of them, one below the other.
        change_feed: Those who follow the table find its changes in Delta's change data feed.
        verify: Called with the rows that were written when the commit is there: None, or, where what was written is
            wrong, what is to be written in its place; its rows are taken out before. A run that is killed before it has
            verified what it wrote leaves a commit without a fingerprint, whose rows the next one takes out.
        made: With `verify`, SQL that the rows written fulfil, and no others of the table.
        failed: Called where Spark cannot make the rows: what is to be written in their place.
        optional: Where it cannot be written, people are told, and the step goes on.
    """

    table: str
    frame: DataFrame | Callable[[], DataFrame]
    mode: Literal["overwrite", "append", "insert", "merge"] = "overwrite"
    keys: tuple[str, ...] = ()
    only: str | None = None
    counts: Mapping[str, int] | Callable[[], Mapping[str, int]] = field(default_factory=dict)
    expect_rows: int | Callable[[], int] | None = None
    merge_schema: bool = False
    serializable: bool = False
    comments: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    based_on: int | None = None
    adds_nothing: bool = False
    views: Mapping[str, str] = field(default_factory=dict)
    change_feed: bool = False
    verify: Callable[[int], Output | None] | None = None
    made: str | None = None
    failed: Callable[[Exception], Output] | None = None
    optional: bool = False


@dataclass(frozen=True)
class Done:
    """What a step brought about.

    Attributes:
        outputs: Tables to write, in this order; the last one carries the step's fingerprint.
        rows_in: Rows read, or a function called after the outputs are written.
        rows_out: Rows written; default: what Delta says of the outputs.
        notes: Lines for people.
        model: `{name, version, alias}` where the step chose one.
        metrics: For the summary, as `{"test": {"areaUnderROC": {"value": .., "lower": .., "upper": ..}}}`, or of the
            search `{"validation": {"areaUnderROC": {"value": .., "baseline": .., "better_by": ..}}}`.
        expires: Unchanged only until this moment, when more becomes due or known; None: for ever.
        refused: Why a gate refused the model (the run ends with exit code 4, after the later stages).
        broken: Why the data cannot be used: the outputs are written, so that people can look at them, and the step fails
            (exit code 3); the next run does it again.
        cleanup: Called when the outputs are written.
        unchanged: The work found that all is as it was: nothing is written, and nothing need be.
    """

    outputs: tuple[Output, ...] = ()
    rows_in: int | Callable[[], int] | None = None
    rows_out: int | None = None
    notes: tuple[str, ...] = ()
    model: Mapping[str, Any] | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    expires: datetime | None = None
    refused: str | None = None
    broken: str | None = None
    cleanup: Callable[[], None] | None = None
    unchanged: bool = False


class Run(Protocol):
    """What a step may ask of the run it is part of."""

    @property
    def spark(self) -> SparkSession:
        """The session."""
        ...

    @property
    def pipeline(self) -> Pipeline:
        """The configuration."""
        ...

    @property
    def schema(self) -> str:
        """Schema of the pipeline's tables."""
        ...

    @property
    def run_id(self) -> str:
        """Names the run."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of this step's inputs, configuration and code: equal for a repeat after a kill."""
        ...

    @property
    def as_of(self) -> datetime:
        """The logical now."""
        ...

    @property
    def since(self) -> datetime | None:
        """Start of the window of `predict_at`, inclusive."""
        ...

    @property
    def until(self) -> datetime | None:
        """Its end, exclusive."""
        ...

    @property
    def rescore(self) -> bool:
        """Whether rows that have a prediction are scored again."""
        ...

    @property
    def forced(self) -> bool:
        """Whether `--force` asks for this step."""
        ...

    @property
    def sample(self) -> str | None:
        """A share of the keys, as `5%`."""
        ...

    @property
    def parallelism(self) -> int:
        """Task slots of the cluster."""
        ...

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking and registry."""
        ...

    @property
    def model_name(self) -> str:
        """Registered model: the schema's name."""
        ...

    def read(self, table: str) -> DataFrame:
        """A table, at the version pinned for this step."""

    def spine_rows(self, table: str) -> DataFrame:
        """Rows of the table that is the spine: all of them, or those that a stream has brought."""

    def bringing(self, rows: DataFrame, as_of: datetime, since: datetime | None, until: datetime | None) -> Run:
        """The same run for rows that a stream has brought, in place of those of the spine's table.

        Args:
            rows: With the columns of that table.
            as_of: The logical now.
            since: None of them lies before it.
            until: None of them lies at or after it.
        """
        ...

    def read_version(self, table: str, version: int) -> DataFrame:
        """A table, at a version."""

    def changes(self, table: str, since: int) -> tuple[DataFrame, DataFrame] | None:
        """The rows that went and those that came after a version, up to the pinned one; None: nobody kept them."""

    def exists(self, table: str) -> bool:
        """Whether the table is there."""

    def version(self, table: str) -> int:
        """The table's version pinned for this step."""

    def identity(self, table: str, version: int | None = None) -> str:
        """Tells one state of the table's rows from another, as pinned for this step; or of a version, empty where
        it is not known any more."""

    def made_alike(self, table: str) -> bool:
        """Whether the table's newest rows were made by this step, of the same configuration and code."""

    def only_added(self, table: str, since: int, until: int) -> bool:
        """Whether after one version of a table, up to another, rows were only added to it."""

    def facts(self, table: str, version: int | None = None) -> dict[str, Any]:
        """What the commit of a version, by default the pinned one, carries: `run_id, stage, inputs, counts, ...`."""

    def history(self, table: str) -> Iterator[dict[str, Any]]:
        """What the commits of a table carry, the newest first; those of others are left out."""

    def append(self, table: str, frame: DataFrame) -> None:
        """Append rows at once, before the step ends (finished trials). One commit, Serializable."""

    def say(self, text: str) -> None:
        """Progress within the step, for people."""


@dataclass(frozen=True)
class Step:
    """One node of the flow.

    Attributes:
        stage: One of `STAGES`.
        name: Unique in the flow: the stage, or `stage:table`.
        inputs: Tables read, by name.
        outputs: Tables written, by name; the last carries the fingerprint.
        config: What of the configuration matters to the result (JSON-able), nested as in the YAML, so that a plan
            can name what changed; a change runs the step again. Descriptions are no part of it.
        run: The work.
        state: Fingerprint of what lies outside the tables (files, a model alias), or None where there is nothing.
        done: For a step that writes no table of its own: what an earlier run with this fingerprint brought about,
            or None.
        always: Run even when unchanged (cheap steps that look for new work themselves).
        verified: Tables, by name, of which what it writes is verified afterwards (`Output.verify`).
        code: Packages whose code, with all it imports, decides whether the step is unchanged (set by the flow, where
            the step does not say it: then they are those of its stage).
        hooks: Hash of the user's Python that the step runs, to the same end; empty where it runs none (set by the flow).
    """

    stage: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    config: Any
    run: Callable[[Run], Done]
    state: Callable[[Run], Any] | None = None
    done: Callable[[Run], Done | None] | None = None
    always: bool = False
    verified: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    hooks: str = ""
