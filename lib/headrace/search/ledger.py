"""Finished trials, written at once: to the table `trials`, and when they are there to MLflow, by a thread each, in order.

A lost driver loses no finished trial: those of the same attempt (see `search.attempt`) are read back and not repeated.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from headrace.errors import HeadraceError
from headrace.models.store import ModelStore
from headrace.models.version import PREFIX
from headrace.runtime.step import Run
from headrace.search.begun import STATUS, Children, Folded, Key, key_of
from headrace.search.space import Point

T = TypeVar("T")
SCHEMA = (
    "run_id string, fingerprint string, trial bigint, estimator string, params string, status string, metric string, "
    "value double, loss double, seconds double, error string, started_at timestamp, finished_at timestamp, "
    "model_uri string, fold_values array<double>, rungs array<double>, "
    "bracket bigint"
)

BASELINE = "baseline"
"""Estimator and status of the row that says what a guess without any feature is worth; no trial, its number is -1."""


@dataclass(frozen=True)
class Row:
    """One row of `trials`; see `SCHEMA`. Times are aware, UTC."""

    run_id: str
    fingerprint: str
    trial: int
    estimator: str
    params: str
    status: str
    metric: str
    value: float | None
    loss: float | None
    seconds: float
    error: str | None
    started_at: datetime
    finished_at: datetime
    model_uri: str | None = None
    fold_values: Sequence[float] | None = None
    rungs: Sequence[float] | None = None
    bracket: int | None = None

    @property
    def point(self) -> Point:
        """What was tried."""
        return Point(self.estimator, json.loads(self.params))


def _taken(of: queue.Queue[T | None]) -> tuple[list[T], bool]:
    """What has come, once there is something; and whether it is all."""
    news = [of.get()]
    while not of.empty():
        news.append(of.get_nowait())
    return [one for one in news if one is not None], None in news


def begun_before(run: Run, attempt: str) -> bool:
    """Whether an earlier run has begun this attempt. Runs a Spark job."""
    return run.exists("trials") and not run.read("trials").where(f"fingerprint = '{attempt}'").isEmpty()


def read_back(run: Run, attempt: str) -> list[Row]:
    """Trials that an earlier run of this attempt finished, by number."""
    if not run.exists("trials"):
        return []
    there = run.read("trials")
    names = [part.split()[0] for part in SCHEMA.split(", ") if part.split()[0] in there.columns]  # it may be older
    found = (
        there.where(f"fingerprint = '{attempt}' and status in ('ok', 'pruned', 'failed', 'timed_out')")
        .orderBy("trial")
        .select(*names)
        .collect()  # bounded by the trials that the search may have
    )
    return [Row(**_aware(row.asDict())) for row in found]


def _aware(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("started_at", "finished_at"):
        row[name] = row[name].astimezone(UTC)
    return row


class Ledger:
    """The one writer of finished trials, to the table and then to MLflow; use it in a `with`.

    Args:
        run: Of the step.
        attempt: Names the search; MLflow's parent run is found by it.
        store: MLflow.
        tags: Of the parent run.

    Attributes:
        attempt: As given.
        parent: Id of MLflow's parent run; there once the `with` is left, or after `wait_for_parent`.
    """

    def __init__(self, run: Run, attempt: str, store: ModelStore, tags: Mapping[str, str]) -> None:
        self.attempt = attempt
        self._run, self._store, self._tags = run, store, dict(tags)
        self._finished: queue.Queue[Row | None] = queue.Queue()
        self._told: queue.Queue[Row | Folded | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=self._write, name="trials-writer"),
            threading.Thread(target=self._tell, name="trials-in-mlflow"),
        ]
        self._error: BaseException | None = None
        self._opened = threading.Event()
        self.parent = ""
        self._children: Children | None = None

    def __enter__(self) -> Ledger:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._finished.put(None)
        for thread in self._threads:
            thread.join()
        if self._error and error is None:
            raise HeadraceError(f"finished trials could not be written: {self._error}") from self._error

    def put(self, row: Row) -> None:
        """A trial is over.

        Raises:
            HeadraceError: If an earlier one could not be written.
        """
        self._finished.put(row)  # first of all: where MLflow does not answer, the table may
        if self._error:
            raise HeadraceError(f"finished trials could not be written: {self._error}") from self._error

    def fold(self, done: Folded) -> None:
        """A fold of a trial is over; it is written while the trial goes on."""
        self._told.put(done)

    def interrupted(self, metric: str) -> dict[Key, Mapping[int, float]]:
        """Finished folds of trials that a killed run of this attempt did not finish."""
        self.wait_for_parent()
        assert self._children is not None, "it is opened"
        return self._children.interrupted(metric)

    def wait_for_parent(self) -> str:
        """Id of MLflow's parent run."""
        self._opened.wait()
        if self._error:
            raise HeadraceError(f"the model store did not answer: {self._error}") from self._error
        return self.parent

    def _write(self) -> None:
        """The table: at once, for it is what a restart needs; what is in it goes on to MLflow."""
        self._run.spark.sparkContext.setLocalProperty("spark.scheduler.pool", "trials-writer")
        last = False
        try:
            while not last:
                rows, last = _taken(self._finished)
                if rows:
                    self._run.append("trials", frame(self._run, rows))
                for row in rows:
                    self._told.put(row)
        except BaseException as error:  # noqa: BLE001 (raised in the thread that uses the ledger)
            self._error = error
        finally:
            self._told.put(None)

    def _tell(self) -> None:
        """MLflow: its first use takes seconds."""
        last = False
        try:
            self._open()
            while not last:
                found: tuple[list[Row | Folded], bool] = _taken(self._told)
                news, last = found
                for one in news:
                    self._log(one) if isinstance(one, Row) else self._open_children.note(one)
        except BaseException as error:  # noqa: BLE001 (raised in the thread that uses the ledger)
            self._error = error
        finally:
            self._opened.set()

    def _open(self) -> None:
        client = self._store.client
        experiment = self._store.experiment(self._run.model_name)
        wanted = self.attempt
        found = client.search_runs(
            [experiment], f"tags.`{PREFIX}fingerprint` = '{wanted}' and tags.`{PREFIX}role` = 'search'"
        )
        if found:
            self.parent = found[0].info.run_id
            client.update_run(self.parent, status="RUNNING")
        else:
            tags = {f"{PREFIX}{key}": value for key, value in self._tags.items()}
            tags |= {f"{PREFIX}fingerprint": wanted, f"{PREFIX}role": "search"}
            made = client.create_run(experiment, tags=tags, run_name=f"search {self._run.run_id}")
            self.parent = made.info.run_id
        client.set_tag(self.parent, f"{PREFIX}run_id", self._run.run_id)
        client.set_tag(self.parent, f"{PREFIX}overrides", json.dumps(self._run.pipeline.overrides)[:5000])
        self._children = Children(client, experiment, self.parent, self._run.run_id)
        self._opened.set()

    @property
    def _open_children(self) -> Children:
        assert self._children is not None, "MLflow is opened before anything is logged"
        return self._children

    def _log(self, row: Row) -> None:
        from mlflow.entities import Metric, Param, RunTag

        client = self._store.client
        if row.status == BASELINE:
            if row.value is not None:
                client.log_metric(self.parent, f"baseline_{row.metric}", row.value)
            return
        begun, ended = (int(moment.timestamp() * 1000) for moment in (row.started_at, row.finished_at))
        found = self._open_children.taken(key_of(row.point), begun, f"trial {row.trial} {row.estimator}")
        child = found.run_id
        values = {"seconds": row.seconds} | ({row.metric: row.value} if row.value is not None else {})
        folds = [] if found.folds else list(enumerate(row.fold_values or (), 1))  # else each was told as it ended
        client.log_batch(
            child,
            metrics=[
                *[Metric(key, value, ended, 0) for key, value in values.items()],
                *[Metric(f"fold_{row.metric}", value, ended, fold) for fold, value in folds],
            ],
            params=[Param(key, str(value)) for key, value in row.point.params.items()],
            tags=[RunTag(STATUS, row.status), *([RunTag(f"{PREFIX}error", row.error)] if row.error else [])],
        )
        ended_as = {"ok": "FINISHED", "failed": "FAILED"}.get(row.status, "KILLED")
        client.set_terminated(child, status=ended_as, end_time=ended)


def frame(run: Run, rows: Sequence[Row]) -> Any:
    """Rows as a DataFrame with `SCHEMA`."""
    names = [part.split()[0] for part in SCHEMA.split(", ")]
    return run.spark.createDataFrame([tuple(getattr(row, name) for name in names) for row in rows], SCHEMA)
