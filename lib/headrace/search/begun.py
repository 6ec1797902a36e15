"""Trials that are under way: each fold is in MLflow as soon as it is finished, and a search that was killed does not repeat it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.models.version import PREFIX
from headrace.search.space import Point

if TYPE_CHECKING:
    from mlflow import MlflowClient

Key = tuple[str, str]
"""Estimator, and parameters as JSON."""
PARENT, STATUS, PARAMS = "mlflow.parentRunId", f"{PREFIX}status", f"{PREFIX}params"
RUNNING, INTERRUPTED = "running", "interrupted"


def key_of(point: Point) -> Key:
    """What tells points apart."""
    return point.estimator, json.dumps(dict(point.params), sort_keys=True)


@dataclass(frozen=True)
class Folded:
    """A fold of a trial is finished.

    Attributes:
        point: That is tried.
        metric: Spark ML's name.
        fold: Its number.
        value: Of the metric.
    """

    point: Point
    metric: str
    fold: int
    value: float


@dataclass
class Child:
    """MLflow's run of a trial that is under way.

    Attributes:
        run_id: Its id.
        folds: That it has.
    """

    run_id: str
    folds: set[int] = field(default_factory=set)


@dataclass
class Children:
    """MLflow's runs of trials that are under way; only the ledger's thread uses it.

    Attributes:
        client: MLflow's.
        experiment: Id.
        parent: Id of the search's run.
        run_id: Of Headrace's run.
    """

    client: MlflowClient
    experiment: str
    parent: str
    run_id: str
    _there: dict[Key, Child] = field(default_factory=dict)

    def note(self, done: Folded) -> None:
        """Log a fold; the first of a trial makes its run."""
        key = key_of(done.point)
        if key not in self._there:
            self._there[key] = Child(self._made(key))
        child = self._there[key]
        if done.fold not in child.folds:  # a point that is tried twice at once has the same folds
            child.folds.add(done.fold)
            self.client.log_metric(child.run_id, f"fold_{done.metric}", done.value, step=done.fold)

    def taken(self, key: Key, started: int, name: str) -> Child:
        """The run of a trial that is over: that of its folds, or a new one.

        Args:
            key: Of its point.
            started: Milliseconds since 1970.
            name: Of the run.
        """
        child = self._there.pop(key, None)
        if child is None:
            return Child(self._made(key, started, name))
        self.client.update_run(child.run_id, name=name)
        return child

    def _made(self, key: Key, started: int | None = None, name: str | None = None) -> str:
        estimator, params = key
        tags = {PARENT: self.parent, f"{PREFIX}run_id": self.run_id, STATUS: RUNNING, PARAMS: params[:5000]}
        made = self.client.create_run(self.experiment, started, tags, name or f"{estimator}, under way")
        self.client.log_param(made.info.run_id, "estimator", estimator)
        return str(made.info.run_id)

    def interrupted(self, metric: str) -> dict[Key, Mapping[int, float]]:
        """Finished folds of trials that an earlier run began and did not finish; these runs are closed."""
        wanted = f"tags.`{PARENT}` = '{self.parent}' and tags.`{STATUS}` = '{RUNNING}'"
        found: dict[Key, Mapping[int, float]] = {}
        for one in self.client.search_runs([self.experiment], wanted):
            self.client.set_tag(one.info.run_id, STATUS, INTERRUPTED)
            self.client.set_terminated(one.info.run_id, status="KILLED")
            history: Any = self.client.get_metric_history(one.info.run_id, f"fold_{metric}")
            if history and _whole(one.data.tags[PARAMS]):
                key = (one.data.params["estimator"], one.data.tags[PARAMS])
                found[key] = {int(value.step): float(value.value) for value in history}
        return found


def _whole(params: str) -> bool:
    """Whether parameters are all there: MLflow's databases cut long texts."""
    try:
        json.loads(params)
    except ValueError:
        return False
    return True
