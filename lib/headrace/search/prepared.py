"""Prepared rows, once per fold for all trials that prepare them alike, and only as many of them in memory as are needed."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame

from headrace.search.handed import Handed
from headrace.search.plan import Plan
from headrace.search.preparation import Preparation, fit_preparation
from headrace.search.tallies import ROW
from headrace.search.wanted import with_beside

if TYPE_CHECKING:
    from headrace.search.fold import Fold

Key = tuple[int, Plan]
"""Number of a fold, and how its rows are prepared."""
KEPT = ("features", "label")
"""Columns of prepared rows."""
PART = 256 * 2**20
"""Bytes of a part of them that a task reads at most, where there is a choice."""


@dataclass(frozen=True)
class Parts:
    """What a search learns from: raw feature columns and `label` (double), without nulls in `label`.

    Prepared rows have with them what prepared them, and what tasks read them by.
    """

    train: DataFrame
    validation: DataFrame
    preparation: PipelineModel | None = None
    handed: Handed | None = None


@dataclass
class _Entry:
    """Rows of a fold, prepared by one plan.

    Attributes:
        parts: There once they are ready.
        held: In memory, to be given back.
        users: Trials that use them now.
        asked: Whether a trial waits for them.
    """

    parts: Future
    held: list[DataFrame | Handed] = field(default_factory=list)
    users: int = 0
    asked: bool = True


@dataclass
class Prepared:
    """Prepared rows per fold and plan, in executor memory until others need the room, or `release`.

    Args:
        folds: With raw rows, and what was learned of those that train.
        wanted: Numbers of folds, and plans, to be prepared at once in this order.
        most: Of how many rows are kept in memory beside those in use; at least as many as are `wanted`.
        slots: Task slots that a trial may hold at once; None: rows stay in as many parts as they come.
    """

    folds: Sequence[Fold]
    wanted: Sequence[Key]
    most: int = 1
    slots: int | None = None
    _entries: dict[Key, _Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Begin to prepare, one plan after the other, in a thread."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self.most = max(self.most, len(set(self.wanted)))
        for fold, plan in self.wanted:
            self._entry(fold, plan)

    def ready(self, fold: int, plan: Plan) -> bool:
        """Whether `using` gives at once; if not, it is seen to that it soon does."""
        return self._entry(fold, plan).parts.done()

    @contextmanager
    def using(self, fold: int, plan: Plan) -> Iterator[Parts]:
        """Rows with `features` and `label`, or what the task's own way keeps; they stay while they are used."""
        entry = self._entry(fold, plan, users=1)
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

    def _entry(self, fold: int, plan: Plan, users: int = 0) -> _Entry:
        with self._lock:
            entry = self._entries.pop((fold, plan), None)
            if entry is None:
                self._make_room()
                entry = _Entry(Future())
                entry.parts = self._pool.submit(self._prepare, fold, plan, entry.held)
            self._entries[fold, plan] = entry  # the last that was asked for is the last to go
            entry.users += users
            entry.asked = not users
            return entry

    def _make_room(self) -> None:
        idle = [key for key, one in self._entries.items() if not (one.users or one.asked) and one.parts.done()]
        for key in idle[: max(0, len(self._entries) + 1 - self.most)]:
            _free(self._entries.pop(key))

    def _prepare(self, fold: int, plan: Plan, held: list[DataFrame | Handed]) -> Parts:
        one = next(one for one in self.folds if one.number == fold)
        known, parts, special = one.known, one.parts, one.known.special
        if special:
            made = Preparation.of(special.prepare(parts.train, known.columns, plan))
        else:
            made = fit_preparation(parts.train, known.columns, plan, known.goal)
        keep = special.keep if special else KEPT
        trains, rows = _kept(made.training.transform(parts.train).select(*with_beside(keep, parts.train)), held)
        judged = [name for name in with_beside(keep, parts.validation) if name != ROW]
        validates, more = _kept(made.model.transform(parts.validation).select(*judged), held)
        handed = Handed(trains, validates, rows + more)
        held.append(handed)
        if self.slots:
            trains = together(trains, self.slots)
        return Parts(trains, validates, made.model, handed)


def _kept(frame: DataFrame, held: list[DataFrame | Handed]) -> tuple[DataFrame, int]:
    kept = frame.persist(StorageLevel.MEMORY_AND_DISK)
    held.append(kept)
    return kept, kept.count()


def together(kept: DataFrame, slots: int) -> DataFrame:
    """Rows that are in memory, in no more parts than there are slots, but where these would be large.

    An estimator runs a Spark job for each of its many steps, and a task takes longer to begin than a small part takes it.
    """
    plan: Any = kept._jdf.queryExecution()
    wanted = max(slots, math.ceil(int(str(plan.optimizedPlan().stats().sizeInBytes())) / PART))
    return kept.coalesce(wanted) if wanted < int(plan.toRdd().getNumPartitions()) else kept


def _free(entry: _Entry) -> None:
    for one in entry.held:
        one.unpersist()
