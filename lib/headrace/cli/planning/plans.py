"""What a plan consists of, and what a step may ask while it is only planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from headrace.cli.planning.changes import Change
from headrace.config.types import Pipeline
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from headrace.runtime.commits import CommitLog

Decision = Literal["run", "may run", "unchanged", "stopped"]


class NeedsSparkError(HeadraceError):
    """What is asked for is not on this machine."""


@dataclass(frozen=True)
class Planned:
    """A step, and what a run would do with it.

    Attributes:
        stage: Its stage.
        step: Its name.
        decision: `may run` where it depends on what another step finds; `stopped` where the run would end there.
        reasons: Why.
        changes: What of its configuration is another one than when it ran last.
        inputs: Tables read, with their versions now; None: not there.
        outputs: Tables written, likewise.
    """

    stage: str
    step: str
    decision: Decision
    reasons: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    inputs: Mapping[str, int | None] = field(default_factory=dict)
    outputs: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def why(self) -> str:
        """The reasons as one text."""
        return "; ".join(self.reasons)


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        schema: Schema of the tables.
        job: The job.
        steps: In their order.
        mistakes: What would stop the run.
        exit_code: With which it would end there; 0 where nothing would stop it.
    """

    schema: str
    job: str
    steps: tuple[Planned, ...]
    mistakes: tuple[str, ...] = ()
    exit_code: int = 0

    def count(self, decision: Decision) -> int:
        """How many steps have this decision."""
        return sum(step.decision == decision for step in self.steps)


class NoSession:
    """Stands where there is no session."""

    def __getattr__(self, name: str) -> Any:
        raise NeedsSparkError(f"this needs Spark ({name})")


@dataclass(frozen=True)
class PlanRun:
    """What a step may ask when it is only planned."""

    session: SparkSession | None
    log: CommitLog
    pipeline: Pipeline
    schema: str
    as_of: datetime
    tracking_uri: str
    since: datetime | None = None
    until: datetime | None = None
    rescore: bool = False
    sample: str | None = None
    fingerprint: str = ""
    run_id: str = "plan"
    parallelism: int = 1

    @property
    def spark(self) -> Any:
        """The session; without one, what asks it for anything learns that the plan has to be made again with one."""
        return NoSession() if self.session is None else self.session

    @property
    def model_name(self) -> str:
        """The registered model: the schema's name."""
        return self.schema

    def exists(self, table: str) -> bool:
        """Whether the table is there."""
        return self.log.last(table) is not None

    def facts(self, table: str) -> dict[str, Any]:
        """What the newest commit carries."""
        commit = self.log.last(table)
        return commit.note if commit else {}
