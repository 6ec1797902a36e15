"""Prepared rows, once for all trials that prepare them alike, and only as many of them in memory as are needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from pyspark import StorageLevel
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame

from headrace.search.columns import Columns
from headrace.search.plan import Plan
from headrace.search.preparation import Preparation, fit_preparation
from headrace.search.special import Special
from headrace.search.tallies import ROW, Goal

KEPT = ("features", "label")
"""Columns of prepared rows."""


@dataclass(frozen=True)
class Parts:
    """What a search learns from: raw feature columns and `label` (double), without nulls in `label`.

    Prepared rows have with them what prepared them.
    """

    train: DataFrame
    validation: DataFrame
    preparation: PipelineModel | None = None


@dataclass
class _Entry:
    """Rows prepared by one plan.

    Attributes:
        parts: There once they are ready.
        frames: In memory, to be given back.
        users: Trials that use them now.
        asked: Whether a trial waits for them.
    """

    parts: Future
    frames: list[DataFrame] = field(default_factory=list)
    users: int = 0
    asked: bool = True


@dataclass
class Prepared:
    """Prepared rows per plan, in executor memory until others need the room, or `release`.

    Args:
        parts: Raw rows.
        columns: What was learned of the training rows.
        plans: To be prepared at once, in this order.
        goal: What is learned.
        special: How, where the task has a way of its own.
        most: Plans whose rows are kept in memory beside those in use; at least as many as there are `plans`.
    """

    parts: Parts
    columns: Columns
    plans: Sequence[Plan]
    goal: Goal = field(default_factory=Goal)
    special: Special | None = None
    most: int = 1
    _entries: dict[Plan, _Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Begin to prepare, one plan after the other, in a thread."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self.most = max(self.most, len(set(self.plans)))
        for plan in self.plans:
            self._entry(plan)

    def ready(self, plan: Plan) -> bool:
        """Whether `using` gives at once; if not, it is seen to that it soon does."""
        return self._entry(plan).parts.done()

    @contextmanager
    def using(self, plan: Plan) -> Iterator[Parts]:
        """Rows with `features` and `label`, or what the task's own way keeps; they stay while they are used."""
        entry = self._entry(plan, users=1)
        try:
            yield entry.parts.result()
        finally:
            with self._lock:
                entry.users -= 1

    def release(self) -> None:
        """Give the memory back."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for entry in self._entries.values():
            _free(entry)
        self._entries.clear()

    def _entry(self, plan: Plan, users: int = 0) -> _Entry:
        with self._lock:
            entry = self._entries.pop(plan, None)
            if entry is None:
                self._make_room()
                entry = _Entry(Future())
                entry.parts = self._pool.submit(self._prepare, plan, entry.frames)
            self._entries[plan] = entry  # the last that was asked for is the last to go
            entry.users += users
            entry.asked = not users
            return entry

    def _make_room(self) -> None:
        idle = [plan for plan, one in self._entries.items() if not (one.users or one.asked) and one.parts.done()]
        for plan in idle[: max(0, len(self._entries) + 1 - self.most)]:
            _free(self._entries.pop(plan))

    def _prepare(self, plan: Plan, frames: list[DataFrame]) -> Parts:
        if self.special:
            made = Preparation.of(self.special.prepare(self.parts.train, self.columns, plan))
        else:
            made = fit_preparation(self.parts.train, self.columns, plan, self.goal)
        keep = self.special.keep if self.special else KEPT
        train = [*keep, ROW] if ROW in self.parts.train.columns else keep
        return Parts(
            _kept(made.training.transform(self.parts.train).select(*train), frames),
            _kept(made.model.transform(self.parts.validation).select(*keep), frames),
            made.model,
        )


def _kept(frame: DataFrame, frames: list[DataFrame]) -> DataFrame:
    kept = frame.persist(StorageLevel.MEMORY_AND_DISK)
    frames.append(kept)
    kept.count()
    return kept


def _free(entry: _Entry) -> None:
    for frame in entry.frames:
        frame.unpersist()
